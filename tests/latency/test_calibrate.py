import json

import numpy as np
import pytest

from hwnas.errors import TableError
from hwnas.latency import Calibration, fit, interval


def problem(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.uniform(0.2, 2.0, n), rng.uniform(0.1, 5.0, n)


def test_finds_the_coefficients() -> None:
    s, w = problem(12)
    found = fit(s, w, 1.1 * s + 0.05 + 0.03 * w)
    assert found.form == "affine+weights"
    assert (found.a, found.b_ms, found.c_ms_per_mb) == pytest.approx((1.1, 0.05, 0.03))
    assert found.loo_mape == pytest.approx(0, abs=1e-9)
    assert found.networks == 12


def test_prefers_fewer_coefficients_when_they_do() -> None:
    s, w = problem(12)
    noise = np.random.default_rng(1).normal(0, 0.02, 12)
    found = fit(s, w, 1.3 * s * np.exp(noise))
    assert found.form == "scale"
    assert found.a == pytest.approx(1.3, rel=0.03)


@pytest.mark.parametrize(
    "n, forms", [(0, {"sum"}), (2, {"sum"}), (3, {"sum", "scale"}), (6, {"sum", "scale", "affine"})]
)
def test_few_networks_allow_few_coefficients(n: int, forms: set[str]) -> None:
    s, w = problem(n)
    assert fit(s, w, 1.2 * s + 0.2 + 0.1 * w).form in forms


def test_absurd_slope_is_refused() -> None:
    s, w = problem(12)
    assert fit(s, w, 5 * s).form == "sum"


def test_weights_never_make_a_network_faster() -> None:
    s, w = problem(30)
    found = fit(s, w, 1.2 * s + 0.5 - 0.05 * w)
    assert found.c_ms_per_mb == 0


def test_interval_covers_nine_in_ten() -> None:
    rng = np.random.default_rng(0)
    covered = [abs(rng.normal()) <= interval(rng.normal(size=20)) for _ in range(2000)]
    assert 0.88 <= np.mean(covered) <= 0.94


def test_interval_widens_with_less_evidence() -> None:
    residuals = np.array([0.01, -0.03, 0.02])
    assert interval(residuals) == pytest.approx(0.045)
    assert interval(np.array([])) > 0.2


def test_survives_json() -> None:
    made = fit(*problem(12), problem(12)[0] * 1.2)
    assert Calibration.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize("data", [{"a": "x"}, {"a": float("nan")}, {"b_ms": None}, []])
def test_broken_calibration(data: object) -> None:
    with pytest.raises(TableError):
        Calibration.from_json(data)  # type: ignore[arg-type]
