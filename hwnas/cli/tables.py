"""hwnas tables"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hwnas.cli.options import Json

if TYPE_CHECKING:
    from hwnas.pipeline.inventory import FoundTable

EPILOG = "Example: hwnas tables show latency_tables/local/onnxruntime-fp32-b1-t1.jsonl"

Folder = Annotated[Path | None, typer.Option("--tables", help="Folder of latency tables.",
                                             show_default="the user's cache")]
TablePath = Annotated[Path, typer.Argument(metavar="PATH", help="A table.", show_default=False)]


def make_group() -> typer.Typer:
    """`hwnas tables` and `hwnas tables show`."""
    group = typer.Typer(help="List the latency tables at hand; show prints one.",
                        invoke_without_command=True)
    group.callback()(_list)
    group.command("show", epilog=EPILOG)(_show)
    return group


def _list(context: typer.Context, tables: Folder = None, json: Json = False) -> None:
    """List the latency tables at hand."""
    if context.invoked_subcommand is not None:
        return
    from hwnas.cli.console import say, say_json, say_table
    from hwnas.pipeline.inventory import tables as find
    from hwnas.pipeline.tables import default_folder

    found = find(tables)
    if json:
        say_json([table.to_json() for table in found])
    elif found:
        say_table(("target", "entries", "source", "device", "created", "path"), [_row(t) for t in found])
    else:
        say(f"no tables in {tables or default_folder()}: `hwnas profile` measures one for this machine")


def _row(found: FoundTable) -> tuple[object, ...]:
    table = found.table
    if table is None:
        return ("broken", "", "", "", "", found.error)
    header, device = table.header, table.device
    key = f"{table.target} {header['precision']} b{header['batch']} t{header['threads']}"
    return (key, len(table.entries), table.source, device.get("cpu", "unknown"), header.get("created", ""), found.path)


def _show(path: TablePath, json: Json = False) -> None:
    """Print the entries of one table."""
    from hwnas.cli.console import say_facts, say_json, say_table
    from hwnas.latency import Table

    table = Table.read(path)
    entries = table.entries.values()
    if json:
        say_json({"header": table.header, "content_hash": table.content_hash,
                  "entries": [entry.to_json() for entry in entries]})
        return
    device = table.device
    say_facts([("target", table.target), ("source", table.source), ("device", device.get("cpu", "unknown")),
               ("runtime", f"{device.get('runtime')} {device.get('runtime_version')}"), ("entries", len(entries))])
    rows = [(e.signature, f"{e.median_ms:.4f}", f"{e.p10_ms:.4f}", f"{e.p90_ms:.4f}", e.runs, e.when) for e in entries]
    say_table(("signature", "median ms", "p10", "p90", "runs", "when"), rows)
