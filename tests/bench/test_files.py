"""NAS-Bench-201 and NAS-Bench-Macro as they are published, and files that are not them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.bench import TabularBenchmark, load
from hwnas.errors import InputError, UnknownName
from hwnas.space import Architecture, SpaceConfig, build
from hwnas.space.nasbench201 import index_of, order

DATA = Path(__file__).parents[2].parent / "shared" / "data"
NB201, MACRO = DATA / "nasbench201" / "nasbench201.parquet", DATA / "nasbench_macro" / "nasbench_macro.parquet"
here = pytest.mark.skipif(not (NB201.is_file() and MACRO.is_file()), reason="no published tables in ../shared/data")

Columns, Write = dict[str, Any], Callable[..., Path]


def read(name: str, data: Path | None, **options: str) -> TabularBenchmark:
    found = load(name, data, **options)
    assert isinstance(found, TabularBenchmark)
    return found


def test_cells_are_found_by_the_choice_of_our_space(cells: Columns, write: Write, tmp_path: Path) -> None:
    found = read("nasbench201", write(tmp_path / "nasbench201.parquet", cells))
    space = build(SpaceConfig("nasbench201", 32))
    assert found.choices == tuple(space.sizes)
    row_of = {int(index): row for row, index in enumerate(cells["index"])}
    for choice in np.random.default_rng(0).integers(0, 5, (50, 6)).tolist():
        row = row_of[index_of(Architecture(space, tuple(choice)))]
        assert found.signal(choice) == cells["cifar10_val_12"][row]
        assert found.truth(choice) == cells["cifar10_test_200"][row]


def test_a_folder_will_do(cells: Columns, chains: Columns, write: Write, tmp_path: Path) -> None:
    write(tmp_path / "nasbench201.parquet", cells)
    write(tmp_path / "nasbench_macro.parquet", chains)
    assert read("nasbench201", tmp_path).name == "nasbench201/cifar10"
    assert read("nasbench-macro", tmp_path).name == "nasbench-macro"


def test_chains_are_judged_by_the_mean_of_three(chains: Columns, write: Write, tmp_path: Path) -> None:
    path = write(tmp_path / "m.parquet", chains)
    found, second = read("nasbench-macro", path), read("nasbench-macro", path, training="acc2")
    assert found.choices == (3,) * 8
    assert second.name == "nasbench-macro/acc2"
    for row, choice in list(enumerate(itertools.product(range(3), repeat=8)))[::97]:
        three = [chains[f"acc{i}"][row] for i in (1, 2, 3)]
        assert found.truth(choice) == pytest.approx(np.mean(three), abs=1e-12)
        assert [found.seeded(seed).signal(choice) for seed in range(4)] == [*three, three[0]]
        assert second.seeded(7).signal(choice) == three[1]


@here
@pytest.mark.parametrize(("dataset", "best", "index", "limit"), [
    ("cifar10", 94.373, 6111, 0.0), ("cifar100", 73.513, 9930, 1.233),
])
def test_the_published_cells(dataset: str, best: float, index: int, limit: float) -> None:
    """Best accuracies as in the literature; the limits are those the issue names."""
    found = read("nasbench201", NB201, dataset=dataset)
    assert found.best_truth == pytest.approx(best, abs=1e-3)
    assert found.truth(order()[index]) == found.best_truth
    assert found.limit == pytest.approx(limit, abs=1e-3)


@here
def test_the_published_chains() -> None:
    found = read("nasbench-macro", MACRO.parent)
    assert found.best_truth == pytest.approx(93.1267, abs=1e-4)
    assert found.truth((2, 2, 2, 1, 2, 2, 0, 2)) == found.best_truth
    assert [found.seeded(seed).limit for seed in range(3)] == pytest.approx([0, 0.1033, 0.02], abs=1e-4)


def swapped(columns: Columns, a: str, b: str) -> Columns:
    return columns | {a: columns[b], b: columns[a]}


@pytest.mark.parametrize(("change", "parts"), [
    (lambda c: {k: v for k, v in c.items() if k != "op_3_1"}, ["no column op_3_1", "cifar10_val_12"]),
    (lambda c: {k: v[:-2] for k, v in c.items()}, ["2 are missing", "whole file"]),
    (lambda c: {k: np.concatenate([v[:-1], v[:1]]) for k, v in c.items()}, ["1 are missing and 1 repeated"]),
    (lambda c: swapped(c, "op_2_0", "op_2_1"), ["cell", "NAS-Bench-201", "0 none, 1 skip_connect"]),
    (lambda c: c | {"index": np.zeros_like(c["index"])}, ["index must hold 0 to 15624"]),
    (lambda c: c | {"op_1_0": c["op_1_0"] + 1}, ["ops must be from 0 to 4"]),
    (lambda c: c | {"op_1_0": c["op_1_0"] / 1.0}, ["column op_1_0", "whole number"]),
    (lambda c: c | {"cifar10_val_12": np.where(c["index"] == 3, np.nan, 50.0)}, ["cifar10_val_12", "nan", "1 such"]),
    (lambda c: c | {"cifar10_test_200": c["cifar10_test_200"] * 100}, ["from 0 to 100"]),
    (lambda c: c | {"cifar10_test_200": ["high"] * len(c["index"])}, ["cifar10_test_200", "percent"]),
])
def test_cells_that_are_not_the_benchmark(change: Callable[[Columns], Columns], parts: list[str], cells: Columns,
                                          write: Write, tmp_path: Path) -> None:
    path = write(tmp_path / "broken.parquet", change(cells))
    with pytest.raises(InputError) as caught:
        load("nasbench201", path)
    assert [part for part in [str(path), *parts] if part not in str(caught.value)] == []


@pytest.mark.parametrize(("change", "match"), [
    (lambda c: c | {"arch": ["0" * 7 + "x", *c["arch"][1:]]}, "row 0: arch must be 8 digits"),
    (lambda c: c | {"arch": [5, *range(len(c["arch"]) - 1)]}, "row 0: arch must be 8 digits"),
    (lambda c: c | {"arch": ["3" * 8, *c["arch"][1:]]}, "ops must be from 0 to 2"),
    (lambda c: {k: v[:5] for k, v in c.items()}, "6,556 are missing"),
    (lambda c: {k: v[:0] for k, v in c.items()}, "6,561 are missing|digits"),
    (lambda c: {k: v for k, v in c.items() if k != "acc3"}, "no column acc3"),
])
def test_chains_that_are_not_the_benchmark(change: Callable[[Columns], Columns], match: str, chains: Columns,
                                           write: Write, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=match):
        load("nasbench-macro", write(tmp_path / "broken.parquet", change(chains)))


def test_files_that_are_not_there_or_something_else(cells: Columns, chains: Columns, write: Write,
                                                    tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("no parquet\n", encoding="utf-8")
    macro = write(tmp_path / "m" / "nasbench_macro.parquet", chains)
    for data, match in ((None, "give --data"), (tmp_path, "no such file.*nasbench201.parquet"),
                        (tmp_path / "away", "no such file"), (tmp_path / "text.parquet", "not a readable parquet"),
                        (macro, "no column index, op_1_0")):
        with pytest.raises(InputError, match=match):
            load("nasbench201", data)


def test_data_sets_and_trainings_by_name(cells: Columns, chains: Columns, write: Write, tmp_path: Path) -> None:
    path = write(tmp_path / "c.parquet", cells)
    with pytest.raises(UnknownName, match="Did you mean 'cifar10'"):
        load("nasbench201", path, dataset="cifar-10")
    with pytest.raises(InputError, match="no column ImageNet16-120_val_12, ImageNet16-120_test_200"):
        load("nasbench201", path, dataset="ImageNet16-120")
    with pytest.raises(UnknownName, match="Did you mean 'acc1'"):
        load("nasbench-macro", write(tmp_path / "m.parquet", chains), training="ac1")
