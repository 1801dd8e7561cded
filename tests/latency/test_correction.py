"""What networks of a run say of the predictions for others."""

import math

import numpy as np
import pytest

from hwnas.latency import Prediction
from hwnas.latency.correction import DRIFT_FREEDOM, DRIFT_SD, FEWEST, Correction

SAID = Prediction(2.0, 1.9, 2.2, 1.0)


def test_what_all_take_less_is_a_factor() -> None:
    found = Correction.of([0.8] * 6)
    assert found is not None
    assert (found.factor, found.networks) == (pytest.approx(0.8), 6)
    told = found.applied(SAID)
    assert told.latency_ms == pytest.approx(1.6)
    assert told.low_ms * told.high_ms == pytest.approx(1.6**2)
    assert told.high_ms / told.latency_ms - 1 > DRIFT_SD, "that of another minute is in it however well they agree"


def test_a_machine_that_has_moved_makes_the_interval_wider() -> None:
    still, moved = (Correction.of([0.8, 0.81, 0.79, 0.8, 0.82], m) for m in (0.0, -0.1))
    assert still is not None
    assert moved is not None
    assert moved.factor == still.factor
    assert moved.log_sd == pytest.approx(math.hypot(still.log_sd, 0.1 / math.sqrt(DRIFT_FREEDOM + 1)))


def test_few_say_nothing_and_neither_does_a_clock_that_saw_nothing() -> None:
    assert Correction.of([0.8] * (FEWEST - 1)) is None
    assert Correction.of([0.8] * 6 + [0.0]) is None
    assert Correction.of([]) is None


@pytest.mark.parametrize(("spread", "networks"), [(0.03, 5), (0.03, 16), (0.05, 10)])
def test_the_interval_holds_nine_of_ten_further_networks(spread: float, networks: int) -> None:
    rng = np.random.default_rng(networks)
    held = 0
    for _ in range(1000):
        ratios = 0.8 * np.exp(rng.normal(0, spread, networks + 1))
        found = Correction.of(ratios[:-1].tolist(), rng.normal(0, DRIFT_SD))
        assert found is not None
        told = found.applied(SAID)
        held += told.low_ms <= SAID.latency_ms * ratios[-1] * math.exp(rng.normal(0, DRIFT_SD)) <= told.high_ms
    assert 860 <= held <= 945
