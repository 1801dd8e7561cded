"""What every sweep of this machine must keep to."""

from __future__ import annotations

import gc
import itertools
import os
from collections import Counter

import numpy as np
import pytest

from hwnas.errors import InputError, UsageError
from hwnas.runtime import Inputs, LocalDevice, Runtime, Session, SweepPlan, Timer
from hwnas.runtime.reference_kernel import kernel_ms
from hwnas.runtime.runtime import Array

MODELS = {name: name.encode() for name in ("large", "small", *"abcdefgh")}
PLAN = SweepPlan(("large", "small"), warmup=3, timed=2, sentinel_visits=4, seed=5)


class Recorder(Runtime):
    """A runtime that computes nothing and writes down who was run, in order."""

    name = "recorder"
    version, provider, precisions = "1", "nothing", ("fp32",)

    def __init__(self, own_clock: bool = False) -> None:
        super().__init__()
        self.runs: list[str] = []
        self.collecting: set[bool] = set()
        self.cores: set[frozenset[int]] = set()
        self.own_clock = own_clock

    def load(self, model: bytes) -> Session:
        if model == b"broken":
            raise InputError("not a model")
        return RecorderSession(self, model.decode())


class RecorderSession(Session):
    threads, input_name, input_shape, input_dtype = 1, "x", (1,), np.dtype(np.float32)

    def __init__(self, runtime: Recorder, name: str) -> None:
        self.runtime, self.name = runtime, name

    def run(self, inputs: Inputs) -> list[Array]:
        self.runtime.runs.append(self.name)
        self.runtime.collecting.add(gc.isenabled())
        self.runtime.cores.add(frozenset(os.sched_getaffinity(0)))
        return []

    def time_ms(self, inputs: Inputs) -> float | None:
        if not self.runtime.own_clock:
            return None
        self.run(inputs)
        return float(len(self.runtime.runs))


def taken(runtime: Runtime, n: int, plan: SweepPlan = PLAN, cores: tuple[int, ...] | None = None):
    with LocalDevice(runtime, cores).sweeps(MODELS, plan) as sweeps:
        return list(itertools.islice(sweeps, n))


def visits(runs: list[str]) -> list[str]:
    """Names in the order of their visits, a visit being a group of equal names."""
    return [name for name, _ in itertools.groupby(runs)]


def test_every_model_is_visited_once_with_warmup() -> None:
    runtime = Recorder()
    (sweep,) = taken(runtime, 1)
    runs = Counter(runtime.runs)
    assert {name: runs[name] for name in "abcdefgh"} == dict.fromkeys("abcdefgh", 5)
    assert runs["large"] == runs["small"] == 5 + 4 * 5
    assert list(sweep.times_ms) == list(MODELS)
    assert {len(times) for times in sweep.times_ms.values()} == {2}
    assert set(sweep.seconds) == set(MODELS)
    assert len(sweep.sentinels_ms) == len(sweep.kernel_ms) == 4


def test_sentinels_stand_evenly_between_the_models() -> None:
    runtime = Recorder()
    taken(runtime, 1)
    order = visits(runtime.runs)
    places = [i for i, pair in enumerate(itertools.pairwise(order)) if pair == ("large", "small")]
    assert len(places) >= 4
    assert places[0] == 0
    between = np.diff([i for i in places if i in places[:4]])
    assert between.max() <= 6  # 10 models in 4 parts, and the sentinels themselves


def test_the_order_is_new_every_sweep_and_follows_from_the_seed() -> None:
    first, second = Recorder(), Recorder()
    taken(first, 3)
    taken(second, 3)
    assert first.runs == second.runs
    size = len(first.runs) // 3
    assert first.runs[:size] != first.runs[size : 2 * size]
    third = Recorder()
    taken(third, 3, SweepPlan(("large", "small"), seed=6))
    assert third.runs != first.runs


def test_a_sessions_own_clock_is_used() -> None:
    runtime = Recorder(own_clock=True)
    (sweep,) = taken(runtime, 1)
    for first, second in sweep.times_ms.values():
        assert second == first + 1 >= 5  # the number of the run; three warm-up runs came before
    assert len(runtime.runs) == 8 * 5 + 2 * 5 + 8 * 5


def test_nothing_is_collected_while_the_clock_runs() -> None:
    runtime = Recorder()
    taken(runtime, 1)
    assert runtime.collecting == {False}
    assert gc.isenabled()


def test_numbers_count_from_zero() -> None:
    assert [sweep.number for sweep in taken(Recorder(), 3)] == [0, 1, 2]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin")
def test_cores_are_pinned_while_it_works_and_free_again() -> None:
    before, runtime = os.sched_getaffinity(0), Recorder()
    taken(runtime, 1, cores=(min(before),))
    assert runtime.cores == {frozenset([min(before)])}
    assert os.sched_getaffinity(0) == before


def test_a_broken_model_is_named() -> None:
    with (pytest.raises(InputError, match="model 'x': not a model"),
          LocalDevice(Recorder()).sweeps({**MODELS, "x": b"broken"}, PLAN)):
        pass


def test_a_sentinel_must_be_there() -> None:
    with pytest.raises(UsageError, match="sentinel 'huge' must be among the models"):
        taken(Recorder(), 1, SweepPlan(("huge", "small")))


def test_the_kernel_takes_some_hundred_microseconds() -> None:
    assert 0.02 < kernel_ms(Timer(1)) < 20
