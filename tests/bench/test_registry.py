"""Benchmarks by name, our own and those of other packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from hwnas.bench import Benchmark, load, names
from hwnas.bench.registry import TABLE
from hwnas.errors import InputError, UnknownName, UsageError

SOURCE = """
import numpy as np
from hwnas.bench import TabularBenchmark
def load(data, *, size=3, name="mine"):
    truth = np.arange(size ** 2, dtype=float).reshape(size, size)
    return TabularBenchmark(name, [truth], truth)
def needy(data, *, secret):
    return load(data)
def lost(data):
    return 3
number = 4
"""
POINTS = """[hwnas.benchmarks]
mine = {0}:load
nasbench201 = {0}:load
needy = {0}:needy
lost = {0}:lost
number = {0}:number
gone = {0}:gone
away = no_such_module_at_all:load
"""


@pytest.fixture(autouse=True)
def plugin(install: Callable[[str, Mapping[str, str], str], None], tmp_path: Path) -> None:
    module = f"benchmarks_{abs(hash(tmp_path))}"
    install(module, {module: SOURCE}, POINTS.format(module))


def test_other_packages_add_benchmarks() -> None:
    found = load("mine", size=4)
    assert isinstance(found, Benchmark)
    assert found.choices == (4, 4)
    assert {*TABLE, "mine"} <= set(names())


def test_our_names_cannot_be_taken_over() -> None:
    with pytest.raises(InputError, match="give --data"):
        load("nasbench201")


def test_unknown_names_and_options() -> None:
    with pytest.raises(UnknownName, match=r"unknown benchmark 'nasbench-201'. Did you mean 'nasbench201'"):
        load("nasbench-201")
    with pytest.raises(UnknownName, match=r"'sise'. Did you mean 'size'"):
        load("mine", sise=3)
    with pytest.raises(UnknownName, match="option of benchmark 'nasbench-macro': 'dataset'"):
        load("nasbench-macro", dataset="cifar10")
    with pytest.raises(UsageError, match="needs the option 'secret'"):
        load("needy")


@pytest.mark.parametrize(("name", "match"), [
    ("lost", "gave 3"), ("number", "must be a function"), ("gone", "does not import"), ("away", "does not import"),
])
def test_broken_plugins_say_so(name: str, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        load(name)
