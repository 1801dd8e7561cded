"""Several tables of one target and one device into one.

Of the entries of one signature in one precision the one from the most timed runs wins, of equals the latest; of the
calibrations of one space in one precision the one fitted on the most networks, of equals the latest. A date that a
table does not give counts as the oldest. Tables that differ in precision alone become one of several precisions: no
entry loses the precision in which it was timed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hwnas.errors import TableError, UsageError
from hwnas.latency import table_file
from hwnas.latency.entry import Entry
from hwnas.latency.header import device_differences, differences
from hwnas.latency.hold import held
from hwnas.latency.table import Table
from hwnas.progress import Progress, silent


def merge(paths: Sequence[Path], out: Path | None = None, *, force: bool = False,
          progress: Progress = silent) -> tuple[Table, list[str]]:
    """Merge tables into the first one, or into a new file.

    The file is written beside and renamed under the table's lock, and the tables are read inside it, so nothing that
    another process adds meanwhile is lost; a campaign that fills the first table is waited for.

    Args:
        paths: two tables or more; the header comes from the first.
        out: a file that is not there yet; None replaces the first table.
        force: merge tables of other targets or devices, too; never of another source.

    Returns:
        The merged table, and what was overridden by `force`, one line each.

    Raises:
        UsageError: fewer than two tables, or `out` exists.
        TableError: a table is broken, of another source, or of another target or device without `force`.
        InputError: the file cannot be written.
    """
    if len(paths) < 2:
        raise UsageError(f"a merge needs two tables or more; got {len(paths)}")
    if out is not None and out.exists():
        raise UsageError(f"{out} exists: choose another --out, or name it first to merge into it")
    goal = out or paths[0]
    with held(goal, seconds=0.0, progress=progress) if goal.is_file() else nullcontext(), table_file.locked(goal):
        first, *others = (Table.read(path) for path in paths)
        warnings = [warning for other in others for warning in _conflicts(first, other)]
        if warnings and not force:
            raise TableError(f"{warnings[0]}: these do not merge; --force merges them all the same")
        merged = _merged(goal, first, others)
        table_file.write_whole(goal, merged.to_lines())
    return merged, warnings


def _conflicts(first: Table, other: Table) -> list[str]:
    if first.source != other.source:
        raise TableError(
            f"{other.path} holds {other.source} numbers, {first.path} {first.source} ones: they never share a table"
        )
    found = [("target", differences(first.header, other.header, ("target", "batch", "threads"))),
             ("device", device_differences(first.device, other.device))]
    return [f"{other.path} is of another {kind} than {first.path} ({'; '.join(what)})" for kind, what in found if what]


def _merged(path: Path, first: Table, others: Sequence[Table]) -> Table:
    own = first.precisions[0]
    entries: dict[tuple[str, str], Entry] = {}
    records: dict[tuple[str, str], Mapping[str, Any]] = {}
    for table in (first, *others):
        precision = table.precisions[0]
        for entry in (entry.moved(precision, own) for entry in table.every_entry.values()):
            key = (entry.signature, entry.precision)
            entries[key] = max(entries.get(key, entry), entry, key=lambda e: (e.runs, e.when))
        for record in table.every_calibration:
            said = {"precision": precision, **record}
            key = (str(said["space"]), str(said["precision"]))
            records[key] = max(records.get(key, said), said, key=_weight)
    return Table.assemble(path, _header(first, others), entries.values(), records.values())


def _weight(record: Mapping[str, Any]) -> tuple[int, str]:
    return int(record.get("networks", 0)), str(record.get("when", ""))


def _header(first: Table, others: Sequence[Table]) -> dict[str, Any]:
    """The first table's, with one line on every other: where its entries came from must not be forgotten."""
    added = [
        {"file": table.path.name, "target": table.target, "device": table.device, "content_hash": table.content_hash}
        for table in others
    ]
    provenance = [*first.header.get("provenance", []), *(p for t in others for p in t.header.get("provenance", []))]
    known = {"provenance": provenance} if provenance else {}
    return {**first.header, **known, "merged_from": [*first.header.get("merged_from", []), *added]}
