"""hwnas tables publish and fetch"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli.options import Json
from hwnas.progress import plural

if TYPE_CHECKING:
    from hwnas.latency.sharing import ItemSchema

PUBLISH = "Example: hwnas tables publish shared.zip my-board/onnxruntime-fp32-b1-t1.jsonl"
FETCH = "Example: hwnas tables fetch shared.zip --target raspberry-pi-5"
Folder = Annotated[Path | None, typer.Option("--tables", help="Folder of latency tables.",
                                             show_default="the user's cache")]


def publish(
    where: Annotated[Path, typer.Argument(metavar="WHERE", show_default=False,
                                          help="A folder, such as a git checkout, or a new .zip.")],
    paths: Annotated[list[Path], typer.Argument(metavar="TABLE...", help="Tables.", show_default=False)],
    name: Annotated[str | None, typer.Option("--as", metavar="NAME", show_default=False,
                                             help="Name of the device in what is published; local has none.")] = None,
    note: Annotated[str, typer.Option("--note", help="A line on these tables, for people.", show_default=False)] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace what is there.")] = False,
    json: Json = False,
) -> None:
    """Share tables: put them into a folder or an archive, listed by hash with device and errors."""
    from hwnas.cli.console import say, say_facts, say_json, say_table
    from hwnas.latency.sharing import publish as share

    made = share(paths, where, name=name, note=note, force=force)
    if json:
        say_json({"where": str(made.where), "sha256": made.list_hash,
                  "tables": [item.model_dump() for item in made.items]})
        return
    say_table(COLUMNS, [_row(item) for item in made.items])
    say("")
    say_facts([("published", made.where), ("sha256", made.list_hash),
               ("elsewhere", f"hwnas tables fetch {made.where.name} --sha256 {made.list_hash}")])


def fetch(
    source: Annotated[str, typer.Argument(metavar="SOURCE", show_default=False,
                                          help="A folder, a .zip, a .tar.gz, or the https:// address of one.")],
    target: Annotated[str | None, typer.Option("--target", help="Whose tables.", show_default="all")] = None,
    sha256: Annotated[str | None, typer.Option("--sha256", show_default=False,
                                               help="Of the list, as publish printed it.")] = None,
    look: Annotated[bool, typer.Option("--list", help="Say what is there and copy nothing.")] = False,
    tables: Folder = None,
    force: Annotated[bool, typer.Option("--force", help="Replace tables of yours.")] = False,
    json: Json = False,
) -> None:
    """Copy shared tables into yours; the network is used for an address alone."""
    from hwnas.cli.console import say, say_json, say_table
    from hwnas.latency.sharing import fetch as copy
    from hwnas.latency.sharing import listed
    from hwnas.pipeline.latencies.tables import default_folder

    if look:
        items = listed(source, sha256)
        if json:
            say_json([item.model_dump() for item in items])
        else:
            say_table(COLUMNS, [_row(item) for item in items])
        return
    wanted = () if target is None else (target,)
    found = copy(source, tables or default_folder(), targets=wanted, list_hash=sha256, force=force)
    if json:
        say_json([{"table": str(each.path), "outcome": each.outcome, **each.item.model_dump()} for each in found])
        return
    say_table(("outcome", *COLUMNS), [(each.outcome, *_row(each.item)) for each in found])
    kept = sum(each.outcome == "kept yours" for each in found)
    if kept:
        say("", f"{plural(kept, 'table')} of yours differ from what is shared and stay as they are: --force replaces "
                "them, `hwnas tables diff` compares")


COLUMNS = ("target", "runtime", "precision", "source", "device", "entries", "error", "note")


def _row(item: ItemSchema) -> tuple[object, ...]:
    device = item.device.get("gpu") or item.device.get("cpu") or "unknown"
    errors = sorted(item.errors.values())
    told = f"{errors[0]:.1f} %" if errors else "unknown"
    if len(errors) > 1:
        told = f"{errors[0]:.1f} to {errors[-1]:.1f} %"
    return (item.target, f"{item.runtime} {item.runtime_version}", f"{item.precision} b{item.batch} t{item.threads}",
            item.source, device, item.entries, told, item.note)
