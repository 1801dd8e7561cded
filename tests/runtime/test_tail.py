"""The 99th percentile counts all runs; what breaks a budget are those on a calm machine, what keeps it are all."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.runtime import tail
from hwnas.runtime.spending import kept, kept_tail
from hwnas.runtime.tail import BLOCKS, Tail, measure_tail

CALM = np.full(20, 0.16)


def runs(rng: np.random.Generator, blocks: int = 20, each: int = 50) -> Any:
    return 1.0 + 0.05 * np.abs(rng.normal(size=(blocks, each)))


@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(1, 60))
def test_it_is_the_least_time_that_99_of_100_runs_are_within(seed: int, blocks: int, each: int) -> None:
    times = np.random.default_rng(seed).lognormal(size=(blocks, each))
    found = Tail.of(times, np.full(blocks, 0.16))
    ordered = sorted(times.ravel().tolist())
    assert found.p99_ms == min(t for t in ordered if sum(o <= t for o in ordered) >= math.ceil(0.99 * len(ordered)))
    assert found.low_ms <= found.p99_ms <= found.high_ms
    assert found.calm_ms == found.p99_ms
    assert found.busy == 0
    assert found.runs == blocks * each


def test_runs_on_a_busy_machine_count_and_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    times, kernels = runs(rng), CALM.copy()
    times[:5] *= 30
    kernels[:5] = 0.3
    found = Tail.of(times, kernels)
    assert found.p99_ms > 25
    assert found.calm_ms < 1.5
    assert found.busy == pytest.approx(0.25)
    assert Tail.of(times, np.full(20, 0.3), usual_ms=0.27).busy == 0.0
    slow = 0.3 + 1e-6 * np.arange(20)
    assert Tail.of(times, slow, usual_ms=0.16).busy == 1.0  # busy all the time: known from before


def test_what_lasts_for_a_block_makes_the_interval_wide() -> None:
    """Runs in a row share a state: a thousand of them are not a thousand measurements."""
    rng = np.random.default_rng(1)
    apart, together = runs(rng), runs(rng)
    apart.ravel()[rng.permutation(apart.size)[:15]] += 5
    together[7, :15] += 5
    wide, narrow = (found.high_ms - found.low_ms for found in (Tail.of(together, CALM), Tail.of(apart, CALM)))
    assert wide > narrow


def test_three_verdicts() -> None:
    found = Tail(p99_ms=10.0, low_ms=8.0, high_ms=12.0, median_ms=1.0, calm_ms=2.0, busy=0.3, runs=1000)
    assert kept_tail(11.0, found).verdict == "good"
    assert kept_tail(5.0, found).verdict == "open"
    assert kept_tail(1.5, found).verdict == "slow"
    assert "30 % of the runs met a busy machine, the others alone give 2.000 ms" in kept_tail(5.0, found).sentence
    assert kept_tail(9.8, found).verdict == "good"  # as two measurements may differ
    assert kept_tail(9.8, found, again=False).verdict == "open"


def test_what_is_not_known_is_open_and_no_zero() -> None:
    found = kept("energy", 5.0, None)
    assert found.verdict == "open"
    assert found.value is None
    assert "does not tell" in found.sentence


class Slow:
    threads = 1

    def __init__(self, own_ms: float | None) -> None:
        self.own_ms, self.made = own_ms, 0

    def example(self, batch: int = 1) -> dict[str, Any]:
        return {}

    def run(self, inputs: dict[str, Any]) -> list[Any]:
        self.made += 1
        return []

    def time_ms(self, inputs: dict[str, Any]) -> float | None:
        return self.own_ms


def test_a_core_that_others_had_meanwhile_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel is timed by the processor's clock, which does not see that."""
    clock = {"wall": 0, "own": 0, "runs": 0}

    class Interrupted(Slow):
        def run(self, inputs: dict[str, Any]) -> list[Any]:
            clock["runs"] += 1
            clock["own"] += 1_000_000
            clock["wall"] += 60_000_000 if clock["runs"] % 30 == 0 and clock["runs"] > 600 else 1_000_000
            return []

    monkeypatch.setattr("hwnas.runtime.tail.time.perf_counter_ns", lambda: clock["wall"])
    monkeypatch.setattr("hwnas.runtime.timing.time.process_time_ns", lambda: clock["own"])
    monkeypatch.setattr(tail, "kernel_ms", lambda timer: 0.16)
    found = measure_tail(Interrupted(None), runs=1000)  # type: ignore[arg-type]
    assert found.p99_ms == 60.0
    assert found.calm_ms == 1.0
    assert 0.3 < found.busy < 0.6


def test_it_ends_in_time_but_never_before_enough_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = Slow(None)
    assert measure_tail(fast, runs=400).runs == 400  # type: ignore[arg-type]
    assert fast.made >= 400
    hours = Slow(1e6)  # by the session's own clock
    found = measure_tail(hours, seconds=1.0)  # type: ignore[arg-type]
    assert found.runs == BLOCKS * tail.LEAST_RUNS
    assert found.p99_ms == 1e6
    assert hours.made == 0
