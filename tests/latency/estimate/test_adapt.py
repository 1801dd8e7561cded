"""Adapting an estimate: better with a few networks, within bounds, and honest about its band."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import InputError, MissingEntry, UsageError
from hwnas.latency import errors
from hwnas.latency.estimate import estimate
from hwnas.latency.estimate.adapt import adapt, fit_factors, leave_one_out, posterior
from hwnas.latency.estimate.design import choose
from hwnas.latency.estimate.model import run_of
from hwnas.latency.estimate.regressors import COUNT, Regressors
from hwnas.latency.estimate.roofline import Roofline
from hwnas.space import Architecture, Op, Space, SpaceConfig, build
from hwnas.target import Target, load

MOBILE = build(SpaceConfig("mobile", 32, classes=10))
CELLS = build(SpaceConfig("nasbench201", 32, classes=10, depth=1))
SPACES = {space.name: space for space in (MOBILE, CELLS)}


def parts(target: Target) -> Regressors:
    assert target.hardware is not None
    return Regressors(Roofline.of(target, target.hardware), 1.0)


def device(target: Target, archs: list[Architecture], rng: np.random.Generator, noise: float) -> np.ndarray:
    """Latencies on a made-up device: every part off by a factor of its own, and noise."""
    factors = np.zeros(COUNT)
    factors[:8] = np.exp(rng.normal(0, 0.7, 8)) * 2
    design = np.array([parts(target).of_run(run_of(arch)) for arch in archs])
    return design @ factors * np.exp(rng.normal(0, noise, len(archs)))


def networks(space: Space, rng: np.random.Generator, count: int) -> list[Architecture]:
    drawn = [space.sample(rng) for _ in range(4 * count)]
    return [arch for arch in drawn if "none" not in {op.kind for op in arch.ops}][:count]


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("target", ["jetson-tx2", "raspberry-pi-4"])
def test_a_few_networks_make_it_better_and_more_make_it_better_still(name: str, target: str) -> None:
    space, on = SPACES[name], load(target)
    before, few, many = [], [], []
    for seed in range(3):
        rng = np.random.default_rng(seed)
        archs = networks(space, rng, 60)
        y = device(on, archs, rng, noise=0.01)
        model = estimate(space, on)
        held = slice(20, None)
        scale = np.exp(np.median(np.log(y[held] / model.predict_ms(archs[held]))))
        before.append(errors(model.predict_ms(archs[held]) * scale, y[held]))
        for count, kept in ((5, few), (20, many)):
            adapted = adapt(model, on, archs[:count], y[:count].tolist())
            kept.append(errors(adapted.predict_ms(archs[held]), y[held]))
    mape = [float(np.mean([e.mape for e in kept])) for kept in (before, few, many)]
    assert mape[2] < mape[1] < mape[0]
    assert mape[2] < 2.0
    assert np.mean([e.kendall_tau for e in many]) > np.mean([e.kendall_tau for e in before])


def test_the_band_of_an_adapted_model_holds_what_it_says() -> None:
    inside, on = [], load("jetson-nano")
    for seed in range(8):
        rng = np.random.default_rng(seed)
        archs = networks(CELLS, rng, 60)
        y = device(on, archs, rng, noise=0.04)
        adapted = adapt(estimate(CELLS, on), on, archs[:20], y[:20].tolist())
        predictions = [adapted.predict(arch) for arch in archs[20:]]
        inside += [p.low_ms <= ms <= p.high_ms for p, ms in zip(predictions, y[20:], strict=True)]
    assert 0.83 <= np.mean(inside) <= 0.97


def test_it_stays_an_estimate_and_says_on_how_many_networks() -> None:
    rng, on = np.random.default_rng(0), load("jetson")
    archs = networks(MOBILE, rng, 8)
    model = estimate(MOBILE, on)
    adapted = adapt(model, on, archs, device(on, archs, rng, 0.01).tolist())
    assert adapted.source == "estimated"
    assert adapted.calibration.networks == 8
    assert adapted.calibration.loo_mape is not None
    assert adapted.calibration.log_spread < model.calibration.log_spread
    assert adapted.table_hash != model.table_hash
    assert set(adapted.entries_ms) == set(model.entries_ms)
    assert min(adapted.entries_ms.values()) >= 0
    assert all(0 <= second <= later for second, later in adapted.terms_ms.values())


def test_measurements_that_agree_with_the_estimate_leave_it_nearly_as_it_was() -> None:
    rng, on = np.random.default_rng(1), load("jetson")
    archs = networks(MOBILE, rng, 40)
    model = estimate(MOBILE, on)
    y = model.predict_ms(archs)
    adapted = adapt(model, on, archs[:10], (3 * y[:10]).tolist())
    assert adapted.predict_ms(archs) == pytest.approx(3 * y, rel=2e-3)


def test_costs_of_choices_still_bound_the_prediction() -> None:
    rng, on = np.random.default_rng(2), load("jetson-tx2")
    archs = networks(CELLS, rng, 20)
    adapted = adapt(estimate(CELLS, on), on, archs, device(on, archs, rng, 0.02).tolist())
    fixed, rows = adapted.costs_ns(CELLS)
    for _ in range(100):
        arch = CELLS.sample(rng)
        total = fixed + sum(int(row[i]) for row, i in zip(rows, arch.choice, strict=True))
        assert total >= adapted.predict(arch).latency_ms * 1e6 - 1


@pytest.mark.parametrize(
    ("count", "measured", "error", "message"),
    [
        (4, [1.0] * 4, UsageError, "at least 5 networks.*got 4 networks and 4 latencies"),
        (6, [1.0] * 5, UsageError, "got 6 networks and 5 latencies"),
        (5, [1.0, 2.0, 0.0, 1.0, 1.0], InputError, "positive number of ms; got 0.0"),
        (5, [1.0, 2.0, float("nan"), 1.0, 1.0], InputError, "positive number of ms; got nan"),
    ],
)
def test_what_cannot_be_adapted_to(count: int, measured: list[float], error: type[Exception], message: str) -> None:
    archs = networks(MOBILE, np.random.default_rng(0), count)
    with pytest.raises(error, match=message):
        adapt(estimate(MOBILE, load("jetson")), load("jetson"), archs, measured)


def test_networks_of_another_space_are_refused() -> None:
    archs = networks(CELLS, np.random.default_rng(0), 5)
    with pytest.raises(MissingEntry):
        adapt(estimate(MOBILE, load("jetson")), load("jetson"), archs, [1.0] * 5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(5, 20))
def test_leave_one_out_errors_and_the_minimum_are_what_they_say(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    design = np.abs(rng.normal(1, 0.5, (n, 4))) + 0.01
    y = design @ np.array([1.0, 3.0, 0.01, 0.5]) * np.exp(rng.normal(0, 0.02, n))
    share, mean = design / y[:, None], np.ones(4)
    sd, positive = np.full(4, 2.0), np.array([True, True, True, False])
    factors = posterior(share, mean, sd, 0.02, positive)

    def cost(f: np.ndarray) -> float:
        return float((((1 - share @ f) / 0.02) ** 2).sum() + (((f - mean) / sd) ** 2).sum())

    assert (factors[:3] >= 0).all()
    for _ in range(20):
        step = factors + rng.normal(0, 0.05, 4)
        step[:3] = np.maximum(step[:3], 0)
        assert cost(step) >= cost(factors) * (1 - 1e-6)
    _, errors_found = fit_factors(design, y, np.array([1.0, 1.0, 1.0, 0.0]))
    assert errors_found.shape == (n,)
    assert np.abs(errors_found).mean() < 1


def test_leave_one_out_in_closed_form_is_fitting_to_the_others() -> None:
    rng = np.random.default_rng(3)
    share, mean, sd, noise = np.abs(rng.normal(1, 0.3, (7, 3))), np.ones(3) * 0.4, np.array([1.0, 0.5, 0.1]), 0.05
    free = np.zeros(3, dtype=bool)
    for i, error in enumerate(leave_one_out(share, mean, sd, noise)):
        rest = np.arange(7) != i
        assert error == pytest.approx(1 - share[i] @ posterior(share[rest], mean, sd, noise, free), abs=1e-9)


def test_parts_add_up_to_the_estimate() -> None:
    on = load("jetson")
    for space in (MOBILE, CELLS):
        model, split = estimate(space, on, "compiled"), parts(on)
        for signature, ms in model.entries_ms.items():
            assert split.of_op(Op.parse(signature)) @ split.expected == pytest.approx(ms)
        arch = space.sample(np.random.default_rng(4))
        assert split.of_run(run_of(arch)) @ split.expected == pytest.approx(model.predict(arch).latency_ms)


def test_a_design_picks_different_networks_that_leave_less_uncertain_than_random_ones() -> None:
    on, rng = load("jetson-tx2"), np.random.default_rng(0)
    archs = networks(CELLS, rng, 80)
    model = estimate(CELLS, on)
    picked = choose(model, on, archs, 8)
    assert len(set(picked)) == 8
    assert picked == choose(model, on, archs, 8)
    share = np.array([parts(on).of_run(run_of(arch)) / model.predict(arch).latency_ms for arch in archs])

    def left(rows: list[int]) -> float:
        prior = np.diag(1 / np.where(parts(on).expected > 0, 1.0, 0.3) ** 2)
        return float(np.linalg.slogdet(prior + share[rows].T @ share[rows] / 0.03**2)[1])

    assert all(left(picked) > left(rng.permutation(80)[:8].tolist()) for _ in range(50))
    with pytest.raises(UsageError, match="can pick 1 to 80 of 80 networks; got 81"):
        choose(model, on, archs, 81)
