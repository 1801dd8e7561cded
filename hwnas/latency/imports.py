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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.documents import MIB, brief, json_value, printable, read_bytes, text_of
from hwnas.errors import InputError, TableError
from hwnas.latency import imports_fbnet, imports_keys, imports_nni, table_file
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
    """

    format: str
    entries: tuple[Entry, ...]
    unmapped: tuple[Unmapped, ...]
    provenance: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {
            "format": self.format, "entries": len(self.entries), "provenance": dict(self.provenance),
            "unmapped": [{"key": u.key, "why": u.why} for u in self.unmapped],
        }


def read_published(path: Path, *, imgsz: int = 224) -> Imported:
    """Read a published look-up table.

    Args:
        imgsz: input size in pixels of a file that has FBNet's layers without their shapes.

    Raises:
        InputError: missing, in none of the formats, or broken; names the file and the place.
        MissingDependency: parquet needs pyarrow.
    """
    content, device = read_bytes(path), ""
    if path.suffix in SUFFIXES:
        entries, device = read_rows(path)
        found = Mapped("rows", entries, [], "ms", "as exported by hwnas")
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
    return Imported(found.format, tuple(found.entries), tuple(found.unmapped), provenance)


def import_table(found: Imported, path: Path, target: Target) -> Table:
    """Make a table of imported entries, or add to one of the same device; entries of the later file win.

    Raises:
        TableError: the table that is there was measured or estimated, or is of another target or device.
        InputError: the file cannot be written.
    """
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


def _assumed(found: Imported, target: Target) -> dict[str, str]:
    """What of the header is the target's word alone: published formats name no runtime and no precision."""
    if found.format == "rows":
        return {}
    stated = f"{target.runtime}, {target.precision}, batch {target.batch}, {target.threads} threads"
    return {"assumed": f"{stated}, as target {target.name} has them: the file does not say"}


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
