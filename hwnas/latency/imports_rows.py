"""Rows of a table as `exports` writes them, also after a spreadsheet had them: .csv, .tsv and .parquet.

A spreadsheet that writes decimal commas separates columns by semicolons or tabs; which is which is read off the file.
`1,234` alone may be either number, so a file whose every comma could be one of thousands is refused.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from hwnas.documents import read_text
from hwnas.errors import InputError
from hwnas.latency.entry import Entry
from hwnas.latency.exports import pyarrow_modules

SUFFIXES = (".csv", ".tsv", ".parquet")
TIMES = ("median_ms", "p10_ms", "p90_ms")
COLUMNS = ("signature", *TIMES, "runs", "when")
STATED = ("device", "runtime", "runtime_version", "batch", "threads", "source")
MOST_ROWS = 1_000_000
_COMMA = re.compile(r"-?(\d+),(\d+)(?:[eE][-+]?\d+)?")
_PLAIN = re.compile(r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d{1,3})?|-?\.\d+(?:[eE][-+]?\d{1,3})?")
_WHOLE = re.compile(r"\d{1,15}")

Row = Mapping[str, Any]


def read_rows(path: Path) -> tuple[list[Entry], dict[str, str]]:
    """Entries of an exported file, and what all its rows state of how they were measured.

    Raises:
        InputError: the file is missing, no such export, a row is broken, or rows are of several devices or runtimes;
            names the row.
        MissingDependency: parquet needs pyarrow.
    """
    found = parquet_rows(path, (*COLUMNS, *STATED, "precision")) if path.suffix == ".parquet" else _csv_rows(path)
    entries = []
    for number, row in enumerate(found, 1):
        try:
            entries.append(Entry.from_json({**row, "precision": row.get("precision") or None}))
        except InputError as err:
            raise InputError(f"{path}, row {number}: {err}") from err
    return entries, _stated(path, found)


def _stated(path: Path, rows: list[dict[str, Any]]) -> dict[str, str]:
    """Column of `STATED` -> its value, where there is one."""
    stated: dict[str, str] = {}
    for name in STATED:
        values = dict.fromkeys(text for row in rows if (text := str(row.get(name) or "").strip()))
        if len(values) > 1:
            raise InputError(f"{path}: its rows are of several values of {name} ({', '.join(list(values)[:3])}), and a "
                             "table is of one: take them apart")
        if values:
            stated[name] = next(iter(values))[:1000]
    return stated


def _csv_rows(path: Path) -> list[dict[str, Any]]:
    text = read_text(path)
    try:
        dialects = [_parsed(text, separator) for separator in ",;\t"]
    except csv.Error as err:
        raise InputError(f"cannot read {path} as CSV: {err}") from err
    columns, rows = max(dialects, key=lambda found: sum(name in COLUMNS for name in found[0]))
    if "signature" not in columns:
        raise InputError(f"{path} is not an exported table: its first line has no column 'signature'. If it has no "
                         f"header, put this line in front: {','.join(COLUMNS)}")
    commas = _decimal_commas(path, rows)
    return [_typed(row, commas) for row in rows]


def _parsed(text: str, separator: str) -> tuple[list[str], list[dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    columns = [name.strip() for name in reader.fieldnames or ()]
    if "signature" not in columns:
        return columns, []
    reader.fieldnames = columns
    return columns, list(reader)


def _decimal_commas(path: Path, rows: Iterable[Row]) -> bool:
    """Whether times are written with a decimal comma."""
    times = [str(row.get(name) or "").strip() for row in rows for name in TIMES]
    found = [match for time in times if (match := _COMMA.fullmatch(time))]
    if not found:
        return False
    if any("." in time for time in times):
        raise InputError(f"{path}: times have decimal points and decimal commas: write points alone")
    if all(len(match[2]) == 3 and match[1].lstrip("0") and len(match[1]) <= 3 for match in found):
        raise InputError(f"{path}: {found[0][0]} may be a decimal number or one of thousands: write decimal points")
    return True


def _typed(row: Row, commas: bool) -> dict[str, Any]:
    """Numbers as numbers; what is none is left for the schema to name."""
    found = {name: row.get(name) for name in (*COLUMNS, *STATED)}
    found["precision"] = str(row.get("precision") or "").strip() or None
    for name in TIMES:
        text = str(found[name] or "").strip()
        text = text.replace(",", ".") if commas else text
        found[name] = float(text) if _PLAIN.fullmatch(text) else found[name]
    runs = str(found["runs"] or "").strip()
    found["runs"] = int(runs) if _WHOLE.fullmatch(runs) else found["runs"]
    return found


def parquet_rows(path: Path, wanted: Collection[str] | None = None) -> list[dict[str, Any]]:
    """Rows of a parquet file.

    Args:
        wanted: columns that are read, where they are there; None for all.

    Raises:
        InputError: it cannot be read, or has more than `MOST_ROWS`.
        MissingDependency: pyarrow is not installed.
    """
    _, parquet = pyarrow_modules()
    try:
        with parquet.ParquetFile(path) as file:
            if file.metadata.num_rows > MOST_ROWS:
                raise InputError(f"{path} holds {file.metadata.num_rows:,} rows, at most {MOST_ROWS:,} are read")
            columns = [name for name in file.schema_arrow.names if wanted is None or name in wanted]
            found: list[dict[str, Any]] = file.read(columns=columns).to_pylist()
    except InputError:
        raise
    except Exception as err:  # arrow raises nearly every type on damaged bytes
        raise InputError(f"cannot read {path} as parquet: {(str(err).splitlines() or [''])[0][:200]}") from err
    return found
