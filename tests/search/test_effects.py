"""Ridge effects against the textbook formulas and against truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.search.cycle import cycle_effects, fair_cycle, planned_evaluations, weakest
from hwnas.search.effects import fit_effects


def design(samples: np.ndarray, choices: list[int]) -> np.ndarray:
    return np.concatenate([np.eye(k)[samples[:, i]] for i, k in enumerate(choices)], axis=1)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=4),
    st.integers(1, 30),
    st.integers(1, 4),
    st.floats(0.1, 20),
    st.integers(0, 2**32),
)
def test_both_solvers_equal_the_plain_formula(choices: list[int], n: int, cycles: int, ridge: float, seed: int) -> None:
    """Few samples take the dual, many the primal; the answer is (A'A + lam I)^-1 A'y with its posterior either way."""
    rng = np.random.default_rng(seed)
    samples, labels = rng.integers(choices, size=(n, len(choices))), np.sort(rng.integers(cycles, size=n))
    scores = rng.normal(size=n)
    a, y = design(samples, choices), scores.copy()
    for label in set(labels.tolist()):
        a[labels == label] -= a[labels == label].mean(axis=0)
        y[labels == label] -= y[labels == label].mean()
    shape = np.linalg.inv(a.T @ a + ridge * np.eye(sum(choices)))
    fit = fit_effects(samples.tolist(), scores.tolist(), labels.tolist(), tuple(choices), ridge)
    np.testing.assert_allclose(fit.shape, shape, atol=1e-10)
    np.testing.assert_allclose(fit.b, shape @ a.T @ y, atol=1e-10)
    freedom = n - len(set(labels.tolist()))
    marginal = y @ np.linalg.solve(np.eye(n) + a @ a.T / ridge, y) / freedom if freedom else 0.0
    assert fit.variance == pytest.approx(marginal, abs=1e-10)


def test_centred_effects_and_errors_are_contrasts() -> None:
    rng, choices = np.random.default_rng(0), (4, 3)
    samples = rng.integers(choices, size=(40, 2)).tolist()
    fit = fit_effects(samples, rng.normal(size=40).tolist(), [0] * 40, choices, 1.0)
    live = [np.array([True, False, True, True]), np.array([False, True, False])]
    effects, stderr = fit.centred(live)
    draws = rng.multivariate_normal(fit.b, fit.variance * fit.shape, size=200_000)
    centred = draws[:, :4] - draws[:, [0, 2, 3]].mean(axis=1, keepdims=True)
    np.testing.assert_allclose(effects[0], centred.mean(axis=0), atol=3e-3)
    np.testing.assert_allclose(stderr[0], centred.std(axis=0), rtol=1e-2)
    assert effects[0][live[0]].mean() == pytest.approx(0, abs=1e-12)
    assert effects[1][1] == stderr[1][1] == 0
    assert stderr[1][0] > 0


def test_noise_free_effects_approach_the_truth_as_the_ridge_vanishes() -> None:
    rng, choices = np.random.default_rng(1), (3, 4, 2)
    truth = [rng.normal(size=k) for k in choices]
    samples = rng.integers(choices, size=(60, 3)).tolist()
    scores = [sum(row[op] for row, op in zip(truth, sample, strict=True)) for sample in samples]
    fit = fit_effects(samples, scores, [0] * 60, choices, 1e-8)
    effects, stderr = fit.centred([np.ones(k, dtype=bool) for k in choices])
    for b, row in zip(effects, truth, strict=True):
        np.testing.assert_allclose(b, row - row.mean(), atol=1e-6)
    assert max(row.max() for row in stderr) < 1e-4


def test_posterior_intervals_cover_when_the_prior_is_right() -> None:
    """Effects drawn with variance sigma^2/lam: two standard errors hold 95 % of the centred effects."""
    rng, choices, ridge, sigma = np.random.default_rng(2), (5, 5, 5, 5), 10.0, 3.0
    live, inside = [np.ones(5, dtype=bool)] * 4, []
    for _ in range(150):
        truth = sigma / np.sqrt(ridge) * rng.normal(size=(4, 5))
        samples = [sample for _ in range(8) for sample in fair_cycle(live, rng)]
        scores = [truth[range(4), sample].sum() + sigma * rng.normal() for sample in samples]
        effects, stderr = fit_effects(samples, scores, [0] * 40, choices, ridge).centred(live)
        centred = truth - truth.mean(axis=1, keepdims=True)
        inside.append(np.abs(np.array(effects) - centred) < 2 * np.array(stderr))
    assert 0.93 < np.mean(inside) < 0.975


def test_nothing_measured_has_no_effect() -> None:
    for samples, labels in ([], []), ([[0, 1]], [0]), ([[0, 1], [1, 0]], [0, 1]):
        fit = fit_effects(samples, [1.0, 5.0][: len(samples)], labels, (2, 2), 1.0)
        assert not fit.b.any()
        assert fit.variance == 0


def test_an_offset_per_cycle_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    samples, labels = rng.integers((3, 3), size=(30, 2)).tolist(), [i // 3 for i in range(30)]
    scores = rng.normal(size=30)
    plain = fit_effects(samples, scores.tolist(), labels, (3, 3), 10.0)
    drifting = fit_effects(samples, (scores + 7.0 * np.array(labels)).tolist(), labels, (3, 3), 10.0)
    np.testing.assert_allclose(plain.b, drifting.b, atol=1e-12)
    assert plain.variance == pytest.approx(drifting.variance)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=6).filter(any), min_size=1), st.integers(0, 99))
def test_a_cycle_is_fair(masks: list[list[bool]], seed: int) -> None:
    live = [np.array(mask) for mask in masks]
    cycle = fair_cycle(live, np.random.default_rng(seed))
    assert len(cycle) == max(mask.sum() for mask in live)
    for i, mask in enumerate(live):
        counts = np.bincount([sample[i] for sample in cycle], minlength=len(mask))
        assert counts[~mask].sum() == 0
        assert np.ptp(counts[mask]) <= 1


def test_the_rows_of_a_cycle_are_independent() -> None:
    live, rng = [np.ones(3, dtype=bool)] * 2, np.random.default_rng(0)
    pairs = np.zeros((3, 3))
    for _ in range(2000):
        for a, b in fair_cycle(live, rng):
            pairs[a, b] += 1
    np.testing.assert_allclose(pairs / pairs.sum(), 1 / 9, atol=0.01)


def test_cycle_effects_are_means_over_holders() -> None:
    effects = cycle_effects([(0, 1), (0, 0), (2, 1)], np.array([1.0, 3.0, -4.0]), (3, 2))
    np.testing.assert_allclose(effects[0], [2.0, 0.0, -4.0])
    np.testing.assert_allclose(effects[1], [3.0, -1.5])


def test_ties_in_pruning_take_the_lower_effect_then_the_higher_index() -> None:
    live = np.array([True, True, True, True, False])
    rank = np.array([0.2, 0.2, 0.2, 0.4, 0.0])
    assert weakest(rank, np.zeros(5), live) == 2
    assert weakest(rank, np.array([0.0, -1.0, 0.0, 0.0, 0.0]), live) == 1
    assert weakest(rank, np.zeros(5), live, (2,)) == 1


@pytest.mark.parametrize(("choices", "s", "keep", "expected"), [([8], 3, 1, 105), ([1, 1], 3, 1, 0), ([4, 2], 2, 3, 8)])
def test_planned_evaluations(choices: list[int], s: int, keep: int, expected: int) -> None:
    assert planned_evaluations(choices, s, keep) == expected
