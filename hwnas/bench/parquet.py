"""Columns of a benchmark's .parquet file, checked before anything is believed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.bench.benchmark import FloatArray
from hwnas.errors import InputError, MissingDependency

Columns = dict[str, npt.NDArray[Any]]
IntArray = npt.NDArray[np.int64]


def locate(data: Path | None, benchmark: str, name: str) -> Path:
    """The file itself: `data`, or `name` in the folder `data`.

    Raises:
        InputError: no path was given, or nothing is there.
    """
    way_out = f"give --data the file {name} or the folder that holds it (docs/benchmarks.md says what is in it)"
    if data is None:
        raise InputError(f"benchmark {benchmark} is read from a file: {way_out}")
    path = data / name if data.is_dir() else data
    if not path.is_file():
        raise InputError(f"no such file: {path}; {way_out}")
    return path


def read_columns(path: Path, wanted: Sequence[str]) -> Columns:
    """The wanted columns of a file.

    Raises:
        MissingDependency: pyarrow is not installed.
        InputError: not a parquet file, or it lacks a column; names those that it has.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as err:
        raise MissingDependency("pyarrow", "reading a benchmark", 'pip install "hwnas[bench]"') from err
    try:
        with parquet.ParquetFile(path) as file:
            there = list(file.schema_arrow.names)
            if lacking := [name for name in wanted if name not in there]:
                raise InputError(f"{path} has no column {', '.join(lacking)}; it has {', '.join(there)}: "
                                 "give the file of this benchmark and a data set that it holds")
            table = file.read(columns=list(wanted))
    except (pa.ArrowException, OSError) as err:
        raise InputError(f"{path} is not a readable parquet file ({' '.join(str(err).split())}): fetch it again"
                         ) from err
    return {name: table.column(name).to_numpy() for name in wanted}


def accuracies(path: Path, columns: Columns, names: Sequence[str]) -> list[FloatArray]:
    """Columns of accuracies in percent.

    Raises:
        InputError: something that is no number from 0 to 100; names the column and the first such row.
    """
    found = []
    for name in names:
        try:
            values = columns[name].astype(np.float64)
        except (TypeError, ValueError) as err:
            raise InputError(f"{path}, column {name}: accuracies in percent expected ({err})") from err
        if (wrong := np.flatnonzero(~((values >= 0) & (values <= 100)))).size:
            raise InputError(f"{path}, column {name}: an accuracy in percent must be from 0 to 100; "
                             f"row {wrong[0]} holds {values[wrong[0]]} ({wrong.size} such rows)")
        found.append(values)
    return found


def integers(path: Path, columns: Columns, name: str) -> IntArray:
    """A column of whole numbers.

    Raises:
        InputError: another kind of column, or rows without a value.
    """
    if columns[name].dtype.kind not in "iu":
        raise InputError(f"{path}, column {name}: every row must hold a whole number; it is of {columns[name].dtype}")
    return columns[name].astype(np.int64)


def table_of(path: Path, rows: IntArray, shape: tuple[int, ...], values: FloatArray) -> FloatArray:
    """Values (N,) as a table of `shape`, addressed by the choice vectors `rows` (N, d).

    Raises:
        InputError: an op that there is not, or an architecture that is missing or there twice.
    """
    if rows.size and ((rows < 0) | (rows >= np.array(shape))).any():
        raise InputError(f"{path}: ops must be from 0 to {max(shape) - 1}; got {rows.min()} to {rows.max()}")
    counts = np.zeros(shape, dtype=np.int64)
    np.add.at(counts, tuple(rows.T), 1)
    if not (counts == 1).all():
        first = tuple(int(x) for x in np.argwhere(counts != 1)[0])
        raise InputError(f"{path}: each of the {counts.size:,} architectures must be there once; "
                         f"{(counts == 0).sum():,} are missing and {(counts > 1).sum():,} repeated, first {first}: "
                         "fetch the whole file")
    table = np.empty(shape)
    table[tuple(rows.T)] = values
    return table
