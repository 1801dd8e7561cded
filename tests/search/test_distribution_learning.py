"""Learners of a product law against hand-computed vectors, and one test per defect known in released versions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.search.base import PlannedStrategy
from hwnas.search.distribution_learning.asng import Asng, whiten
from hwnas.search.distribution_learning.batch_weights import (
    importance_weights,
    in_nats,
    piecewise_weights,
    softmax,
    truncation_weights,
)
from hwnas.search.distribution_learning.ddpnas import Ddpnas
from hwnas.search.distribution_learning.factors import joint_logits, settings_of
from hwnas.search.distribution_learning.fpnas import FpNas, excess_shares
from hwnas.search.distribution_learning.learner import entropy, floored, score_gradient
from hwnas.search.distribution_learning.mdenas import Mdenas, pairwise_move
from hwnas.search.distribution_learning.pbil import Pbil
from hwnas.search.distribution_learning.sng import Sng
from hwnas.search.registry import create
from hwnas.search.simplex import fisher_length
from tests.search.one_at_a_time import answer, following

NAMES = ["asng", "ddpnas", "fpnas", "mdenas", "parsec", "pbil", "sng"]
SAMPLES = [(0, 1, 2), (1, 2, 3), (2, 3, 0), (3, 0, 1)]
SCORES = [0.9, 0.8, 0.7, 0.6]


def feed(strategy: PlannedStrategy, samples: Sequence[Sequence[int]], scores: Sequence[float]) -> None:
    """Make the next evaluations the given ones: through the saved state, as a resumed run would."""
    for sample, score in zip(samples, scores, strict=True):
        state = strategy.state_dict()
        strategy.load_state_dict(state | {"records": state["records"] | {"pending": list(sample)}})
        assert following(strategy) == tuple(sample)
        answer(strategy, sample, score)


def law(strategy: Any) -> list[np.ndarray]:
    return list(strategy.distribution().probabilities)


def additive(rows: Sequence[np.ndarray], x: Sequence[int]) -> float:
    return float(sum(row[op] for row, op in zip(rows, x, strict=True)))


def close(actual: Any, expected: Any, atol: float = 5e-7) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


# Acceptance vectors of the SNG family.


def test_sng_vector() -> None:
    sng = Sng([4, 4, 4], 40, lam=4)
    feed(sng, SAMPLES, SCORES)
    for shift, row in enumerate(law(sng)):
        close(row, np.roll([0.418079, 0.235405, 0.235405, 0.111111], shift))


def test_asng_vector() -> None:
    asng, sng = Asng([4, 4, 4], 40, lam=4), Sng([4, 4, 4], 40, lam=4)
    for strategy in (asng, sng):
        feed(strategy, SAMPLES, SCORES)
    np.testing.assert_array_equal(law(asng), law(sng))
    assert asng.state_dict()["ratio"] == pytest.approx(1.063673, abs=5e-7)
    assert asng.state_dict()["gamma"] == pytest.approx(0.555556, abs=5e-7)


def test_the_second_step_of_asng_has_the_adapted_length() -> None:
    asng = Asng([4, 4, 4], 40, lam=4)
    feed(asng, SAMPLES, SCORES)
    ratio, before = asng.state_dict()["ratio"], law(asng)
    feed(asng, SAMPLES, SCORES)
    gradient = score_gradient(SAMPLES, piecewise_weights(np.array(SCORES)), before)
    eps = 1 / ratio / fisher_length(gradient, before)
    for row, expected in zip(law(asng), floored([t + eps * g for t, g in zip(before, gradient, strict=True)]),
                             strict=True):
        close(row, expected, 1e-12)


def test_mdenas_vectors() -> None:
    counts, last, fresh = np.array([2, 1]), np.array([0.5, 0.6]), np.ones(2, dtype=bool)
    close(pairwise_move(np.array([0.5, 0.5]), counts, last, fresh, 0.01), [0.49, 0.51], 1e-15)
    np.testing.assert_array_equal(pairwise_move(np.array([0.005, 0.995]), counts, last, fresh, 0.01), [0, 1])
    close(pairwise_move(np.array([0.5, 0.5]), counts[::-1], last, fresh, 0.01), [0.5, 0.5], 1e-15)


def test_ddpnas_vector() -> None:
    close(softmax(in_nats(np.array([0.9, 0.8]), 0.01)), [0.999955, 0.000045])
    ddpnas = Ddpnas([3], 6, s=1, scale=0.01)
    ddpnas.load_state_dict(ddpnas.state_dict() | {"plan": [[0], [1], [2]]})
    for op, score in enumerate([0.9, 0.8, 0.85]):
        answer(ddpnas, following(ddpnas), score)
        assert ddpnas.distribution().live[0].all() == (op < 2)
    e = np.exp([0.0, -10.0, -5.0]) / np.exp([0.0, -10.0, -5.0]).sum()
    theta = (1 / 3 + 0.2 * e) / 1.2
    np.testing.assert_array_equal(ddpnas.distribution().live[0], [True, False, True])
    close(law(ddpnas)[0], np.where([True, False, True], theta, 0) / (theta[0] + theta[2]), 1e-12)


def test_pbil_is_igo_with_truncation_weights() -> None:
    pbil = Pbil([4, 4, 4], 40, lam=4, mu=2, eta=0.3)
    feed(pbil, SAMPLES, SCORES)
    theta = [np.full(4, 0.25)] * 3
    step = score_gradient(SAMPLES, truncation_weights(np.array(SCORES), 2), theta)
    for i, row in enumerate(law(pbil)):
        best = np.bincount([SAMPLES[0][i], SAMPLES[1][i]], minlength=4) / 2
        close(row, 0.7 * 0.25 + 0.3 * best, 1e-15)
        close(row, theta[i] + 0.3 * step[i], 1e-15)


# Acceptance vectors of PARSEC and FP-NAS.


def test_parsec_gradient_vector() -> None:
    weights = importance_weights(np.array([-1.0, -2.0]))
    close(weights, [0.731059, 0.268941])
    close(score_gradient([[0], [1]], weights, [np.full(3, 1 / 3)])[0], [0.397725, -0.064392, -0.333333])


def test_fpnas_takes_as_many_samples_as_the_law_has_entropy() -> None:
    fpnas = FpNas([7] * 21, 100)
    assert entropy(law(fpnas)) == pytest.approx(40.864, abs=5e-4)
    assert fpnas._batch() == 11
    state = fpnas.state_dict()
    sizes = []
    for sharpness in (0.0, 1.0, 2.0, 3.0, 5.0, 50.0):
        fpnas.load_state_dict(state | {"logits": [sharpness * (k == 0) for _ in range(21) for k in range(7)]})
        sizes.append(fpnas._batch())
    assert sizes[0] == 11
    assert sizes[-1] == 2
    assert sizes == sorted(sizes, reverse=True)


def test_joint_logits_keep_the_law_of_all_720_tuples() -> None:
    rng, sizes = np.random.default_rng(0), (3, 2, 2, 6, 10)
    factors = [rng.normal(scale=3, size=n) for n in sizes]
    joint = softmax(joint_logits(factors))
    assert len(joint) == 720
    for op, values in enumerate(itertools.product(*map(range, sizes))):
        p = math.prod(softmax(row)[a] for row, a in zip(factors, values, strict=True))
        assert joint[op] == pytest.approx(p, abs=1e-12)
        assert settings_of([(op,)], [sizes]) == [values]


def test_costs_below_the_target_pull_at_nothing() -> None:
    assert not excess_shares(np.array([1.0, 2.0, 3.0]), 3.0).any()
    close(excess_shares(np.array([1.0, 4.0, 6.0]), 2.0), [0, 1 / 3, 2 / 3])
    rows, score = [[0.0, 1.0, 2.0]] * 3, [np.arange(3.0)] * 3
    free, roomy, tight = (
        search(FpNas([3] * 3, 80, seed=2, **cost), score)  # type: ignore[arg-type]
        for cost in ({}, {"costs": rows, "target": 6.0}, {"costs": rows, "target": 1.0, "beta": 3.0})
    )
    np.testing.assert_array_equal(law(free), law(roomy))
    assert sum(p @ np.arange(3) for p in law(tight)) < sum(p @ np.arange(3) for p in law(free)) - 1


def search(strategy: Any, rows: Sequence[np.ndarray]) -> Any:
    while not strategy.done:
        choice = following(strategy)
        answer(strategy, choice, additive(rows, choice))
    return strategy


@pytest.mark.parametrize("name", ["parsec", "fpnas"])
def test_the_mode_reaches_the_optimum_of_an_additive_toy(name: str) -> None:
    """20 of 20 seeds within 300 steps, and it is still there 5 steps later."""
    choices = [3, 4, 3, 4, 3]
    for seed in range(20):
        rng = np.random.default_rng((11, seed))
        rows = [rng.normal(size=k) for k in choices]
        best = tuple(int(row.argmax()) for row in rows)
        strategy, steps, stayed = create(name, choices, evaluations=300 * 16, seed=seed), 0, 0
        while stayed < 5:
            held = strategy.state_dict()["learnt"]
            while strategy.state_dict()["learnt"] == held:
                choice = following(strategy)
                answer(strategy, choice, additive(rows, choice))
            steps += 1
            stayed = stayed + 1 if tuple(int(p.argmax()) for p in strategy.law()) == best else 0  # type: ignore[attr-defined]
            assert steps <= 300, f"seed {seed}: mode {strategy.distribution().mode()}, optimum {best}"


# Defects of the released searches.


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_mdenas_does_not_depend_on_the_order_of_the_ops(seed: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    theta, counts, last = rng.dirichlet(np.ones(k)), rng.integers(0, 4, k), rng.normal(size=k)
    fresh, order = rng.random(k) < 0.7, rng.permutation(k)
    moved = pairwise_move(theta, counts, last, fresh, 0.1)
    again = pairwise_move(theta[order], counts[order], last[order], fresh[order], 0.1)
    close(again, moved[order], 1e-15)
    assert moved.min() >= 0
    assert abs(moved.sum() - 1) < 1e-12


def test_mdenas_moves_by_the_rule_of_its_pairs() -> None:
    theta, counts, last = np.full(3, 1 / 3), np.array([3, 2, 2]), np.array([0.1, 0.5, 0.4])
    gained = {0: -2, 1: 2, 2: 0}  # 0 gives to 1 and 2; 2 gives to 1
    moved = pairwise_move(theta, counts, last, np.ones(3, dtype=bool), 0.01)
    close(moved, [1 / 3 + 0.01 * gained[k] for k in range(3)], 1e-15)


def test_mdenas_never_loses_an_op() -> None:
    mdenas, rows = Mdenas([5, 3, 4], 200, lr=0.5), [np.arange(5.0), np.arange(3.0), np.arange(4.0)]
    while not mdenas.done:
        choice = following(mdenas)
        answer(mdenas, choice, additive(rows, choice))
        assert all(p.min() > 0.05 for p in law(mdenas))


def test_mdenas_does_not_compare_stale_scores() -> None:
    for rounds, moves in ((1, False), (2, True)):
        mdenas = Mdenas([4, 2], 40, rounds=rounds)
        feed(mdenas, [(0, 0)] * 3 + [(1, 0)] * 4, [0.5] * 3 + [0.5] * 4)
        before = law(mdenas)[0]
        feed(mdenas, [(2, 0)], [0.9])  # op 0 was last seen five evaluations ago, with a lower score and a higher E
        loss = before - law(mdenas)[0]
        assert loss[1] == pytest.approx(0.01)
        assert loss[0] == pytest.approx(0.01 * moves, abs=1e-12)


def test_mdenas_has_its_learning_rate_as_an_option() -> None:
    assert Mdenas([2], 4).state_dict()["options"]["lr"] == 0.01
    assert create("mdenas", [2], evaluations=4, lr=0.1).state_dict()["options"]["lr"] == 0.1


def test_ddpnas_rows_are_laws_on_live_ops_at_every_point() -> None:
    ddpnas, rng = Ddpnas([5, 2, 4], 50), np.random.default_rng(0)
    while not ddpnas.done:
        answer(ddpnas, following(ddpnas), rng.normal())
        for p, mask in zip(law(ddpnas), ddpnas.distribution().live, strict=True):
            assert abs(p.sum() - 1) < 1e-12
            assert not p[~mask].any()


def test_ddpnas_treats_no_op_by_its_index() -> None:
    """The release guards two groups of op indices; here a relabelled space gives the relabelled search."""
    order, rng = np.array([6, 2, 7, 0, 3, 5, 1, 4]), np.random.default_rng(3)
    rows = [rng.normal(size=8) for _ in range(3)]
    plain, turned = (Ddpnas([8] * 3, 105, seed=1) for _ in range(2))
    while not plain.done:
        state = plain.state_dict()
        choice = following(plain)
        if not state["plan"]:
            plan = [list(choice), *plain.state_dict()["plan"]]
            turned.load_state_dict(turned.state_dict() | {"plan": [[int(order[op]) for op in x] for x in plan]})
        answer(plain, choice, additive(rows, choice))
        answer(turned, following(turned), additive(rows, choice))
    for p, q in zip(law(plain), law(turned), strict=True):
        np.testing.assert_array_equal(p, q[order])


def test_ddpnas_uses_its_gamma() -> None:
    first, second = (search(Ddpnas([3, 3], 9, s=3, gamma=gamma), [np.arange(3.0)] * 2) for gamma in (0.0, 0.8))
    assert abs(law(first)[0] - law(second)[0]).max() > 0.05


def test_ddpnas_decides_every_choice() -> None:
    ddpnas = search(Ddpnas([2, 5, 1, 3], 42), [np.arange(float(k)) for k in (2, 5, 1, 3)])
    assert [int(mask.sum()) for mask in ddpnas.distribution().live] == [1, 1, 1, 1]


def test_ddpnas_counts_its_evaluations_right() -> None:
    """s (K (K+1) / 2 - 1), and not s K (K-1) / 2: the last choice falls with the 42nd score, not before."""
    for ddpnas in (Ddpnas([5] * 6, 42), Ddpnas([5] * 6, 50, s=3)):
        rng = np.random.default_rng(0)
        while not ddpnas.done:
            answer(ddpnas, following(ddpnas), rng.normal())
            left = [int(mask.sum()) for mask in ddpnas.distribution().live]
            assert left == [5 - sum(ddpnas.asked >= end for end in (15, 27, 36, 42))] * 6


@pytest.mark.parametrize(
    ("evaluations", "ends"),
    [(4, []), (8, [5]), (14, [5, 9, 12, 14]), (28, [10, 18, 24, 28]), (60, [25, 41, 53]), (63, [25, 41, 56])],
)
def test_ddpnas_spreads_its_stages_over_the_evaluations(evaluations: int, ends: list[int]) -> None:
    """A stage ends with the first whole cycle after evaluations * (5, 9, 12, 14) / 14 scores."""
    ddpnas, rng = Ddpnas([5] * 3, evaluations), np.random.default_rng(0)
    while not ddpnas.done:
        answer(ddpnas, following(ddpnas), rng.normal())
        left = [int(mask.sum()) for mask in ddpnas.distribution().live]
        assert left == [5 - sum(ddpnas.asked >= end for end in ends)] * 3


@pytest.mark.parametrize("name", NAMES)
def test_only_ddpnas_plans_by_its_evaluations(name: str) -> None:
    rows = [np.random.default_rng(i).normal(size=k) for i, k in enumerate((5, 3, 4))]
    short, long = (search(create(name, [5, 3, 4], evaluations=n, seed=4), rows) for n in (30, 60))
    same = short.state_dict()["records"]["samples"] == long.state_dict()["records"]["samples"][:30]
    assert same == short.anytime == (name != "ddpnas")


@pytest.mark.parametrize("name", NAMES)
def test_percent_or_fraction_is_the_same_search(name: str) -> None:
    first, second = (create(name, [5, 3, 4], evaluations=70, seed=4) for _ in range(2))
    rows = [np.random.default_rng(i).normal(size=k) for i, k in enumerate((5, 3, 4))]
    while not first.done:
        choice = following(first)
        assert following(second) == choice
        answer(first, choice, 0.7 + additive(rows, choice) / 64)
        answer(second, choice, 128 * (0.7 + additive(rows, choice) / 64))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_whitening_is_a_root_of_the_fisher_matrix(seed: int, choices: list[int]) -> None:
    rng = np.random.default_rng(seed)
    theta = [rng.dirichlet(np.full(k, 2.0)) for k in choices]
    steps = [[g - g.mean() for g in (rng.normal(size=k) for k in choices)] for _ in range(2)]
    whitened = [whiten(step, theta) for step in steps]
    assert np.linalg.norm(whitened[0]) == pytest.approx(fisher_length(steps[0], theta), rel=1e-9, abs=1e-12)
    product = sum(float((a * b / t).sum()) for a, b, t in zip(*steps, theta, strict=True))
    assert whitened[0] @ whitened[1] == pytest.approx(product, rel=1e-6, abs=1e-6)


def test_asng_adds_steps_in_the_coordinates_of_the_paper() -> None:
    """Another root of the Fisher matrix has the same length and another direction."""
    theta, step = [np.array([0.2, 0.3, 0.5])], [np.array([0.1, -0.3, 0.2])]
    total = -0.2 / (0.5 + math.sqrt(0.5))
    expected = [0.1 / math.sqrt(0.2) + math.sqrt(0.2) * total, -0.3 / math.sqrt(0.3) + math.sqrt(0.3) * total]
    close(whiten(step, theta), expected, 1e-12)


def test_asng_survives_steps_that_agreed_for_long() -> None:
    """beta above 2 is the root of a negative number in the release."""
    asng = Asng([4, 4, 4], 400, lam=4)
    feed(asng, SAMPLES, SCORES)
    state = asng.state_dict()
    asng.load_state_dict(state | {"ratio": 5.0, "gamma": 1.0, "path": [20.0 * x for x in state["path"]]})
    for _ in range(30):
        feed(asng, SAMPLES, SCORES)
        assert np.isfinite(asng.state_dict()["path"]).all()
        assert 1 / 3 <= asng.state_dict()["ratio"] < 20
