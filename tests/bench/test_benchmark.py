"""Two tables as a benchmark."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.bench import Benchmark, TabularBenchmark
from hwnas.errors import InputError

Shapes = st.lists(st.integers(1, 3), min_size=1, max_size=4)


@given(Shapes, st.integers(0, 100))
def test_the_limit_is_the_regret_of_the_best_signal_of_all(shape: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    signal, truth = rng.integers(0, 5, shape), rng.normal(size=shape)
    benchmark = TabularBenchmark("any", [signal], truth)
    everything = list(itertools.product(*map(range, shape)))
    assert benchmark.choices == tuple(shape)
    assert benchmark.best_truth == max(map(benchmark.truth, everything))
    answer = max(everything, key=benchmark.signal)
    assert benchmark.limit == benchmark.best_truth - truth[answer]
    assert [benchmark.signal(choice) for choice in everything] == signal.ravel().tolist()


def test_a_seed_sees_one_signal(hills: TabularBenchmark) -> None:
    assert isinstance(hills, Benchmark)
    for seed in range(4):
        seen = hills.seeded(seed)
        assert len(seen.signals) == 1
        assert np.array_equal(seen.signals[0], hills.signals[seed % 2])
        assert seen.truths is not hills.truths
        assert seen.choices == (4, 3, 2, 5)
    assert hills.seeded(0).signal((1, 2, 1, 4)) != hills.seeded(1).signal((1, 2, 1, 4))
    assert hills.seeded(0).limit != hills.seeded(1).limit


def test_the_identity_follows_the_numbers(hills: TabularBenchmark) -> None:
    same = TabularBenchmark("hills", hills.signals, hills.truths)
    other = TabularBenchmark("hills", [hills.signals[0], hills.signals[1] + 1e-9], hills.truths)
    turned = TabularBenchmark("hills", [table.reshape(3, 4, 2, 5) for table in hills.signals],
                              hills.truths.reshape(3, 4, 2, 5))
    assert hills.identity == same.identity == pickle.loads(pickle.dumps(hills)).identity
    assert len({hills.identity, other.identity, turned.identity}) == 3


def test_tables_are_copied_and_frozen() -> None:
    truth = np.arange(6.0).reshape(2, 3)
    benchmark = TabularBenchmark("small", [truth], truth)
    truth[0, 0] = 99
    assert benchmark.best_truth == 5
    with pytest.raises(ValueError, match="read-only"):
        benchmark.truths[0, 0] = 1


@pytest.mark.parametrize(("signals", "truths", "match"), [
    ([], np.zeros((2, 2)), "one shape"),
    ([np.zeros((2, 2))], np.zeros((2, 3)), "one shape"),
    ([np.zeros(())], np.zeros(()), "one shape"),
    ([np.zeros((0, 2))], np.zeros((0, 2)), "one shape"),
    ([np.array([1.0, np.nan])], np.zeros(2), "finite"),
    ([np.zeros(2)], np.array([1.0, np.inf]), "finite"),
])
def test_tables_that_are_no_benchmark(signals: list[np.ndarray], truths: np.ndarray, match: str) -> None:
    with pytest.raises(InputError, match=match):
        TabularBenchmark("bad", signals, truths)
