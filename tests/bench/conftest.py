"""Small benchmarks, written as the published files are, and packages of somebody else."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.bench import TabularBenchmark
from hwnas.space.nasbench201 import EDGES, edge_name, order

Columns = dict[str, Any]
Write = Callable[[Path, Mapping[str, Any]], Path]


@pytest.fixture
def hills() -> TabularBenchmark:
    """Ragged choices; signals of two trainings; repeatable."""
    rng = np.random.default_rng(7)
    truth = rng.normal(size=(4, 3, 2, 5)).cumsum(axis=0)
    return TabularBenchmark("hills", [truth + rng.normal(size=truth.shape) for _ in range(2)], truth)


@pytest.fixture
def cells() -> Columns:
    """NAS-Bench-201 with other numbers: row i is not index i, and data set cifar100 is left out."""
    rng = np.random.default_rng(0)
    index = rng.permutation(len(order()))
    ops = np.array(order(), dtype=np.int8)[index]
    columns: Columns = {"index": index.astype(np.int32)}
    columns |= {edge_name(*edge): ops[:, i] for i, edge in enumerate(EDGES)}
    return columns | {name: rng.uniform(10, 95, len(index)) for name in ("cifar10_val_12", "cifar10_test_200")}


@pytest.fixture
def chains() -> Columns:
    """NAS-Bench-Macro with other numbers."""
    rng = np.random.default_rng(1)
    names = ["".join(map(str, row)) for row in itertools.product(range(3), repeat=8)]
    return {"arch": names, **{f"acc{i}": rng.uniform(10, 95, len(names)) for i in (1, 2, 3)}}


@pytest.fixture
def write() -> Write:
    """Write columns as a parquet file."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def to(path: Path, columns: Mapping[str, Any]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pyarrow.table(dict(columns)), path)
        return path

    return to


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Mapping[str, str], str], None]:
    """Install a package of somebody else: a name, its modules, its entry_points.txt."""

    def package(name: str, modules: Mapping[str, str], points: str) -> None:
        site = tmp_path / "site"
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(points, encoding="utf-8")
        for module, source in modules.items():
            (site / f"{module}.py").write_text(source, encoding="utf-8")
        monkeypatch.syspath_prepend(str(site))

    return package
