import numpy as np
import pytest

from hwnas.profile.blocks import Block, empty_model
from hwnas.profile.graph import random_weights
from hwnas.profile.sweeps import Sweeper, Times, speed_factors, usual
from hwnas.runtime import open_runtime
from hwnas.space import Op


def test_speed_is_recovered_and_divided_out() -> None:
    rng = np.random.default_rng(0)
    base = rng.uniform(0.1, 2, (30, 1, 1))
    speed = rng.uniform(0.8, 1.4, 15)
    times = base * speed[None, :, None] * np.exp(rng.normal(0, 0.001, (30, 15, 2)))
    found = speed_factors(times)
    np.testing.assert_allclose(found, speed / np.median(speed), rtol=0.005)
    spread = (times / found[None, :, None]).reshape(30, -1)
    assert (spread.std(axis=1) / spread.mean(axis=1) < 0.005).all()


def test_sweeps_whose_sentinels_disagree_are_left_out() -> None:
    ratios = np.array([5.0, 5.2, 4.9, 7.0, 5.1, 4.0, 5.0])
    assert usual(ratios).tolist() == [True, True, True, False, True, False, True]


def test_all_count_when_nothing_is_usual() -> None:
    assert usual(np.array([1.0, 2.0, 4.0, 8.0])).all()


def test_halves_split_the_sweeps() -> None:
    times = Times(("a",), np.array([[[1.0], [10.0], [2.0], [20.0]]]), np.ones(4), 0)
    (odd, even), (first, second) = times.halves()
    assert (odd["a"], even["a"]) == (1.5, 15.0)
    assert (first["a"], second["a"]) == (5.5, 11.0)
    assert times.medians()["a"] == 6.0
    assert times.quantiles("a") == pytest.approx((1.3, 17.0))


def test_a_sweep_visits_everything_once() -> None:
    weights = random_weights()
    small, large = (Block(Op.parse(f"mbconv k3 e{e} s1 16-16 8x8 relu")) for e in (1, 6))
    models = {"empty": empty_model(1), "small": small.model(1, weights), "large": large.model(1, weights)}
    sweeper = Sweeper(models, ("large", "small"), open_runtime("onnxruntime"), np.random.default_rng(0))
    for _ in range(5):
        sweeper.sweep()
    times = sweeper.times()
    assert sweeper.sweeps == 5
    assert times.keys == ("empty", "small", "large")
    assert times.times_ms.shape == (3, 5 - times.rejected, 2)
    assert (times.times_ms > 0).all()
    assert times.medians()["large"] > times.medians()["empty"]
    assert sweeper.first_run_ratio > 0
    assert all(s > 0 for s in sweeper.seconds.values())
