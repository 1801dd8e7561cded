"""Priors: what says something of a target's latencies though it was not measured on it, nearest first.

    the table that was asked for, or its own table from another device or version
    a table of the user or of the package in the target's runtime, precision, batch and threads: of the same name, of
    the same processor, of the same version, of the same instruction sets, in this order
    an estimate from the target's public figures
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import HwnasError, InputError, TableError, UsageError
from hwnas.latency import LatencyModel, Table, table_path
from hwnas.latency.complete import complete
from hwnas.latency.estimate import estimate
from hwnas.latency.estimate.rules import COMPILED
from hwnas.latency.header import differences, of_target, runtime_name
from hwnas.pipeline.latencies.origin import device_name
from hwnas.pipeline.latencies.tables import default_folder, shipped_folder
from hwnas.space import Space
from hwnas.target import Target

ESTIMATE = "estimate"  # in place of a table's path
_PROCESSOR = ("machine", "provider")  # a table that differs in these, or in the GPU, is not taken unasked


@dataclass(frozen=True)
class Prior:
    """A latency model of elsewhere.

    Args:
        model: holds every op of the space.
        told: whose numbers they are, in words.
        table: None of an estimate.
    """

    model: LatencyModel
    told: str
    table: Table | None = None


def find_prior(space: Space, target: Target, device: Mapping[str, Any], tables: Path | None = None,
               asked: str | None = None) -> Prior:
    """The nearest prior of a target on a device.

    Args:
        device: fingerprint of what will be measured, as `Fingerprint.to_json` gives it.
        tables: folder of the user's tables; None takes their cache.
        asked: path of a table, or `ESTIMATE`; None looks for one.

    Raises:
        TableError: the table that was asked for is broken or lacks blocks of the space.
        UsageError: there is none.
    """
    if asked == ESTIMATE:
        return Prior(estimate(space, target, COMPILED), f"an estimate from the public figures of {target.name}")
    if asked is not None:
        return prior_of(Table.read(Path(asked)), space, target)
    for table in sorted(_tables(target, device, tables), key=lambda table: _distance(table, target, device)):
        try:
            return prior_of(table, space, target)
        except HwnasError:  # it lacks blocks of the space, or contradicts itself
            continue
    if target.hardware is None:
        raise UsageError(f"nothing is known of {target} for space {space.name} that could be adapted: no table at hand "
                         f"holds its {len(space.signatures)} blocks, and the target states no hardware to estimate it "
                         "from. Name a table with --prior TABLE, or measure with `hwnas profile`")
    return find_prior(space, target, device, tables, ESTIMATE)


def prior_of(table: Table, space: Space, target: Target) -> Prior:
    """A table as a prior; where it lacks blocks, with estimates at its speed for them.

    Raises:
        TableError: it lacks too many, or the target states no hardware to estimate them from.
    """
    missing = table.missing(space.signatures)
    model = complete(table, space, target) if missing else LatencyModel.from_table(table, space)
    if model is None:
        raise TableError(f"{table.path} lacks {len(missing)} of {len(space.signatures)} blocks of space {space.name}, "
                         f"first {missing[0]}: give the table of that space, or measure with `hwnas profile`")
    return Prior(model, told_of(table), table)


def told_of(table: Table) -> str:
    """Whose numbers a table has, in words."""
    if table.source == "imported":
        files = ", ".join(str(p["file"]) for p in table.header.get("provenance", ()))
        return f"numbers that were imported from {files or table.path.name}"
    version = str(table.device.get("runtime_version") or "")
    return (f"a table that was {table.source} on {device_name(table.device)} through "
            f"{runtime_name(table.header)}{f' {version}' if version else ''}")


def _tables(target: Target, device: Mapping[str, Any], folder: Path | None) -> Iterator[Table]:
    """Tables of the target's runtime, precision, batch, threads and cores, on a processor of the device's type."""
    own = folder or default_folder()
    for path in (*sorted(own.rglob(f"{target.key}.jsonl")), *sorted(shipped_folder().rglob(f"{target.key}.jsonl"))):
        try:
            table = Table.read(path)
        except InputError:  # `hwnas tables` shows what is broken
            continue
        named = target.model_copy(update={"name": table.target})
        same = not differences(table.header, of_target(named, "")) and table.device.get("gpu") == device.get("gpu")
        if path == table_path(own, target) or (same and all(
                None in (table.device.get(key), device.get(key)) or table.device[key] == device[key]
                for key in _PROCESSOR)):
            yield table


def _distance(table: Table, target: Target, device: Mapping[str, Any]) -> tuple[int, ...]:
    flags = set(table.device.get("flags") or ()) ^ set(device.get("flags") or ())
    unlike = (table.device.get(key) != device.get(key) for key in ("cpu", "runtime_version"))
    return (table.target != target.name, *map(int, unlike), len(flags))
