import math

import numpy as np
import pytest
from scipy.stats import norm, t

from hwnas.errors import UsageError
from hwnas.latency import fit, interval
from hwnas.latency.intervals import LOAD_SD, UNKNOWN_SPREAD, Spread, spread, student_t


@pytest.mark.parametrize("freedom", [3, 5, 12, 32, 52, 1000])
@pytest.mark.parametrize("probability", [0.5, 0.6, 0.9, 0.95, 0.99])
def test_student_is_scipys(probability: float, freedom: float) -> None:
    assert student_t(probability, freedom) == pytest.approx(t.ppf(probability, freedom), rel=0.01, abs=1e-9)


def test_without_limit_student_is_normal() -> None:
    assert student_t(0.95, math.inf) == pytest.approx(norm.ppf(0.95))


@pytest.mark.parametrize("n, least", [(10, 0.42), (50, 0.85), (130, 0.95)])
@pytest.mark.parametrize("scale", [0.008, 0.02, 0.06])
def test_intervals_hold_85_to_95_percent(n: int, least: float, scale: float) -> None:
    """Over many tables: on average nine in ten, and the more networks, the more tables within 85 to 95 %."""
    rng = np.random.default_rng(0)
    further = np.hypot(scale, LOAD_SD)  # other networks run in other processes
    held = np.array([2 * norm.cdf(interval(rng.normal(0, scale, n)) / further) - 1 for _ in range(1500)])
    assert 0.88 <= held.mean() <= (0.92 if n >= 50 else 0.95)
    assert np.mean((held >= 0.85) & (held <= 0.95)) >= least


@pytest.mark.parametrize("noise", [0.006, 0.015, 0.04])
def test_calibrated_predictions_are_covered(noise: float) -> None:
    """The whole way: a table with its own errors, 50 networks to calibrate, 200 others to be held."""
    held = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        true = rng.uniform(0.05, 0.3, 30)
        table = true * np.exp(rng.normal(0, noise, 30))
        uses = rng.multinomial(12, np.full(30, 1 / 30), 250)
        w = rng.uniform(0.5, 3, 250)
        y = (1.05 * uses @ true + 0.02 + 0.03 * w) * np.exp(rng.normal(0, noise, 250))
        s = uses @ table
        found = fit(s[:50], w[:50], y[:50])
        ratio = np.log(y[50:] / found.apply(s[50:], w[50:])) + rng.normal(0, LOAD_SD, 200)
        held.append(np.mean(np.abs(ratio) <= found.log_spread))
    assert 0.87 <= np.mean(held) <= 0.94
    assert np.mean([0.85 <= h <= 0.95 for h in held]) >= 0.75


def test_a_bias_is_an_error_too() -> None:
    assert interval(np.full(30, 0.1)) > 0.1


def test_nothing_measured_is_a_quarter() -> None:
    assert interval(np.array([])) == pytest.approx(UNKNOWN_SPREAD)
    assert spread(np.array([])).freedom == math.inf


def test_one_sided_and_two_sided_agree() -> None:
    made = Spread(0.02, 40)
    assert made.half_width(0.9) == pytest.approx(made.quantile(0.95))
    assert made.quantile(0.5) == 0
    assert Spread.of_half_width(0.1).half_width() == pytest.approx(0.1)


@pytest.mark.parametrize("confidence", [0.49, 1.0, -1, 2, float("nan")])
def test_confidence_out_of_range(confidence: float) -> None:
    with pytest.raises(UsageError, match=r"confidence must be at least 0\.5"):
        Spread(0.02, 40).quantile(confidence)
