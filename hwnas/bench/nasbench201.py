"""NAS-Bench-201: 15,625 cells; what 12 epochs show against what 200 epochs give.

Signal: validation accuracy of the 12-epoch schedule, mean over seeds. Truth: test accuracy of the 200-epoch one.
Source: Dong & Yang, NAS-Bench-201, ICLR 2020; Dong et al., NATS-Bench, TPAMI 2021.

File `nasbench201.parquet`, a row per cell:

    index                        the benchmark's own number, 0..15624
    op_1_0 ... op_3_2            op of each edge (to, from): 0 none, 1 skip, 2 conv 1x1, 3 conv 3x3, 4 average pool
    {data set}_val_12, {data set}_test_200   accuracies in percent

Choice vectors are those of the space `nasbench201`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hwnas.bench.benchmark import TabularBenchmark
from hwnas.bench.parquet import IntArray, accuracies, integers, locate, read_columns, table_of
from hwnas.errors import InputError, UnknownName
from hwnas.space.nasbench201 import EDGES, OPS, edge_name, order

NAME, FILE = "nasbench201", "nasbench201.parquet"
DATASETS = ("cifar10", "cifar100", "ImageNet16-120")


def load(data: Path | None, *, dataset: str = "cifar10") -> TabularBenchmark:
    """Read the benchmark.

    Args:
        data: the file, or the folder that holds it.
        dataset: one of `DATASETS`; which of them a file holds, its columns say.

    Raises:
        UnknownName: no such data set.
        InputError: no file, another one, or one that is not whole.
        MissingDependency: pyarrow is not installed.
    """
    if dataset not in DATASETS:
        raise UnknownName("data set", dataset, DATASETS)
    path = locate(data, NAME, FILE)
    edges, scores = [edge_name(*edge) for edge in EDGES], [f"{dataset}_val_12", f"{dataset}_test_200"]
    columns = read_columns(path, ["index", *edges, *scores])
    rows = np.stack([integers(path, columns, edge) for edge in edges], axis=1)
    signal, truth = (table_of(path, rows, (len(OPS),) * len(EDGES), values)
                     for values in accuracies(path, columns, scores))
    _check_order(path, integers(path, columns, "index"), rows)
    return TabularBenchmark(f"{NAME}/{dataset}", (signal,), truth)


def _check_order(path: Path, index: IntArray, rows: IntArray) -> None:
    """The ops of a row must be those of its index, or the codes or the edges mean something else."""
    cells = np.array(order())
    if sorted(index.tolist()) != list(range(len(cells))):
        raise InputError(f"{path}: the column index must hold 0 to {len(cells) - 1}, each once")
    if (wrong := np.flatnonzero((cells[index] != rows).any(axis=1))).size:
        row = int(wrong[0])
        raise InputError(f"{path}: cell {index[row]} of NAS-Bench-201 is {cells[index[row]].tolist()}, row {row} says "
                         f"{rows[row].tolist()}: write the ops as {', '.join(f'{i} {op}' for i, op in enumerate(OPS))}")
