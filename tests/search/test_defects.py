"""One regression test per defect known in the paper's released optimiser. Each is wrong there and right here."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hwnas.errors import UsageError
from hwnas.search.cycle import fair_cycle
from hwnas.search.migo import MigoOptimizer
from hwnas.search.rank_weights import distance_log_weights, log_weights
from hwnas.search.simplex import corrected_move, fisher_length, per_row_move, reference_move
from tests.search.one_at_a_time import answer, following


def finish(optimizer: MigoOptimizer, seed: int = 0) -> MigoOptimizer:
    rng = np.random.default_rng(seed)
    while not optimizer.done:
        answer(optimizer, following(optimizer), rng.normal())
    return optimizer


def rows(*values: list[float]) -> list[np.ndarray]:
    return [np.array(row) for row in values]


@pytest.mark.parametrize("gamma", [0.5, 0.8, 0.9])
def test_1_momentum_breaks_the_trust_region(gamma: float) -> None:
    theta, still = rows([0.25] * 4, [0.25] * 4), rows([0.0] * 4, [0.0] * 4)
    live = [np.ones(4, dtype=bool)] * 2
    effects = rows([0.5, 0.1, -0.1, -0.5], [0.1, -0.5, 0.5, -0.1])
    _, released = reference_move(theta, still, effects, live, 1.0, gamma)
    assert fisher_length(released, theta) == pytest.approx(1 - gamma, abs=1e-6)
    moved, _ = corrected_move(theta, still, effects, live, 1.0, gamma)
    n, tau = 4, min(1 / (2 * 3), 1 / 8)
    logs = [np.log((row - tau) / (1 - n * tau) / 0.25) for row in moved]
    step = [0.25 * (row - row.mean()) for row in logs]
    assert fisher_length(step, theta) == pytest.approx(1.0, abs=1e-9)


def test_1_velocity_cannot_drive_a_probability_below_zero() -> None:
    theta = rows([0.97, 0.01, 0.01, 0.01], [0.25] * 4)
    velocity = rows([0.6, -0.2, -0.2, -0.2], [0.0] * 4)
    live = [np.ones(4, dtype=bool)] * 2
    effects = rows([0.5, 0.1, -0.1, -0.5], [0.0] * 4)
    moved, _ = corrected_move(theta, velocity, effects, live, 50.0, 0.9)
    assert min(row.min() for row in moved) > 0
    assert all(abs(row.sum() - 1) < 1e-12 for row in moved)


def test_2_one_row_spends_the_budget_of_all() -> None:
    theta, still = rows([0.5, 0.5], [0.5, 0.5], [0.5, 0.5]), rows([0.0] * 2, [0.0] * 2, [0.0] * 2)
    live = [np.ones(2, dtype=bool)] * 3
    effects = rows([100.0, -100.0], [1.0, -1.0], [1.0, -1.0])
    shared, _ = corrected_move(theta, still, effects, live, 1.0, 0.0)
    own, _ = per_row_move(theta, still, effects, live, 1.0, 0.0)
    assert shared[1][0] - 0.5 < 0.01 < own[1][0] - 0.5
    np.testing.assert_allclose(own[0], own[1])


def test_2_rounding_is_no_direction() -> None:
    """Three weights that cancel leave 5.6e-17, which a row of its own must not stretch to a full step."""
    theta, still = rows([0.5, 0.5], [0.5, 0.5]), rows([0.0] * 2, [0.0] * 2)
    effects = rows([0.1 + 0.2 - 0.3, 0.0], [1.0, -1.0])
    moved, _ = per_row_move(theta, still, effects, [np.ones(2, dtype=bool)] * 2, 1.0, 0.0)
    np.testing.assert_allclose(moved[0], 0.5, atol=1e-15)
    assert moved[1][0] > 0.6


@pytest.mark.parametrize("mode", ["reference", "corrected", "pooled"])
def test_3_pruned_ops_keep_their_mass(mode: str) -> None:
    optimizer = finish(MigoOptimizer([8] * 6, mode=mode, keep=2))
    for p, mask in zip(optimizer.distribution().probabilities, optimizer.distribution().live, strict=True):
        assert p[~mask].sum() == 0
        assert mask[p.argmax()]
    mode_ops = zip(optimizer.distribution().mode(), optimizer.distribution().live, strict=True)
    assert all(mask[op] for op, mask in mode_ops)
    for utilities, mask in zip(optimizer.distribution().utilities("prob"), optimizer.distribution().live, strict=True):
        assert np.isneginf(utilities[~mask]).all()


def test_3_the_reference_law_itself_keeps_it_as_released() -> None:
    state = finish(MigoOptimizer([8] * 28, mode="reference")).state_dict()
    law, live = np.array(state["probabilities"]), np.array(state["live"], dtype=bool)
    assert 0.55 < law[~live].sum() / 28 < 0.75


@pytest.mark.parametrize("mode", ["corrected", "pooled"])
def test_4_unequal_rows_freeze_the_law(mode: str) -> None:
    optimizer, rng = MigoOptimizer([3, 5], mode=mode, s=100), np.random.default_rng(0)
    for _ in range(5):
        choice = following(optimizer)
        assert choice[0] < 3
        answer(optimizer, choice, rng.normal())
    law = optimizer.distribution().probabilities
    assert np.ptp(law[0]) > 0.01 < np.ptp(law[1])


def test_4_reference_refuses_unequal_rows() -> None:
    with pytest.raises(UsageError, match="same number of ops"):
        MigoOptimizer([3, 5], mode="reference")


def test_5_cycle_and_stop_are_read_from_the_first_row() -> None:
    narrow_first = finish(MigoOptimizer([1, 2, 5], s=1))
    assert narrow_first.evaluations == 5 + 4 + 3 + 2
    assert all(mask.sum() == 1 for mask in narrow_first.distribution().live)
    live = [np.ones(1, dtype=bool), np.ones(5, dtype=bool)]
    assert sorted(op for _, op in fair_cycle(live, np.random.default_rng(0))) == [0, 1, 2, 3, 4]


def test_6_ties_are_never_merged() -> None:
    assert not log_weights(np.array([0.7, 0.7, 0.7, 0.7]), 0.4).any()
    best, upper, lower, least = 0.509186, 0.151796, -0.151796, -0.509186
    half = (upper + lower) / 2
    np.testing.assert_allclose(log_weights(np.array([0.9, 0.5, 0.5, 0.1]), 0.4), [best, half, half, least], atol=1e-6)
    top = (best + upper) / 2
    np.testing.assert_allclose(log_weights(np.array([0.1, 0.9, 0.2, 0.9]), 0.4), [least, top, lower, top], atol=1e-6)


@pytest.mark.parametrize("mode", ["reference", "corrected"])
@pytest.mark.parametrize("choices", [[4], [2], [2, 2]])
def test_7_the_floor_is_degenerate_for_few_choices(choices: list[int], mode: str) -> None:
    optimizer = MigoOptimizer(choices, mode=mode, s=30, gamma=0.0)
    for _ in range(20 * choices[0]):
        choice = following(optimizer)
        answer(optimizer, choice, 1.0 if choice[0] == 1 else 0.0 - choice[0])
    law = optimizer.distribution().probabilities[0]
    assert law[1] > 1.2 / choices[0]
    assert law.min() >= 0
    assert abs(law.sum() - 1) < 1e-12


def test_8_state_is_shared_and_seeding_fragile() -> None:
    alone = finish(MigoOptimizer([4, 3], seed=7)).state_dict()
    first, second = MigoOptimizer([4, 3], seed=7), MigoOptimizer([4, 3], seed=7)
    rng, other = np.random.default_rng(0), np.random.default_rng(1)
    while not first.done:
        np.random.seed(0)  # noqa: NPY002
        answer(first, following(first), rng.normal())
        answer(second, following(second), other.normal())
    assert first.state_dict() == alone
    with pytest.raises(ValueError, match="read-only"):
        first.distribution().probabilities[0][0] = 1.0


def test_9_distance_log_rewards_the_worst() -> None:
    scores = np.array([0.9, 0.5, 0.45, 0.4])
    weights = distance_log_weights(scores, 0.5)
    x = (0.9 - scores) / 0.5 - 0.5
    raw = np.array([-0.5 * math.log((1 + v) / (1 - v)) for v in x])
    np.testing.assert_allclose(weights, raw - raw.mean(), atol=1e-12)
    assert abs(weights.sum()) < 1e-12
    assert (np.diff(weights) < 0).all()
    assert weights[0] > 0 > weights[3]
    assert not distance_log_weights(np.full(4, 0.3), 0.5).any()
