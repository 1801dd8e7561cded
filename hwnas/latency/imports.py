"""Published look-up tables: read, mapped to our signatures where the mapping is exact, and kept as imported.

| format    | looks like                                                                    | read by          |
| --------- | ----------------------------------------------------------------------------- | ---------------- |
| proxyless | YAML or JSON, keys `expanded_conv-input:56x56x24-...-idskip:1` (Cai et al. 2019) | imports_keys     |
| ofa       | the same with `-se:0-hs:1` (Cai et al., once-for-all, 2020)                   | imports_keys     |
| fbnet     | text: a line of op names, then a line of microseconds a layer; or JSON with the layers | imports_fbnet |
| nni       | text: a Python dictionary a line, `op_name`, `op_data_shape`, microseconds      | imports_nni      |
| rows      | .csv, .tsv or .parquet, as `hwnas tables export` writes them or a spreadsheet   | imports_rows     |

JSON may be wrapped as {"table": ..., "unit": "ms" or "us", "device": "..."}. What cannot be mapped is listed with the
reason; nothing is rounded to the nearest op that we have.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hwnas.documents import MIB, brief, json_value, printable, read_bytes, text_of
from hwnas.errors import InputError, TableError
from hwnas.latency import imports_fbnet, imports_keys, imports_nni, neighbours, table_file
from hwnas.latency.entry import Entry
from hwnas.latency.header import device_differences, make_header
from hwnas.latency.imports_rows import SUFFIXES, read_rows
from hwnas.latency.published import Mapped, Unmapped, unit_of
from hwnas.latency.table import Table
from hwnas.target import Target
from hwnas.validation import YAML_BYTES, yaml_value

UNKNOWN_DEVICE = "not stated by the file"


@dataclass(frozen=True)
class Imported:
    """What a published file holds.

    Args:
        format: one of the formats above.
        entries: one per signature.
        unmapped: keys that have no exact counterpart, and why.
        provenance: the file's name, sha256, device, unit and statistic.
        stated: what rows say of how they were measured: runtime, runtime_version, batch, threads.
        unread: names of values beside the times that are not understood, and how many there are of each.
    """

    format: str
    entries: tuple[Entry, ...]
    unmapped: tuple[Unmapped, ...]
    provenance: Mapping[str, Any]
    stated: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {
            "format": self.format, "entries": len(self.entries), "provenance": dict(self.provenance),
            "unmapped": [{"key": u.key, "why": u.why} for u in self.unmapped], "unread": dict(self.unread),
        }


def read_published(path: Path, *, imgsz: int = 224) -> Imported:
    """Read a published look-up table.

    Args:
        imgsz: input size in pixels of a file that has FBNet's layers without their shapes.

    Raises:
        InputError: missing, in none of the formats, or broken; names the file and the place.
        MissingDependency: parquet needs pyarrow.
    """
    content, stated = read_bytes(path), dict[str, str]()
    if path.suffix in SUFFIXES:
        entries, stated = read_rows(path)
        source = stated.get("source", "measured")
        found = Mapped("rows", entries, [], "ms",
                       f"as exported by hwnas{f', {source[:50]} there' if source != 'measured' else ''}")
        device = stated.get("device", "")
    else:
        found, device = _parse(path, content, imgsz)
        for entry in found.entries:
            Entry.from_json(entry.to_json())  # what is written must be read again
    if not found.entries:
        first = found.unmapped[0] if found.unmapped else None
        why = f", e.g. {printable(first.key[:200])}: {first.why[:300]}" if first else ""
        raise InputError(f"{path}: none of its {len(found.unmapped)} keys has a counterpart among our ops{why}")
    provenance = {
        "file": path.name, "sha256": hashlib.sha256(content).hexdigest(), "format": found.format,
        "device": device or UNKNOWN_DEVICE, "unit": found.unit, "statistic": found.statistic,
        "mapped": len(found.entries), "unmapped": len(found.unmapped),
    }
    return Imported(found.format, tuple(found.entries), tuple(found.unmapped), provenance, stated, found.unread)


def import_table(found: Imported, path: Path, target: Target) -> Table:
    """Make a table of imported entries, or add to one of the same device; entries of the later file win.

    Raises:
        TableError: the table that is there was measured or estimated, or is of another target or device; or the file
            states another runtime, batch or number of threads than the target has.
        InputError: the file cannot be written.
    """
    _check_stated(found, target)
    device = {"cpu": found.provenance["device"]}
    with table_file.locked(path):
        if path.is_file():
            table = Table.read(path, target)
            _check_mix(table, device)
        else:
            table = Table(path, make_header(target, device, "imported"))
        provenance = {**found.provenance, **_assumed(found, target)}
        known = [p for p in table.header.get("provenance", []) if p["sha256"] != found.provenance["sha256"]]
        header = {**table.header, "provenance": [*known, provenance]}
        made = Table.assemble(path, header, [*table.every_entry.values(), *found.entries], table.every_calibration)
        table_file.write_whole(path, made.to_lines())
    return made


def fill(table: Table, signatures: Iterable[str]) -> list[str]:
    """Add estimates for ops that an imported table lacks, from the entries most like them; those that were added.

    They have no runs, count as lacking wherever measurements are asked for, and make a model say 'estimated'.

    Raises:
        TableError: the table holds too few entries to estimate from.
        InputError: the file cannot be written.
    """
    missing = table.missing(signatures)
    found = neighbours.estimated(table.entries.values(), missing)
    if missing and not found:
        raise TableError(f"{table.path} holds fewer than {neighbours.LEAST} entries, too few to estimate others from")
    table.add(found)
    return [entry.signature for entry in found]


def _assumed(found: Imported, target: Target) -> dict[str, str]:
    """What of the header is the target's word alone: published formats name no runtime and no precision."""
    said = {"runtime": target.runtime, "precision": target.precision, "batch": f"batch {target.batch}",
            "threads": f"{target.threads} threads"}
    if found.format == "rows":  # which say their precision themselves, or are of the target's
        del said["precision"]
    left = [text for name, text in said.items() if name not in found.stated]
    return {"assumed": f"{', '.join(left)}, as target {target.name} has them: the file does not say"} if left else {}


def _check_stated(found: Imported, target: Target) -> None:
    """Raises TableError where a file says itself that it is of another way of running than the target."""
    own = {"runtime": target.runtime, "batch": str(target.batch), "threads": str(target.threads)}
    for name, value in own.items():
        if found.stated.get(name, value) != value:
            raise TableError(f"{found.provenance['file']} says {name} {brief(found.stated[name])}, target "
                             f"{target.name} has {value}: import it for a target (a .yaml) that runs as the file says")


def _check_mix(table: Table, device: Mapping[str, Any]) -> None:
    differing = [] if table.source == "imported" else [f"source: {table.source} / imported"]
    differing += device_differences(table.device, device)
    if differing:
        raise TableError(f"{table.path} holds other numbers ({'; '.join(differing)}): "
                         "give the imported ones a target of their own (a .yaml), or another --out")


def _parse(path: Path, content: bytes, imgsz: int) -> tuple[Mapped, str]:
    text = text_of(content, str(path))
    if imports_nni.is_text(text):
        return imports_nni.read_text(path, text), ""
    if imports_fbnet.is_text(text):
        return imports_fbnet.read_text(path, text, imgsz), ""
    if first := _numbers_alone(text):
        raise InputError(f"{path}: its first line has {first} numbers and no names, so which ops they are of is not "
                         "stated: put a line in front with the op of every column, e.g. `k3_e1 k3_e1_g2 k3_e3 k3_e6 "
                         "k5_e1 k5_e1_g2 k5_e3 k5_e6 skip`, in the order of the tool that wrote it")
    data = _document(path, text)
    if not isinstance(data, dict) or not data:
        lines = "; FBNet's text begins with a line that names the ops" if isinstance(data, str) else ""
        raise InputError(f"{path}: expected a mapping of keys to times, got {_kind(data)}: {_FORMATS}{lines}")
    table, device = data.get("table", data), data.get("device", "") if "table" in data else ""
    if not isinstance(device, str) or len(device) > 1000:
        raise InputError(f"{path}: device must be a text of at most 1000 characters, not {brief(device)}")
    if "table" in data and "ops" in data:
        return imports_fbnet.read_json(path, data), device
    if isinstance(table, dict) and imports_keys.recognises(table):
        return imports_keys.read_keys(path, table, unit_of(path, data, "ms")), device
    if _is_single_path(table):
        raise InputError(f"{path} looks like Single-Path NAS's table, which does not say what its options are: "
                         "it cannot be mapped exactly")
    raise InputError(f"{path}: {_FORMATS}; its first key is {brief(next(iter(table), None))}"
                     if isinstance(table, dict) else f"{path}: {_FORMATS}; its table is {_kind(table)}")


def _numbers_alone(text: str) -> int:
    """How many numbers the first line is made of; 0 where it holds anything else."""
    words = text.strip().partition("\n")[0].replace(",", " ").split()
    try:
        return len([float(word) for word in words])
    except ValueError:
        return 0


_FORMATS = "not in a format that can be imported (proxyless, ofa, fbnet, nni, or rows from `hwnas tables export`)"


def _document(path: Path, text: str) -> Any:
    """JSON where it is JSON, which is quick; YAML otherwise."""
    if path.suffix == ".json":
        return json_value(text, str(path))
    with contextlib.suppress(InputError):
        return json_value(text, str(path))
    if len(text) > YAML_BYTES:
        raise InputError(f"{path} is no JSON, and larger than the {YAML_BYTES / MIB:g} MiB that are read of YAML")
    return yaml_value(text, str(path))


def _is_single_path(table: object) -> bool:
    return isinstance(table, dict) and all(
        str(block).isdigit() and isinstance(options, dict) and all(str(o).isdigit() for o in options)
        for block, options in table.items()
    )


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
