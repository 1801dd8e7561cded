"""Visits that met a busy machine do not count; a simulated machine with two speeds tells whether that is so."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from hwnas.errors import UsageError
from hwnas.runtime import timing
from hwnas.runtime.calm import CALM, EVERY_MS, FEWEST, SLOW, Pulse, calm, middle, slowness
from hwnas.runtime.timing import PATIENCE, Visits, patience


def test_the_slow_state_does_not_count_and_noise_does() -> None:
    rng = np.random.default_rng(0)
    busy = rng.random((4, 200)) < 0.5
    kernels = 0.16 * np.where(busy, 1.4, 1.0) * np.exp(rng.normal(0, 0.02, busy.shape))
    counts = calm(kernels)
    assert not counts[busy].any()
    assert counts[~busy].mean() > 0.95


@pytest.mark.parametrize("calm_ones", [0, 3, 40])
def test_the_calmest_count_however_busy_it_was(calm_ones: int) -> None:
    kernels = np.where(np.arange(100) < calm_ones, 0.16, 0.3)[None] + 1e-6 * np.arange(100)
    assert calm(kernels, usual_ms=0.16).sum() == max(calm_ones, FEWEST)
    assert calm(kernels, usual_ms=0.16, fewest=0).sum() == calm_ones
    assert calm(kernels[:, :2], usual_ms=0.16).all()


def test_a_few_calm_visits_are_not_mixed_with_busy_ones() -> None:
    kernels = np.full((2, 1000), 0.23)
    kernels[:, ::25] = 0.165
    assert calm(kernels, usual_ms=0.16).sum(axis=1).tolist() == [40, 40]


def test_what_was_calm_before_is_calm_now() -> None:
    kernels = np.full((1, 40), 0.23)  # busy all the time: alone nothing tells
    assert calm(kernels).all()
    kernels[:, :6] = 0.17
    assert calm(kernels, usual_ms=0.16).sum() == 6


def test_a_machine_that_is_faster_now_was_busy_then() -> None:
    kernels = np.where(np.arange(40) < 20, 0.16, 0.23)[None]
    assert calm(kernels, usual_ms=0.23).sum() == 20


def test_sweeps_whose_networks_are_slow_do_not_count_though_the_kernel_is_fast() -> None:
    rng = np.random.default_rng(1)
    slow = np.arange(60) % 3 == 0
    times = np.array([0.17, 0.05])[:, None, None] * np.exp(rng.normal(0, 0.05, (2, 60, 5)))
    times[:, slow] *= 2.6
    counts = calm(np.full((2, 60), 0.16), slowness=slowness(times))
    assert not counts[:, slow].any()
    assert counts[:, ~slow].mean() > 0.95


def test_one_slow_network_is_no_slow_machine() -> None:
    times = np.ones((4, 30, 2))
    times[0, :20] = 3.0
    assert slowness(times) == pytest.approx(np.ones(30))


def test_slow_from_end_to_end_is_told_by_what_was_known_before() -> None:
    times = np.full((2, 20, 5), 2.6)
    assert slowness(times) == pytest.approx(np.ones(20))
    assert slowness(times, {0: 1.0}) == pytest.approx(np.full(20, 2.6 / (1 + CALM)))
    assert not calm(np.full((2, 20), 0.16), fewest=0, slowness=slowness(times, {0: 1.0})).any()
    near = np.full((2, 20, 5), (1 + CALM) * (1 + SLOW) - 0.01)
    assert calm(np.full((2, 20), 0.16), fewest=0, slowness=slowness(near, {0: 1.0})).all()
    assert slowness(np.full((1, 5, 2), 0.5), {0: 1.0}) == pytest.approx(np.ones(5)), "slow then, calm now"


def test_nothing_and_a_clock_that_does_not_tick() -> None:
    assert calm(np.zeros((2, 0))).shape == (2, 0)
    assert calm(np.zeros((2, 5))).all()
    assert slowness(np.zeros((2, 5, 2))).tolist() == [1.0] * 5
    assert calm(np.zeros((2, 5)), slowness=slowness(np.zeros((2, 5, 2)))).all()


def test_medians_leave_out_what_does_not_count() -> None:
    found = middle(np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]]), 1)
    assert found[0] == 2
    assert math.isnan(found[1])


class Clock:
    """A timer that says what it is told to."""

    def __init__(self, *told: float) -> None:
        self.told = list(told)

    def __call__(self, call: Callable[[], object]) -> float:
        return self.told.pop(0)


def test_a_visit_has_the_slower_one_of_two_readings() -> None:
    pulse = Pulse(Clock(*[1.0] * 3, *[3.0] * 3, *[2.0] * 3))
    pulse.visited("a", EVERY_MS / 2)
    assert pulse.found == {}  # no reading for so short a visit
    pulse.visited("b", EVERY_MS / 2)
    assert pulse.found == {"a": 3.0, "b": 3.0}
    pulse.visited("a", 0.0)
    assert pulse.read() == 2.0
    assert pulse.found == {"a": 3.0, "b": 3.0}


def visited(visits: Visits, busy: Callable[[int], bool], most: int = 10_000) -> int:
    """Two networks on a machine of two speeds, one of them slowed down more than the other."""
    while not visits.over and visits.made < most:
        slow = busy(visits.made)
        visits.add({"fp32": [1.3 if slow else 1.0] * 2, "int8": [0.85 if slow else 0.5] * 2},
                   dict.fromkeys(("fp32", "int8"), 0.23 if slow else 0.16))
    return visits.made


def test_times_are_those_of_the_calm_visits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(timing.VARIABLE, "100")
    visits = Visits(["fp32", "int8"], 20)
    assert visited(visits, lambda i: i % 5 > 0) == 100
    found = visits.measurements()
    assert (found["fp32"].median_ms, found["int8"].median_ms) == (1.0, 0.5)
    assert found["int8"].runs == 40
    assert found["int8"].kernel_ms == pytest.approx(0.16)


def test_a_machine_that_is_never_calm_ends_the_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(timing.VARIABLE, "1e-3")
    visits = Visits(["fp32", "int8"], 5, calm_kernel_ms=0.16)
    visited(visits, lambda i: True)
    assert visits.over
    assert visits.measurements()["int8"].median_ms == 0.85


def test_a_comparison_that_is_slow_while_the_kernel_is_fast_goes_on_until_it_is_not(monkeypatch: pytest.MonkeyPatch
                                                                                   ) -> None:
    monkeypatch.setenv(timing.VARIABLE, "100")
    visits = Visits(["model", "reference"], 10, calm_kernel_ms=0.16, usual_ms={"reference": 1.0, "absent": 7.0})
    while not visits.over and visits.made < 1000:
        times = 2.6 if visits.made < 30 else 1.0
        visits.add({"model": [0.5 * times] * 2, "reference": [times] * 2}, dict.fromkeys(("model", "reference"), 0.17))
    assert visits.made == 40
    assert visits.measurements()["model"].median_ms == 0.5


def test_a_machine_that_stays_slower_than_it_was_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(timing.VARIABLE, "1e-3")
    visits = Visits(["model", "reference"], 10, usual_ms={"reference": 1.0})
    while not visits.over:
        visits.add({"model": [1.5] * 2, "reference": [3.0] * 2}, dict.fromkeys(("model", "reference"), 0.17))
    found = visits.measurements()["reference"]
    assert (found.median_ms, found.runs) == (3.0, 2 * visits.made)


def test_without_patience_there_are_as_many_visits_as_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(timing.VARIABLE, "0")
    assert visited(Visits(["fp32", "int8"], 7, calm_kernel_ms=0.16), lambda i: True) == 7


def test_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(timing.VARIABLE)
    assert patience() == PATIENCE
    for wrong in ("", "soon", "-1", "nan", "1e9"):
        monkeypatch.setenv(timing.VARIABLE, wrong)
        with pytest.raises(UsageError, match="HWNAS_PATIENCE must be seconds from 0 to 3600"):
            patience()
