import json

import numpy as np
import pytest

from hwnas.errors import TableError
from hwnas.latency import Calibration, Parts, fit


def problem(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0.2, 2.0, n), rng.uniform(0.1, 5.0, n)


def test_finds_the_coefficients_given_enough_networks() -> None:
    s, w = problem(400)
    found = fit(s, w, 1.1 * s + 0.05 + 0.03 * w)
    assert found.form == "affine+weights"
    assert (found.a, found.b_ms, found.c_ms_per_mb) == pytest.approx((1.1, 0.05, 0.03), rel=0.02)
    assert found.loo_mape == pytest.approx(0, abs=0.1)
    assert found.networks == 400


@pytest.mark.parametrize("seed", range(5))
def test_ten_noisy_networks_predict_others(seed: int) -> None:
    s, w = problem(10, seed)
    found = fit(s, w, (1.2 * s + 0.03) * np.exp(np.random.default_rng(seed).normal(0, 0.01, 10)))
    t, v = problem(100, seed + 100)
    assert np.abs(found.apply(t, v) / (1.2 * t + 0.03) - 1).mean() < 0.02


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_few_networks_never_do_harm(n: int) -> None:
    s, w = problem(n)
    found = fit(s, w, 1.2 * s)
    t, v = problem(100, 9)
    assert np.abs(found.apply(t, v) / (1.2 * t) - 1).mean() < 0.2  # what the plain sum is off by


def test_no_network_is_the_plain_sum() -> None:
    assert fit(*problem(0), np.array([])) == Calibration()
    assert Calibration().apply(np.array([0.5]), np.array([3.0])) == 0.5


def test_absurd_slope_is_refused() -> None:
    s, w = problem(12)
    found = fit(s, w, 5 * s)
    assert (found.form, found.a, found.b_ms, found.c_ms_per_mb) == ("sum", 1, 0, 0)


def test_weights_never_make_a_network_faster() -> None:
    s, w = problem(30)
    found = fit(s, w, 1.2 * s + 0.5 - 0.05 * w)
    assert (found.form, found.c_ms_per_mb) == ("affine", 0)


def test_networks_without_weights_are_no_obstacle() -> None:
    s, _ = problem(8)
    assert fit(s, np.zeros(8), 1.1 * s).a == pytest.approx(1.1, rel=0.02)


def test_spread_goes_with_the_interval() -> None:
    s, w = problem(40)
    found = fit(s, w, 1.1 * s * np.exp(np.random.default_rng(1).normal(0, 0.02, 40)))
    assert found.freedom > 40
    assert found.spread.half_width() == pytest.approx(found.log_spread)
    assert Calibration(log_spread=0.1).spread.half_width() == pytest.approx(0.1)


def test_sums_of_nothing_are_no_obstacle() -> None:
    s, w = problem(12)
    s[0] = 0.0
    found = fit(s, w, np.full(12, 0.5))
    assert np.isfinite([found.a, found.b_ms, found.c_ms_per_mb, found.log_spread]).all()


def test_survives_json() -> None:
    made = fit(*problem(12), problem(12)[0] * 1.2)
    assert Calibration.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize("data", [{"a": "x"}, {"a": float("nan")}, {"b_ms": None}, {"log_sd": float("inf")}, []])
def test_broken_calibration(data: object) -> None:
    with pytest.raises(TableError):
        Calibration.from_json(data)  # type: ignore[arg-type]


def cells(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Parts]:
    """Sums of pools and convolutions, weights, and maps whose activation is shared."""
    rng = np.random.default_rng(seed)
    pools, convolutions = rng.uniform(0.0, 0.3, n), rng.uniform(0.2, 1.0, n)
    shared = rng.integers(0, 4, n) * 0.3
    return pools + convolutions, rng.uniform(0.1, 1.0, n), Parts({"avgpool": pools, "preconv": convolutions}, shared)


def truth(s: np.ndarray, parts: Parts) -> np.ndarray:
    return s + 0.2 * parts.kinds_ms["avgpool"] - 0.1 * parts.kinds_ms["preconv"] - 0.05 * parts.shared_mb


def test_parts_of_cells_get_factors_of_their_own() -> None:
    s, w, parts = cells(50)
    found, plain = fit(s, w, truth(s, parts), parts), fit(s, w, truth(s, parts))
    t, v, others = cells(200, 1)
    errors = [np.abs(p / truth(t, others) - 1).mean() for p in (found.apply(t, v, others), plain.apply(t, v))]
    assert found.form.endswith("+parts")
    assert errors[0] < 0.01
    assert errors[0] < errors[1] / 3
    assert found.shared_ms_per_mb > 0
    assert Calibration.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_what_several_ops_read_may_make_a_network_slower() -> None:
    s, w, parts = cells(50)
    found = fit(s, w, s + 0.1 * parts.shared_mb, parts)
    assert found.shared_ms_per_mb < 0
    t, v, others = cells(200, 1)
    assert np.abs(found.apply(t, v, others) / (t + 0.1 * others.shared_mb) - 1).mean() < 0.01
    assert Calibration.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_few_networks_get_no_factors() -> None:
    s, w, parts = cells(5)
    assert fit(s, w, truth(s, parts), parts).kinds == {}


def test_an_absurd_factor_is_refused() -> None:
    s, w, parts = cells(50)
    found = fit(s, w, s + 5 * parts.kinds_ms["avgpool"], parts)
    assert all(0.5 <= found.a + k <= 2 for k in found.kinds.values())
