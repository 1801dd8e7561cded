"""hwnas targets"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli.options import Json

if TYPE_CHECKING:
    from hwnas.target import Target

EPILOG = "Example: hwnas targets show jetson"

Name = Annotated[str, typer.Argument(metavar="TARGET", help="A name, an alias or a .yaml.", show_default=False)]
Files = Annotated[list[Path] | None, typer.Argument(metavar="FILE...", help="Target files.",
                                                    show_default="every target at hand")]


def make_group() -> typer.Typer:
    """`hwnas targets` and what is below it."""
    group = typer.Typer(help="List the devices to make networks for; show prints one.",
                        invoke_without_command=True)
    group.callback()(command)
    group.command("list", epilog="Example: hwnas targets list --json")(listing)
    group.command("show", epilog=EPILOG)(show)
    group.command("validate", epilog="Example: hwnas targets validate mine.yaml")(validate)
    return group


def command(context: typer.Context, json: Json = False) -> None:
    """List the devices that networks can be made for."""
    if context.invoked_subcommand is None:
        listing(json)


def listing(json: Json = False) -> None:
    """List the devices that networks can be made for."""
    from hwnas.cli.console import say_json, say_table
    from hwnas.pipeline.machine.inventory import targets

    found = targets()
    if json:
        say_json(found)
        return
    rows = [(t["name"], t["runtime"], t["precision"], t["batch"], t["threads"], "yes" if t["table"] else "not yet",
             (t["docker"] or {}).get("stage") or "-", t["description"]) for t in found]
    say_table(("target", "runtime", "precision", "batch", "threads", "table", "image", "description"), rows)


def show(name: Name, json: Json = False) -> None:
    """Print one target: its defaults, the figures of its device and where each was read."""
    from hwnas.cli.console import say_facts, say_json, say_table
    from hwnas.target import locate, read

    path = locate(name)
    target = read(path)
    if json:
        say_json({**target.model_dump(), "path": str(path)})
        return
    say_facts([(key, value) for key, value in _facts(target) if value not in ("", None)])
    if target.hardware is not None:
        sources = target.hardware.sources
        say_table(("figure", "value", "source"), [
            (key, _figure(getattr(target.hardware, key)), source) for key, source in sources.items()
        ])
    say_facts([("file", path)])


def _facts(target: Target) -> list[tuple[str, object]]:
    docker = target.docker
    facts: list[tuple[str, object]] = [
        ("target", target.name), ("description", target.description), ("aliases", ", ".join(target.aliases)),
        ("runtime", target.runtime), ("precision", target.precision), ("batch", target.batch),
        ("threads", target.threads), ("pinned to cores", ", ".join(map(str, target.cores or ()))),
    ]
    if docker is not None:
        facts += [("docker stage", docker.stage or "none"), ("base image", docker.base_image), ("note", docker.note)]
    return facts


def _figure(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {number:g}" for key, number in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)


def validate(files: Files = None) -> None:
    """Check target files; without any, every target at hand."""
    from hwnas.cli.console import say
    from hwnas.errors import InputError
    from hwnas.target import locate, names, read

    wrong = []
    paths = files or [locate(name) for name in names()]
    for path in paths:
        try:
            say(f"ok  {read(path)}  {path}")
        except InputError as err:
            wrong.append(str(err))
    if wrong:
        raise InputError(f"{len(wrong)} of {len(paths)} files are not targets:\n" + "\n".join(wrong))
