"""A table as rows, for spreadsheets and data frames: CSV and parquet; the way back is in `imports_rows`.

One row an entry: what makes the table (target, runtime, device ...), what the op is, what it costs. Signature and
precision are the key, of a change of precision, whose row has no precision and none of an op's columns, the signature;
the columns that follow from it are there to be filtered by. Times are in milliseconds, flops are
multiply-accumulates. Calibrations stay behind: rows have no place for them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hwnas.errors import MissingDependency, UsageError
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
    return [{**about, **_of(entry), **entry.to_json()} for entry in table.every_entry.values()]


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


def _of(entry: Entry) -> dict[str, Any]:
    if not entry.is_op:
        about = {"kind": "unit"} if entry.is_unit else {"precision": "", "kind": "change"}
        return {**about, **dict.fromkeys((*_OP[1:], "hidden", "flops", "params"))}
    op = Op.parse(entry.signature)
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
    pyarrow, parquet = pyarrow_modules()
    frame = pyarrow.Table.from_pylist(found)
    frame = frame.replace_schema_metadata({"hwnas": json.dumps(dict(header))})
    with replacing(path) as beside:
        parquet.write_table(frame, beside)


def pyarrow_modules() -> tuple[Any, Any]:
    """pyarrow and pyarrow.parquet.

    Raises:
        MissingDependency: not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as err:
        raise MissingDependency("pyarrow", "parquet", _INSTALL) from err
    return pyarrow, parquet
