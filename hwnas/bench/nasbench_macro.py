"""NAS-Bench-Macro: 6,561 chains of eight layers, CIFAR-10; what one training shows against the mean of three.

Signal: test accuracy of one training. Truth: mean test accuracy of the three, the one that was seen among them.
Source: Su et al., Prioritized Architecture Sampling with Monto-Carlo Tree Search, CVPR 2021.

File `nasbench_macro.parquet`, a row per network:

    arch                  eight digits, a layer each: 0 identity, 1 MBConv expansion 3 kernel 3, 2 expansion 6 kernel 5
    acc1, acc2, acc3      test accuracy of each training in percent
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from hwnas.bench.benchmark import TabularBenchmark
from hwnas.bench.parquet import IntArray, accuracies, locate, read_columns, table_of
from hwnas.errors import InputError, UnknownName

NAME, FILE = "nasbench-macro", "nasbench_macro.parquet"
TRAININGS = ("acc1", "acc2", "acc3")
LAYERS, OPS = 8, 3


def load(data: Path | None, *, training: str | None = None) -> TabularBenchmark:
    """Read the benchmark.

    Args:
        data: the file, or the folder that holds it.
        training: which of `TRAININGS` a search sees; None: seed s sees the one of number s mod 3.

    Raises:
        UnknownName: no such training.
        InputError: no file, another one, or one that is not whole.
        MissingDependency: pyarrow is not installed.
    """
    if training is not None and training not in TRAININGS:
        raise UnknownName("training", training, TRAININGS)
    path = locate(data, NAME, FILE)
    columns = read_columns(path, ["arch", *TRAININGS])
    rows = _rows(path, columns["arch"])
    tables = [table_of(path, rows, (OPS,) * LAYERS, values) for values in accuracies(path, columns, TRAININGS)]
    seen = tables if training is None else [tables[TRAININGS.index(training)]]
    return TabularBenchmark(f"{NAME}/{training}" if training else NAME, seen, np.mean(tables, axis=0))


def _rows(path: Path, names: npt.NDArray[np.object_]) -> IntArray:
    for row, name in enumerate(names):
        if not (isinstance(name, str) and len(name) == LAYERS and name.isascii() and name.isdigit()):
            raise InputError(f"{path}, row {row}: arch must be {LAYERS} digits, e.g. 22212202; got {name!r}")
    return np.array([[int(digit) for digit in name] for name in names], dtype=np.int64).reshape(-1, LAYERS)
