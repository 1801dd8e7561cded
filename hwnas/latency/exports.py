"""A table as rows, for spreadsheets and data frames: CSV and parquet, and back.

One row an entry: what makes the table (target, runtime, device ...), what the op is, what it costs. The signature is
the key; the columns that follow from it are there to be filtered by. Times are in milliseconds, flops are
multiply-accumulates. Calibrations stay behind: rows have no place for them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas.errors import InputError, MissingDependency, UsageError
from hwnas.files import replacing, write_bytes
from hwnas.latency.entry import Entry
from hwnas.latency.header import runtime_name
from hwnas.latency.table import Table
from hwnas.space import Op

SUFFIXES = (".csv", ".parquet")
_INSTALL = "pip install pyarrow"
_OP = ("kind", "kernel", "expand", "stride", "in_channels", "out_channels", "height", "width", "act", "se", "groups")


def rows(table: Table) -> list[dict[str, Any]]:
    """One flat mapping an entry, in the order of the table."""
    header = table.header
    runtime = header["runtime"]
    about = {
        "target": table.target, "runtime": runtime_name(header),
        "runtime_version": runtime.get("version", "") if isinstance(runtime, dict) else "",
        "precision": header["precision"], "batch": header["batch"], "threads": header["threads"],
        "source": table.source, "device": str(table.device.get("cpu", "")),
    }
    return [{**about, **_of_op(Op.parse(entry.signature)), **entry.to_json()} for entry in table.entries.values()]


def export(table: Table, path: Path) -> int:
    """Write a table as .csv or .parquet; how many rows.

    Raises:
        UsageError: the path ends in neither, or the table is empty.
        MissingDependency: parquet needs pyarrow.
        InputError: the file cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"an export ends in {' or '.join(SUFFIXES)}; got {path}")
    found = rows(table)
    if not found:
        raise UsageError(f"{table.path} has no entries to export: fill it with `hwnas profile`")
    if path.suffix == ".csv":
        _write_csv(path, found)
    else:
        _write_parquet(path, found, table.header)
    return len(found)


def read_rows(path: Path) -> tuple[list[Entry], str]:
    """Entries of an exported .csv or .parquet, and the device that the first row names.

    Raises:
        InputError: the file is missing, no such export, or a row is broken; names the row.
        MissingDependency: parquet needs pyarrow.
    """
    found = _read_csv(path) if path.suffix == ".csv" else _read_parquet(path)
    entries = []
    for number, row in enumerate(found, 1):
        try:
            entries.append(Entry.from_json(row))
        except InputError as err:
            raise InputError(f"{path}, row {number}: {err}") from err
    return entries, str(found[0].get("device") or "") if found else ""


def _of_op(op: Op) -> dict[str, Any]:
    return {
        **{name: getattr(op, name) for name in _OP},
        "hidden": "-".join(map(str, op.hidden)), "flops": op.flops, "params": op.params,
    }


def _write_csv(path: Path, found: list[dict[str, Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(found[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(found)
    write_bytes(path, text.getvalue().encode())


def _write_parquet(path: Path, found: list[dict[str, Any]], header: Mapping[str, Any]) -> None:
    pyarrow, parquet = _pyarrow()
    frame = pyarrow.Table.from_pylist(found)
    frame = frame.replace_schema_metadata({"hwnas": json.dumps(dict(header))})
    with replacing(path) as beside:
        parquet.write_table(frame, beside)


def _read_csv(path: Path) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns, found = reader.fieldnames or (), list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise InputError(f"cannot read {path} as CSV: {err}") from err
    if "signature" not in columns:
        raise InputError(f"{path} is not an exported table: its first line has no column 'signature'")
    return found


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    pyarrow, parquet = _pyarrow()
    try:
        found: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowException) as err:
        raise InputError(f"cannot read {path} as parquet: {str(err).splitlines()[0]}") from err
    return found


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as err:
        raise MissingDependency("pyarrow", "parquet", _INSTALL) from err
    return pyarrow, parquet
