"""Where latency tables live and which one is taken: the user's own, else one that ships.

A table that ships is read and never written. What ships or was fetched (`hwnas tables fetch`) and was measured on
this very device, to the version of the runtime, is a start for the user's own table (`own_table`), whatever its target
is called; but a target that has hardware figures of its own may be another device, and takes it only where that device
was asked (`hwnas profile`). Other shipped tables are only taken by the name of their target and with a warning; `local`
means this machine, so it never takes one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import InputError, TableError
from hwnas.latency import Table, table_file, table_path
from hwnas.latency.adapted import adapted_kernel_ms
from hwnas.latency.header import as_own, device_differences, differences, of_target
from hwnas.pipeline.latencies.origin import device_name, misfit
from hwnas.target import Target, data_folder

HERE = "local"  # the target that is whatever machine hwnas runs on
_OF_RUNTIMES = ("runtime", "runtime_version", "provider", "gpu", "gpu_driver")  # what a fingerprint says of them
_DEVICE = ("cpu", "flags", "runtime", "runtime_version")  # without these no fingerprint says that devices are the same


@dataclass(frozen=True)
class Choice:
    """The table that was found for a target.

    Args:
        table: as read; written only where `shipped` is false.
        shipped: whether it came with hwnas.
        warnings: what a person must be told before its numbers are used; empty if they are the target's own.
        mine: whether it was measured on this machine.
    """

    table: Table
    shipped: bool
    warnings: tuple[str, ...]
    mine: bool = False


def default_folder() -> Path:
    """$HWNAS_TABLES, or hwnas/latency_tables in the user's cache folder."""
    if folder := os.environ.get("HWNAS_TABLES"):
        return Path(folder)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "hwnas" / "latency_tables"


def shipped_folder() -> Path:
    """The tables that came with hwnas, or those in the folder that HWNAS_SHIPPED_TABLES names; read only."""
    named = os.environ.get("HWNAS_SHIPPED_TABLES")
    return Path(named) if named else data_folder("latency_tables")


def choose(target: Target, device: Mapping[str, Any] | None, folder: Path | None = None) -> Choice | None:
    """The table of a target: the user's, else a shipped one of this very device, else the shipped one of its name.

    Args:
        device: fingerprint of this machine, as `Fingerprint.to_json` gives it; None where it lacks the runtime.
        folder: of the user's tables; None takes their cache.

    Returns:
        None where there is none: measure one, or estimate.

    Raises:
        TableError: the table is broken, or not of this target.
    """
    path = table_path(folder or default_folder(), target)
    if path.is_file():
        own = Table.read(path, target)
        mine = device is not None and not own.differs_from(device)
        return Choice(own, False, () if mine else _of_target(own, target, device), mine)
    same = _of_this_device(target, device, folder) if device is not None else None
    if same is not None and (target.hardware is None or same.target == target.name):
        return Choice(same, True, (), mine=True)
    named = table_path(shipped_folder(), target)
    if target.name != HERE and named.is_file():
        table = Table.read(named, target)
        made_on = f"{named} was measured on {device_name(table.device)}"
        return Choice(table, True, _warnings(table, device) or (made_on,))
    return None


def own_table(target: Target, device: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Where the user's table of a target lies; a new one starts as a copy of a shipped one of this device, if any.

    Args:
        device: fingerprint of the device that will be measured.

    Raises:
        InputError: the folder is not writable.
    """
    path = table_path(folder or default_folder(), target)
    start = None if path.exists() else _of_this_device(target, device, folder)
    if start is not None:
        based_on = {"target": start.target, "content_hash": start.content_hash}
        header = {**as_own(start.header, target.name), "based_on": based_on}
        with table_file.locked(path):
            if not path.exists():
                copy = Table.assemble(path, header, start.every_entry.values(), start.every_calibration)
                table_file.write_whole(path, copy.to_lines())
    return path


def of_another_version(target: Target, device: Mapping[str, Any], folder: Path | None = None) -> Table | None:
    """A table of this device but for the version of the runtime: the user's own, else one that ships.

    Args:
        device: fingerprint of the device, as `Fingerprint.to_json` gives it.

    Returns:
        None as well where a table of this very version is there.

    Raises:
        TableError: the user's table is broken.
    """
    same = {key: value for key, value in device.items() if key != "runtime_version"}
    path = table_path(folder or default_folder(), target)
    if path.is_file():
        own = Table.read(path, target)
        return own if own.differs_from(device) and not own.differs_from(same) else None
    if _of_this_device(target, device, folder) is not None:
        return None
    known = [t for t in _of_others(target, folder) if all(k in t.device and k in device for k in _DEVICE)]
    others = (t for t in known if not t.differs_from(same))
    return min(others, key=lambda t: t.target != target.name, default=None)


def calm_kernel_ms(target: Target, device: Mapping[str, Any], folder: Path | None = None) -> float:
    """What the reference kernel takes on a device when it is calm, as the user's tables of a target remember it.

    Those of other precisions, and models adapted there, remember it as well: no runtime takes part in the kernel.

    Args:
        device: its fingerprint, as `Fingerprint.to_json` gives it.

    Returns:
        ms; 0 where nothing says.
    """
    processor = {key: value for key, value in device.items() if key not in _OF_RUNTIMES}
    own, known = table_path(folder or default_folder(), target).parent, []
    for path in sorted(own.glob("*.jsonl")):
        try:
            table = Table.read(path)
        except InputError:  # `hwnas tables` shows what is broken
            continue
        same = table.header["threads"] == target.threads and table.header.get("cores") == of_target(target, "")["cores"]
        if same and "fetched" not in table.header and not device_differences(table.device, processor):
            known.append(table.calm_kernel_ms)
    known += [adapted_kernel_ms(path, target, processor) for path in sorted(own.glob("*.adapted/*.json"))]
    return min(filter(None, known), default=0.0)


def _of_this_device(target: Target, device: Mapping[str, Any], folder: Path | None) -> Table | None:
    """A table that ships or was fetched and is of this device; one of the target's own name before others."""
    known = [t for t in _of_others(target, folder) if all(k in t.device and k in device for k in _DEVICE)]
    tables = (t for t in known if not t.differs_from(device))
    return min(tables, key=lambda t: t.target != target.name, default=None)


def _of_others(target: Target, folder: Path | None) -> Iterator[Table]:
    """Tables that ship or were fetched, of the target's runtime, precision, batch, threads and cores."""
    fetched = (folder or default_folder()).rglob(f"{target.key}.jsonl")
    shipped = sorted(shipped_folder().rglob(f"{target.key}.jsonl"))
    for path in (*shipped, *sorted(fetched)):
        try:
            table = Table.read(path)
        except TableError:  # `hwnas tables` shows what is broken
            continue
        named = target.model_copy(update={"name": table.target})
        if path not in shipped and "fetched" not in table.header:
            continue
        if not differences(table.header, of_target(named, "")):
            yield table


def _warnings(table: Table, device: Mapping[str, Any] | None) -> tuple[str, ...]:
    differing = table.differs_from(device) if device is not None else []
    return (f"{table.path} is not of this device ({'; '.join(differing)})",) if differing else ()


def _of_target(table: Table, target: Target, device: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What must be said of a table of the user: a target with figures of its own need not be this machine."""
    if target.hardware is None:
        return _warnings(table, device)
    if why := misfit(target, table.device):
        return (f"{table.path} was measured on {device_name(table.device)}, which is no {target.name}: {why}",)
    if table.source != "measured":
        return (f"{table.path} was {table.source}, not measured: its times are of {device_name(table.device)}",)
    return ()
