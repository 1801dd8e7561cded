import numpy as np
import pytest

from hwnas.profile.sweeps import Times, sentinel_ratios, speed_factors, times_of, usual
from hwnas.runtime import Sweep


def sweep(number: int, times: dict[str, list[float]], large: float = 5.0, kernel: float = 0.3) -> Sweep:
    return Sweep(number, times, [(large, 1.0)] * 4, 1.8, [kernel] * 4, dict.fromkeys(times, 0.01))


def times(values: np.ndarray) -> Times:
    n = values.shape[1]
    return Times(tuple("abcdefgh"[: len(values)]), values, np.ones(n), np.full(n, 0.3), 0)


def test_speed_is_recovered_and_divided_out() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.1, 2, (30, 1, 1))
    speed = rng.uniform(0.8, 1.4, 15)
    raw = base * speed[None, :, None] * np.exp(rng.normal(0, 0.001, (30, 15, 2)))
    found = speed_factors(raw)
    np.testing.assert_allclose(found, speed / np.median(speed), rtol=0.005)
    spread = (raw / found[None, :, None]).reshape(30, -1)
    assert (spread.std(axis=1) / spread.mean(axis=1) < 0.005).all()


def test_sweeps_whose_sentinels_disagree_are_left_out() -> None:
    ratios = np.array([5.0, 5.2, 4.9, 7.0, 5.1, 4.0, 5.0])
    assert usual(ratios).tolist() == [True, True, True, False, True, False, True]


def test_noise_is_no_reason_to_leave_sweeps_out() -> None:
    rng = np.random.default_rng(0)
    assert usual(5 * np.exp(rng.normal(0, 0.08, 200))).mean() > 0.95
    assert usual(5 * np.exp(rng.normal(0, 0.03, 200))).mean() > 0.98
    assert not usual(np.array([5.0] * 10 + [6.5])).all()


def test_all_count_when_nothing_is_usual() -> None:
    assert usual(np.array([1.0, 2.0, 4.0, 8.0])).all()


def test_sweeps_become_times() -> None:
    made = [sweep(i, {"a": [1.0, 3.0], "b": [10.0, 10.0]}, large=9.0 if i == 2 else 5.0) for i in range(6)]
    assert sentinel_ratios(made).tolist() == [5, 5, 9, 5, 5, 5]
    found = times_of(made)
    assert found.keys == ("a", "b")
    assert found.times_ms.shape == (2, 5, 2)
    assert (found.sweeps, found.rejected) == (5, 1)
    assert found.medians() == {"a": 2.0, "b": 10.0}
    assert found.steady_kernel_ms == pytest.approx(0.3)


def test_kernel_is_given_at_the_speed_of_the_times() -> None:
    speed = [1.0, 1.0, 1.0, 1.0, 1.5]
    made = [sweep(i, {"a": [f, f], "b": [2 * f, 2 * f]}, kernel=0.3 * f) for i, f in enumerate(speed)]
    assert times_of(made).steady_kernel_ms == pytest.approx(0.3)


def test_halves_split_the_sweeps() -> None:
    found = times(np.array([[[1.0], [10.0], [2.0], [20.0]]]))
    (odd, even), (first, second) = found.halves()
    assert (odd["a"], even["a"]) == (1.5, 15.0)
    assert (first["a"], second["a"]) == (5.5, 11.0)
    assert found.medians()["a"] == 6.0
    assert found.quantiles("a") == pytest.approx((1.3, 17.0))


@pytest.mark.parametrize("sweeps", [16, 40])
def test_the_median_lies_within_its_interval_as_often_as_stated(sweeps: int) -> None:
    """Runs of a visit share its state, so they are no independent samples; 95 % of the models must be inside."""
    rng = np.random.default_rng(0)
    visits = rng.normal(0, 0.03, (2000, sweeps, 1)) + rng.normal(0, 0.005, (2000, sweeps, 2))
    found = Times(tuple(map(str, range(2000))), np.exp(visits), np.ones(sweeps), np.ones(sweeps), 0)
    medians, widths = found.medians(), found.half_widths()
    inside = np.mean([abs(medians[key] - 1) <= widths[key] for key in found.keys])
    assert 0.90 <= inside <= 0.975


def test_one_preempted_visit_moves_neither_median_nor_interval() -> None:
    calm = np.exp(np.random.default_rng(0).normal(0, 0.01, (1, 20, 2)))
    hit = calm.copy()
    hit[0, 3] = 50
    assert times(hit).medians()["a"] == pytest.approx(times(calm).medians()["a"], rel=0.005)
    assert times(hit).half_widths()["a"] == pytest.approx(times(calm).half_widths()["a"], rel=0.5)
