"""A prior of elsewhere, adapted by a few networks: exact where it only scales, honest where it is worth nothing."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.errors import InputError, UsageError
from hwnas.latency import Calibration, LatencyModel, live_ops
from hwnas.latency.estimate import estimate
from hwnas.latency.prior import adapt, choose, left_out
from hwnas.space import Architecture, Op, Space, SpaceConfig, build
from hwnas.target import load

BOARD = load("raspberry-pi-4")
MOBILE = build(SpaceConfig("mobile", 32, classes=10))
CELLS = build(SpaceConfig("nasbench201", 32, classes=10, depth=1))


def prior_of(space: Space) -> LatencyModel:
    entries = {s: max(ms, 1e-4) for s, ms in estimate(space, BOARD).entries_ms.items()}
    return LatencyModel("there", "measured", entries, Calibration("affine", 1.1, 0.05))


def drawn(space: Space, count: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    found = dict.fromkeys(space.sample(rng) for _ in range(3 * count))
    return [arch for arch in found if arch.connected and live_ops(arch)][:count]


def sibling(prior: LatencyModel, archs: list[Architecture], noise: float, seed: int = 0) -> np.ndarray:
    """A device that is twice as slow, slower still with large kernels, pays for every op, and has ops of its own."""
    rng = np.random.default_rng(seed)
    own = {s: float(np.exp(rng.normal(0, 0.05))) for s in sorted(prior.entries_ms)}

    def cost(op: Op) -> float:
        return 2 * prior.op_cost_ms(op) * own[op.signature] * (1.2 if op.kernel > 3 else 1.0) + 0.01 * op.timed

    exact = np.array([0.3 + sum(map(cost, live_ops(arch))) for arch in archs])
    return exact * np.exp(rng.normal(0, noise, len(archs)))


@pytest.mark.parametrize("space", [MOBILE, CELLS], ids=lambda space: space.name)
def test_a_prior_that_is_only_slower_is_found_exactly(space: Space) -> None:
    prior, archs = prior_of(space), drawn(space, 40)
    y = 3.0 * prior.predict_ms(archs)
    found = adapt(prior, BOARD, archs[:20], y[:20].tolist())
    assert found.model.predict_ms(archs[20:]) == pytest.approx(y[20:], rel=0.005)
    assert not found.useless
    assert found.scaled_error < 1e-6
    assert found.model.source == "estimated"
    assert LatencyModel.from_json(found.model.to_json()).predict_ms(archs) == pytest.approx(
        found.model.predict_ms(archs))


def test_a_sibling_is_predicted_within_its_interval() -> None:
    prior = prior_of(MOBILE)
    inside, wrong, line = [], [], []
    for seed in range(2):
        archs = drawn(MOBILE, 120, seed)
        y = sibling(prior, archs, 0.01, seed)
        picked = choose(prior, BOARD, archs[:60], 20)
        assert len(set(picked)) == 20
        found = adapt(prior, BOARD, [archs[i] for i in picked], y[picked].tolist())
        said = [found.model.predict(arch) for arch in archs[60:]]
        inside += [p.low_ms <= ms <= p.high_ms for p, ms in zip(said, y[60:], strict=True)]
        wrong.append(np.mean([abs(p.latency_ms / ms - 1) for p, ms in zip(said, y[60:], strict=True)]))
        line.append(found.line_error)
        assert not found.useless
    assert np.mean(wrong) < 0.03
    assert 100 * np.mean(wrong) < np.mean(line)
    assert np.mean(inside) >= 0.85


def test_a_prior_of_something_else_is_worth_less_than_flops() -> None:
    rng = np.random.default_rng(0)
    prior = prior_of(MOBILE)
    nonsense = LatencyModel("there", "imported", {s: float(rng.uniform(0.01, 3.0)) for s in prior.entries_ms})
    archs = drawn(MOBILE, 20)
    y = np.array([0.5 + arch.flops / 1e6 for arch in archs])
    found = adapt(nonsense, BOARD, archs, y.tolist())
    assert "and a line in FLOPs predicts them with 0.0 %" in found.useless
    assert found.line_error < 1e-3 < found.error


def test_left_out_is_what_fitting_without_each_gives() -> None:
    rng = np.random.default_rng(0)
    x, y = np.stack([np.ones(8), rng.uniform(1, 5, 8)], axis=1), rng.uniform(1, 2, 8)
    for i, e in enumerate(left_out(x, y)):
        rest = np.arange(8) != i
        share = x[rest] / y[rest, None]
        factors = np.linalg.lstsq(share, np.ones(7), rcond=None)[0]
        assert e == pytest.approx(1 - x[i] @ factors / y[i])


def test_what_cannot_be_adapted() -> None:
    prior, archs = prior_of(MOBILE), drawn(MOBILE, 8)
    with pytest.raises(UsageError, match="at least 5 networks"):
        adapt(prior, BOARD, archs[:4], [1.0] * 4)
    with pytest.raises(InputError, match="positive"):
        adapt(prior, BOARD, archs[:5], [1.0, 1.0, 0.0, 1.0, 1.0])
    with pytest.raises(UsageError, match="can pick 1 to 8"):
        choose(prior, BOARD, archs, 9)
