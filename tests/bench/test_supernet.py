"""Signals of supernets on a small benchmark made here: every one is judged, kept, and computed once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.bench.benchmark import TabularBenchmark
from hwnas.bench.supernet import FILE, judged
from hwnas.data import Dataset, load
from hwnas.errors import RunError, UnknownName, UsageError
from hwnas.search.config import SearchConfig
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.signals import NAMES, Signals, places
from hwnas.space import SpaceConfig, build
from hwnas.train import TrainConfig, as_task

SIZES = (5,) * 6


@pytest.fixture(scope="module")
def benchmark() -> TabularBenchmark:
    truths = np.random.default_rng(0).normal(size=SIZES)
    return TabularBenchmark("small", (truths,), truths)


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load("digits").subset(80, 30, seed=0)


def signals(data: Dataset, name: str = "nasbench201", epochs: int = 1, seed: int = 0) -> Signals:
    space = build(SpaceConfig(name, 16, 1, 10, 0.25, 1))
    config = SearchConfig(train=TrainConfig(batch=32, lr=0.1))
    return Signals(EvaluatorSetting(space, as_task(data), config, seed), epochs)


def test_every_signal_is_judged_and_kept(benchmark: TabularBenchmark, data: Dataset, tmp_path: Path) -> None:
    found = judged(benchmark, signals(data), [*NAMES, "accuracy+params"], 12, tmp_path)
    assert [r.name for r in found] == [*NAMES, "accuracy+params"]
    assert all(-1 <= r.ranking.tau <= 1 and r.ranking.regret >= 0 and 0 <= r.ranking.kept <= 8 for r in found)
    lines = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert [line["signal"] for line in lines] == list(NAMES)
    assert {len(line["values"]) for line in lines} == {12}
    said = {line["signal"]: line["values"] for line in lines}
    assert len(set(said["accuracy"])) > 1
    assert said["accuracy"] != said["accuracy_uniform"]

    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:-30])  # killed while it wrote the last one
    again = judged(benchmark, signals(data), [*NAMES, "accuracy+params"], 12, tmp_path)
    assert [repr(r.ranking) for r in again] == [repr(r.ranking) for r in found]  # a nan equals none
    assert [r.seconds for r in again[:-2]] == [r.seconds for r in found[:-2]]


def test_the_same_seed_says_the_same_and_another_is_refused(benchmark: TabularBenchmark, data: Dataset,
                                                            tmp_path: Path) -> None:
    first, second = (judged(benchmark, signals(data), ["accuracy", "angle"], 10)[0] for _ in range(2))
    assert repr(first.ranking) == repr(second.ranking)
    judged(benchmark, signals(data), ["params"], 10, tmp_path)
    for other in (signals(data, seed=1), signals(data, epochs=2)):
        with pytest.raises(RunError, match="choose another folder"):
            judged(benchmark, other, ["params"], 10, tmp_path)


def test_statistics_that_training_left_are_those_whatever_was_scored_before(data: Dataset) -> None:
    """A score re-estimates the statistics of its path where they stand."""
    cells = [(3,) * 6, (1, 3, 2, 3, 1, 3), (4, 1, 1, 3, 0, 2)]
    alone, after = signals(data, epochs=2), signals(data, epochs=2)
    after("accuracy", cells)
    assert after("accuracy_plain", cells).tolist() == alone("accuracy_plain", cells).tolist()
    trained = after._supernet("fair")
    buffers = dict(trained.evaluator.supernet.named_buffers())
    trained.evaluator.score(cells[0])
    assert any(not torch.equal(value, buffers[name]) for name, value in trained.left.items())


def test_what_cannot_be_judged(benchmark: TabularBenchmark, data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'angle'"):
        judged(benchmark, signals(data), ["angel"], 10)
    with pytest.raises(UnknownName, match="signal"):
        judged(benchmark, signals(data), ["accuracy+"], 10)
    with pytest.raises(UsageError, match="take the space of the benchmark"):
        judged(benchmark, signals(data, "mobile"), ["params"], 10)
    with pytest.raises(UsageError, match="2 to 15625"):
        judged(benchmark, signals(data), ["params"], 20000)
    (tmp_path / FILE).write_text('{"signal": 3}\n')
    with pytest.raises(RunError, match="delete it"):
        judged(benchmark, signals(data), ["params"], 10, tmp_path)


def test_places() -> None:
    assert places(np.array([3.0, 1.0, 2.0])).tolist() == [1, 0, 0.5]
    assert places(np.array([1.0, 1.0, 5.0])).tolist() == [0.25, 0.25, 1]
    assert places(np.array([-np.inf, 0.0])).tolist() == [0, 1]
