from dataclasses import replace

import numpy as np
import pytest

from hwnas.profile.sweeps import Times, sentinel_ratios, times_of, usual
from hwnas.runtime import Sweep
from hwnas.runtime.calm import speed_factors


def sweep(number: int, times: dict[str, list[float]], large: float = 5.0, kernel: float = 0.3) -> Sweep:
    return Sweep(number, times, [(large, 1.0)] * 4, 1.8, [kernel] * 4, dict.fromkeys(times, 0.01),
                 visit_kernel_ms=dict.fromkeys(times, kernel))


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


def test_what_was_not_visited_is_no_time_and_no_busy_visit() -> None:
    turns = {0: ["a", "b"], 1: ["a", "c"]}
    made = [sweep(i, {name: [1.0 + 0.1 * (i % 3), 1.0] for name in turns[i % 2]}) for i in range(12)]
    found = times_of(made)
    assert found.keys == ("a", "b", "c")
    assert (found.sweeps, found.runs, found.busy) == (12, 24, 0.0)
    assert all(np.isfinite(list(part.values())).all() for pair in found.halves() for part in pair)
    assert found.half_widths()["a"] >= 0


def test_no_sweep_is_left_out_that_holds_all_there_is_of_a_model() -> None:
    made = [sweep(i, {"a": [1.0, 1.0], **({"b": [2.0, 2.0]} if i == 2 else {})}, large=9.0 if i == 2 else 5.0)
            for i in range(6)]
    found = times_of(made)
    assert (found.rejected, found.medians()) == (0, {"a": 1.0, "b": 2.0})


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


def test_a_neighbour_on_the_core_moves_no_time() -> None:
    """fp32 and int8 are slowed down by different factors, so no speed that is divided out brings both back."""
    rng = np.random.default_rng(0)
    made = []
    for i in range(60):
        busy = rng.random() < 0.5
        f, q, k = (1.3, 1.7, 1.4) if busy else (1.0, 1.0, 1.0)
        noise = np.exp(rng.normal(0, 0.01, 4)).tolist()
        made.append(sweep(i, {"a": [f * noise[0], f * noise[1]], "b": [q * noise[2], q * noise[3]]}, kernel=0.16 * k))
    found = times_of(made)
    assert found.medians() == pytest.approx({"a": 1.0, "b": 1.0}, rel=0.01)
    assert 0.3 < found.busy < 0.7
    assert found.sweeps == round(60 * (1 - found.busy))
    assert found.steady_kernel_ms == pytest.approx(0.16, rel=0.01)


def test_a_model_that_met_a_busy_machine_at_every_visit_is_timed_all_the_same() -> None:
    made = [replace(sweep(i, {"a": [1.0], "b": [2.0], "c": [4.0]}), visit_kernel_ms={"a": 0.2, "b": 0.2, "c": 0.5})
            for i in range(8)]
    assert times_of(made).medians() == {"a": 1.0, "b": 2.0, "c": 4.0}


def test_halves_are_of_the_visits_of_every_model() -> None:
    """A model that is visited in every other sweep has both an odd and an even half."""
    found = times(np.array([[[1.0], [np.nan], [2.0], [np.nan]], [[1.0], [1.0], [1.0], [1.0]],
                            [[np.nan], [5.0], [np.nan], [np.nan]]]))
    (odd, even), (first, second) = found.halves()
    assert (odd["a"], even["a"], first["a"], second["a"]) == (1.0, 2.0, 1.0, 2.0)
    assert (odd["c"], even["c"]) == (5.0, 5.0), "where there is one half only, both are the whole"
    assert found.sweeps == 4, "of those that are visited most"
