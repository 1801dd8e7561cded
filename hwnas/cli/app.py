"""The commands, in the order in which they are met."""

from __future__ import annotations

from typing import Annotated

import typer

from hwnas import __version__
from hwnas.cli import (
    agent,
    bench,
    bundle,
    compress,
    deploy,
    doctor,
    export,
    generate,
    inspect,
    predict,
    profile,
    report,
    search,
    serve,
    spaces,
    tables,
    targets,
    train,
    verify,
)

WORK, STAGE, LOOK = "The whole way", "Its stages", "What is there"


def make_app(rich: bool = False) -> typer.Typer:
    """The command line.

    Args:
        rich: whether help is coloured and boxed; plain text otherwise, for pipes.
    """
    app = typer.Typer(
        help="A network within your latency budget, measured on your device.",
        epilog="Begin with: hwnas compress",
        rich_markup_mode="rich" if rich else None, add_completion=True, pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for panel, module in (
        (WORK, compress), (WORK, generate), (STAGE, profile), (STAGE, search), (STAGE, train), (STAGE, export),
        (STAGE, verify), (STAGE, report), (WORK, predict), (WORK, deploy), (WORK, serve), (LOOK, doctor),
        (LOOK, inspect),
    ):
        name = module.__name__.rpartition(".")[2]
        app.command(name, epilog=module.EPILOG, rich_help_panel=panel)(module.command)
    app.add_typer(agent.make_group(), name="agent", rich_help_panel=STAGE, epilog=agent.EPILOG)
    app.add_typer(bundle.make_group(), name="bundle", rich_help_panel=STAGE, epilog=bundle.EPILOG)
    app.add_typer(spaces.make_group(), name="spaces", rich_help_panel=LOOK, epilog=spaces.EPILOG)
    app.add_typer(targets.make_group(), name="targets", rich_help_panel=LOOK, epilog=targets.EPILOG)
    app.add_typer(tables.make_group(), name="tables", rich_help_panel=LOOK, epilog=tables.EPILOG)
    app.add_typer(bench.make_group(), name="bench", rich_help_panel=LOOK, epilog=bench.EPILOG)
    return app


def _version(asked: bool) -> None:
    if asked:
        print(f"hwnas {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True,
                                          help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print a traceback with an error.")] = False,
) -> None:
    """A network within your latency budget, measured on your device."""
