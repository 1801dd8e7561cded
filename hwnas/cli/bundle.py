"""hwnas bundle"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hwnas.cli.options import Json, takes
from hwnas.errors import VerificationFailed

EPILOG = "Example: hwnas bundle verify cells-bundle"


def make_group() -> typer.Typer:
    """`hwnas bundle verify`."""
    group = typer.Typer(help="Look after what `hwnas deploy` wrote.", no_args_is_help=True)
    group.callback()(_root)  # with one command alone typer would leave out its name
    group.command("verify", epilog=EPILOG)(_verify)
    return group


def _root() -> None:
    """Look after what `hwnas deploy` wrote."""


@takes("runtime")
def _verify(
    given: dict[str, Any],
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="What `hwnas deploy` wrote.", show_default=False)],
    json: Json = False,
) -> None:
    """Check a bundle on this device.

    Are its files whole, its outputs the stored ones, its latency within the promise? Exit code 4 if it is wrong or too
    slow, 2 if a file was changed. With --runtime nothing is timed.
    """
    from hwnas.cli.console import say, say_json
    from hwnas.deploy import Bundle, verify

    found = verify(Bundle(bundle), given.get("runtime"))
    if json:
        say_json(found.to_json())
    else:
        say(found.verdict())
    if found.failures():
        raise typer.Exit(VerificationFailed.exit_code)
