"""Whole networks that others timed: a file of networks of one space with their latencies.

    arch         NAS-Bench-201's own text, e.g. |nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|
    index        NAS-Bench-201's number, 0 to 15624
    choice       the op taken at every choice, from 0: a list, or numbers with blanks or commas between them
    latency_ms   the time; latency_us and latency_s likewise, and any other column that is named, in ms

.csv and .tsv have a line of names first; .jsonl has an object a line, .json a list of them or an object of
`arch` to milliseconds; .parquet needs pyarrow. Networks that stand there more than once count once, by their median.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.documents import brief, json_value, printable, read_json, read_text
from hwnas.errors import InputError, UsageError
from hwnas.latency.imports_rows import parquet_rows
from hwnas.space import Architecture, Space
from hwnas.space.nasbench201 import from_string, order
from hwnas.validation import MOST_MS

SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
NETWORKS = ("arch", "index", "choice")
TIMES: Mapping[str, float] = {"latency_ms": 1.0, "latency_us": 1e-3, "latency_s": 1e3}  # and how many ms one is
_CELLS = "nasbench201"


@dataclass(frozen=True)
class Measurements:
    """Networks and their latencies.

    Args:
        networks: all different; an image reaches the output of each.
        latencies_ms: one for each.
        column: where the times were.
        repeated: rows beyond the first of a network.
        cut: networks that were left out, since nothing reaches their output.
    """

    networks: tuple[Architecture, ...]
    latencies_ms: tuple[float, ...]
    column: str
    repeated: int
    cut: int


def read_measurements(path: Path, space: Space, column: str | None = None) -> Measurements:
    """Read a file of networks and latencies.

    Args:
        column: name of the times, in ms unless it is one of `TIMES`; None for the one of `TIMES` that is there.

    Raises:
        InputError: no such file or format, no column of networks or times, a network that the space does not have, or
            a time that is no positive number; names the row.
        UsageError: the networks are of NAS-Bench-201 and the space is another one.
        MissingDependency: parquet needs pyarrow.
    """
    rows = _rows(path)
    named, timed = _columns(path, rows[0] if rows else {}, column)
    if named != "choice" and space.name != _CELLS:
        raise UsageError(f"{path} has networks of NAS-Bench-201 in its column {named!r}, and the space is "
                         f"{space.name}: add --space {_CELLS}, with --imgsz 32 and the classes of the data")
    parse, unit = _PARSERS[named], TIMES.get(timed, 1.0)
    found: dict[tuple[int, ...], list[float]] = {}
    for number, row in enumerate(rows, 1):
        try:
            arch = space.architecture(parse(row.get(named)))
            found.setdefault(arch.choice, []).append(unit * _positive(timed, row.get(timed)))
        except InputError as err:
            raise InputError(f"{path}, row {number}: {err}") from err
    networks = {choice: space.architecture(choice) for choice in found}
    kept = [choice for choice, arch in networks.items() if arch.connected]
    return Measurements(tuple(networks[choice] for choice in kept),
                        tuple(float(np.median(found[choice])) for choice in kept), timed, len(rows) - len(found),
                        len(found) - len(kept))


def _columns(path: Path, first: Mapping[str, Any], column: str | None) -> tuple[str, str]:
    named = next((name for name in NETWORKS if name in first), None)
    if named is None:
        raise InputError(f"{path} does not say which networks it holds: it needs a column {', '.join(NETWORKS[:-1])} "
                         f"or {NETWORKS[-1]}, and has {_names(first)}")
    if column is not None and column not in first:
        raise InputError(f"{path} has no column {brief(column)}: it has {_names(first)}")
    timed = column or next((name for name in TIMES if name in first), None)
    if timed is None:
        raise InputError(f"{path} has no column {', '.join(TIMES)}: name the one with the times, in ms, with --column; "
                         f"it has {_names(first)}")
    return named, timed


def _names(first: Mapping[str, Any]) -> str:
    return printable(", ".join(list(map(str, first))[:20])) or "none"


def _positive(name: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not 0 < number <= MOST_MS:
        raise InputError(f"{name} must be a positive number of at most {MOST_MS:g}, with a decimal point; got "
                         f"{brief(value)}: repair or delete the row")
    return number


def _of_text(value: object) -> Sequence[int]:
    return from_string(str(value).strip()[:1000])


def _of_index(value: object) -> Sequence[int]:
    text = str(value).strip()
    if not text.isdecimal() or len(text) > 6 or int(text) >= len(order()):
        raise InputError(f"index must be a whole number from 0 to {len(order()) - 1}; got {brief(value)}")
    return order()[int(text)]


def _of_choice(value: object) -> Sequence[int]:
    words = value if isinstance(value, list) else str(value or "").strip().strip("[]()").replace(",", " ").split()
    if not words or not all(str(word).isdecimal() and len(str(word)) <= 6 for word in words):
        raise InputError(f"choice must be whole numbers from 0, one a choice of the space; got {brief(value)}")
    return [int(word) for word in words]


_PARSERS: Mapping[str, Callable[[object], Sequence[int]]] = {
    "arch": _of_text, "index": _of_index, "choice": _of_choice,
}


def _rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: measurements are read from {', '.join(SUFFIXES)}")
    if path.suffix == ".parquet":
        return parquet_rows(path)
    if path.suffix == ".json":
        found = read_json(path)
        if isinstance(found, dict):
            found = [{"arch": arch, "latency_ms": ms} for arch, ms in found.items()]
    elif path.suffix == ".jsonl":
        found = [json_value(line, f"{path}, row {number}")
                 for number, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
    else:
        found = _separated(path)
    if not isinstance(found, list) or not found or not all(isinstance(row, dict) for row in found):
        raise InputError(f"{path} holds no rows: expected a network and its latency in each, e.g. "
                         '{"choice": [3, 0, 1, 2, 1, 3], "latency_ms": 12.5}')
    return found


def _separated(path: Path) -> list[dict[str, Any]]:
    text = read_text(path)
    try:
        tables = [list(csv.DictReader(io.StringIO(text, newline=""), strict=True, delimiter=separator))
                  for separator in ",;\t"]
    except csv.Error as err:
        raise InputError(f"cannot read {path} as CSV: {err}") from err
    rows = max(tables, key=lambda table: len(table[0]) if table else 0)
    return [{str(name).strip().lstrip("\ufeff"): value for name, value in row.items()} for row in rows]
