"""hwnas tables"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hwnas.cli import measurements, sharing
from hwnas.cli.options import OUT, Json
from hwnas.progress import plural

if TYPE_CHECKING:
    from hwnas.latency import Table
    from hwnas.latency.compare import Comparison
    from hwnas.latency.imports import Imported
    from hwnas.pipeline.machine.inventory import FoundTable

EPILOG = "Example: hwnas tables show mine.jsonl"
FARTHEST = 10  # entries that diff prints
FIRST = 5  # examples of a longer list

Folder = Annotated[Path | None, typer.Option("--tables", help="Folder of latency tables.",
                                             show_default="the user's cache")]
TablePath = Annotated[Path, typer.Argument(metavar="PATH", help="A table.", show_default=False)]
Imgsz = Annotated[int, typer.Option("--imgsz", min=8, max=1024, help="Input size that a look-up text of FBNet is for.")]


def make_group() -> typer.Typer:
    """`hwnas tables` and its commands."""
    group = typer.Typer(help="Latency tables: list, show, merge, import, adapt, share.",
                        invoke_without_command=True)
    group.callback()(_default)
    group.command("list", epilog="Example: hwnas tables list --json")(_list)
    group.command("show", epilog=EPILOG)(_show)
    group.command("diff", epilog="Example: hwnas tables diff monday.jsonl friday.jsonl")(_diff)
    group.command("merge", epilog="Example: hwnas tables merge mine.jsonl carried-back.jsonl")(_merge)
    group.command("export", epilog="Example: hwnas tables export mine.jsonl --out mine.csv")(_export)
    group.command("import", epilog="Example: hwnas tables import mobile_trim.yaml --target pixel1.yaml")(_import)
    group.command("adapt", epilog=measurements.EPILOG)(measurements.adapt)
    group.command("publish", epilog=sharing.PUBLISH)(sharing.publish)
    group.command("fetch", epilog=sharing.FETCH)(sharing.fetch)
    return group


def _default(context: typer.Context, tables: Folder = None, json: Json = False) -> None:
    """List the latency tables at hand: yours, and those that ship."""
    from hwnas.errors import UsageError

    if context.invoked_subcommand is None:
        _list(tables, json)
    elif tables is not None or json:
        raise UsageError(f"--tables and --json go behind the command: hwnas tables {context.invoked_subcommand} ...")


def _list(tables: Folder = None, json: Json = False) -> None:
    """List the latency tables at hand: yours, and those that ship."""
    from hwnas.cli.console import say, say_json, say_table
    from hwnas.pipeline.latencies.tables import default_folder
    from hwnas.pipeline.machine.inventory import tables as find

    found = find(tables)
    if json:
        say_json([table.to_json() for table in found])
    elif found:
        say_table(("target", "entries", "source", "where", "device", "created", "path"), [_row(t) for t in found])
    else:
        say(f"no tables in {tables or default_folder()}: `hwnas profile` measures one for this machine")


def _row(found: FoundTable) -> tuple[object, ...]:
    from hwnas.latency.header import runtime_name

    table = found.table
    if table is None:
        return ("broken", "", "", found.where, "", "", found.error)
    header = table.header
    key = f"{table.target} {runtime_name(header)} {'+'.join(table.precisions)} b{header['batch']} t{header['threads']}"
    return (key, len(table.every_entry), table.source, found.where, _device(table),
            header.get("created", ""), found.path)


def _show(path: TablePath, json: Json = False) -> None:
    """Print the entries of one table."""
    from hwnas.cli.console import say_facts, say_json, say_table
    from hwnas.latency import Table
    from hwnas.latency.header import runtime_name

    table = Table.read(path)
    entries = table.every_entry.values()
    if json:
        say_json({"header": table.header, "content_hash": table.content_hash,
                  "entries": [entry.to_json() for entry in entries],
                  "calibrations": list(table.every_calibration)})
        return
    runtime = f"{runtime_name(table.header)} {table.device.get('runtime_version', '')}"
    say_facts([("target", table.target), ("source", table.source), ("device", _device(table)),
               ("runtime", runtime), ("precision", ", ".join(table.precisions)), ("entries", len(entries)),
               *(("imported from", f"{p['file']} ({p['format']}, {p['statistic']})")
                 for p in table.header.get("provenance", [])),
               *(("assumed", p["assumed"]) for p in table.header.get("provenance", []) if p.get("assumed")),
               *([("based on", _based_on(table.header["based_on"]))] if table.header.get("based_on") else []),
               *([("fetched from", f"{table.header['fetched']['source']}, {table.header['fetched'].get('when', '')}")]
                 if table.header.get("fetched") else [])])
    rows = [(label, f"{e.median_ms:.4f}", f"{e.p10_ms:.4f}", f"{e.p90_ms:.4f}", e.runs, e.when)
            for label, e in table.every_entry.items()]
    say_table(("signature", "median ms", "p10", "p90", "runs", "when"), rows)


def _diff(
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="A table.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="SECOND", help="Another one.", show_default=False)],
    json: Json = False,
) -> None:
    """Compare two tables entry by entry: the second's times over the first's."""
    from hwnas.cli.console import say_json
    from hwnas.latency import Table
    from hwnas.latency.compare import compare

    found = compare(Table.read(first), Table.read(second))
    if json:
        say_json(found.to_json())
    else:
        _say_comparison(found)


def _say_comparison(found: Comparison) -> None:
    from hwnas.cli.console import say, say_facts, say_table

    say_facts([
        *(("differs", text) for text in (*found.headers, *found.devices)),
        ("shared entries", len(found.ratios) + len(found.without_ratio)),
        ("only in the first", _some(found.only_first)), ("only in the second", _some(found.only_second)),
        *((f"ratio, {name}", f"{value:.3f}") for name, value in found.quantiles.items()),
        ("Kendall tau", "unknown" if found.tau is None else f"{found.tau:.3f}"),
    ])
    changed = [item for item in found.ratios.items() if item[1] != 1]
    farthest = sorted(changed, key=lambda item: -max(item[1], 1 / item[1]))[:FARTHEST]
    if farthest:
        say("", "farthest apart")
        say_table(("signature", "second / first"), [(s, f"{ratio:.3f}") for s, ratio in farthest])


def _merge(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", show_default=False,
                                                help="Tables; the first is the one that the others go into.")],
    out: Annotated[Path | None, typer.Option(*OUT, help="A new file.", show_default="the first table")] = None,
    force: Annotated[bool, typer.Option("--force", help="Merge tables of other targets or devices, too.")] = False,
    json: Json = False,
) -> None:
    """Merge tables of one target and device, in one or several precisions: of each entry the one from the most runs."""
    from hwnas.cli.console import note, say, say_json
    from hwnas.latency.merge import merge
    from hwnas.pipeline.display.watch import watching

    with watching(json) as watch:
        table, warnings = merge(paths, out, force=force, progress=watch.progress)
    for warning in warnings:
        note(f"warning: {warning}")
    if json:
        say_json({"path": str(table.path), "entries": len(table.every_entry), "warnings": warnings,
                  "content_hash": table.content_hash})
    else:
        say(f"{table.path}: {plural(len(table.every_entry), 'entry', 'entries')} from {plural(len(paths), 'table')}")


def _export(
    path: TablePath,
    out: Annotated[Path, typer.Option(*OUT, help="A .csv or a .parquet.", show_default=False)],
    json: Json = False,
) -> None:
    """Write a table as rows, for spreadsheets and data frames."""
    from hwnas.cli.console import say, say_json
    from hwnas.latency import Table
    from hwnas.latency.exports import export

    count = export(Table.read(path), out)
    if json:
        say_json({"path": str(out), "rows": count})
    else:
        say(f"{out}: {plural(count, 'row')}")


def _import(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False,
                                         help="ProxylessNAS or once-for-all YAML or JSON, FBNet text or JSON, "
                                              "NNI's lut.txt, or rows of `hwnas tables export`.")],
    target: Annotated[str, typer.Option("--target", help="Whose table it becomes: a name or a .yaml.",
                                        show_default=False)],
    imgsz: Imgsz = 224,
    tables: Folder = None,
    out: Annotated[Path | None, typer.Option(*OUT, help="The table.", show_default="in --tables")] = None,
    estimate_missing: Annotated[bool, typer.Option("--fill", help="Estimate the blocks that it lacks of the spaces it "
                                                                  "is for, from those most like them.")] = False,
    json: Json = False,
) -> None:
    """Import a published look-up table; what has no exact counterpart among our ops is left out and listed."""
    from hwnas.cli.console import say_json
    from hwnas.latency import table_path
    from hwnas.latency.imports import fill, import_table, read_published
    from hwnas.pipeline.latencies.tables import default_folder
    from hwnas.pipeline.machine.inventory import coverage
    from hwnas.target import load

    whose = load(target)
    found = read_published(file, imgsz=imgsz)
    table = import_table(found, out or table_path(tables or default_folder(), whose), whose)
    covered = coverage([signature for signature, entry in table.entries.items() if entry.runs])
    filled = fill(table, [s for c in covered for s in c["missing"]]) if estimate_missing else []
    if json:
        say_json({**found.to_json(), "table": str(table.path), "coverage": covered, "filled": filled})
    else:
        _say_imported(found, table, covered, filled)


def _say_imported(found: Imported, table: Table, covered: list[dict[str, Any]], filled: list[str]) -> None:
    from hwnas.cli.console import say, say_facts, say_table

    provenance, assumed = found.provenance, table.header["provenance"][-1].get("assumed")
    say_facts([
        ("table", table.path), ("source", f"imported from {provenance['file']} ({found.format})"),
        ("device", provenance["device"]), *([("assumed", assumed)] if assumed else []),
        ("entries", len(found.entries)), ("left out", len(found.unmapped)),
        *([("not read", ", ".join(f"{name} of {plural(n, 'entry', 'entries')}" for name, n in found.unread.items()))]
          if found.unread else []),
        *((f"space {c['space']} {c['imgsz']} px", f"{c['held']} of {c['blocks']} blocks"
           f"{'; lacks ' + _some(c['missing']) if c['missing'] else ''}") for c in covered),
        *([("estimated", f"{_some(filled)}, from the entries most like them")] if filled else []),
        *([("to go on", "--fill estimates what it lacks; `hwnas profile` measures it")]
          if not filled and any(c["missing"] for c in covered) else []),
    ])
    reasons: dict[str, list[str]] = {}
    for unmapped in found.unmapped:
        reasons.setdefault(unmapped.why, []).append(unmapped.key)
    if reasons:
        say("", "left out")
        say_table(("keys", "why", "which"), [(len(keys), why, _some(keys)) for why, keys in reasons.items()])


def _based_on(origin: Mapping[str, Any]) -> str:
    """A table that this one was begun with."""
    device = origin.get("device") or {}
    version = device.get("runtime_version")
    return f"a table of {origin['target']}{f', measured with version {version} of the runtime' if version else ''}"


def _device(table: Table) -> str:
    """The GPU or NPU that was measured, else the CPU."""
    return str(table.device.get("gpu") or table.device.get("cpu") or "unknown")


def _some(names: list[str] | tuple[str, ...]) -> str:
    """How many, and the first few."""
    more = f" and {len(names) - FIRST} more" if len(names) > FIRST else ""
    return f"{len(names)}: {', '.join(names[:FIRST])}{more}" if names else "0"
