import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from hwnas.search.registry import create
from hwnas.search.surrogates.interaction_gp import Posterior, Prior, agreements, below, expected_gain, quantiles
from hwnas.search.surrogates.proposals import around, climb, propose, unseen
from tests.search.one_at_a_time import answer, following

PRIOR = Prior((2.0, 1.0, 0.5, 0.3), 0.05, 0)


def cells(n: int, sizes: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(sizes, size=(n, len(sizes)))


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_the_kernel_is_a_covariance_of_effects_of_groups(d: int) -> None:
    """Against effects written out: features of every op, pair and triple, scaled to one prior variance per order."""
    every = np.array(list(itertools.product(range(2), repeat=d)))
    found = Prior((2.0, 1.0, 0.5, 1e-9)).kernel(d)[agreements(every, every)]
    expected = np.ones((len(every), len(every)))
    for order, w in ((1, 2.0), (2, 1.0), (3, 0.5)):
        size = min(order, d)
        groups = list(itertools.combinations(range(d), size))
        for group in groups:
            part = every[:, group]
            expected += w / len(groups) * (part[:, None, :] == part[None, :, :]).all(axis=2)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.linalg.eigvalsh(PRIOR.kernel(d)[agreements(every, every)]).min() > -1e-9


def test_posterior_is_that_of_a_dense_gaussian_process() -> None:
    seen, others = cells(12, (3, 4, 2, 3)), cells(7, (3, 4, 2, 3), 1)
    y = np.random.default_rng(2).normal(size=12)
    mean, deviation = Posterior(PRIOR, seen, y).moments(others)
    k = PRIOR.kernel(4)
    noisy = k[agreements(seen, seen)] + PRIOR.noise * np.eye(12)
    cross = k[agreements(seen, others)]
    np.testing.assert_allclose(mean, cross.T @ np.linalg.solve(noisy, y), atol=1e-9)
    covariance = k[agreements(others, others)] - cross.T @ np.linalg.solve(noisy, cross)
    scale = y @ np.linalg.solve(noisy, y) / 12
    np.testing.assert_allclose(deviation**2, scale * np.diag(covariance), atol=1e-9)


@given(st.floats(-3, 3), st.floats(0.1, 3), st.floats(-3, 3))
@settings(max_examples=50, deadline=None)
def test_expected_gain_is_the_integral(mean: float, deviation: float, best: float) -> None:
    (gain,) = expected_gain(np.array([mean]), np.array([deviation]), np.array([best]))[0]
    grid = np.linspace(-9, 9, 40_001)
    values = np.maximum(0, mean + deviation * grid - best) * norm.pdf(grid)
    assert gain == pytest.approx(np.trapezoid(values, grid), abs=1e-5)


def test_shares_of_the_normal_distribution() -> None:
    z = np.array([[-8.0, -1.0], [0.0, 2.5]])
    np.testing.assert_allclose(below(z), norm.cdf(z), rtol=1e-9)


def test_the_prior_that_is_fitted_explains_more() -> None:
    """Scores of pairs only: the order of pairs must be worth more than that of single ops."""
    seen = cells(120, (3,) * 6)
    table = np.random.default_rng(3).normal(size=(6, 6, 3, 3))
    table = table - table.mean(axis=2, keepdims=True) - table.mean(axis=3, keepdims=True)
    y = np.array([sum(table[i, j, x[i], x[j]] for i, j in itertools.combinations(range(6), 2)) for x in seen])
    y = (y - y.mean()) / y.std()
    m = agreements(seen, seen)
    fitted = Prior().fit(m, y, 6)
    assert fitted.orders[1] > fitted.orders[0]
    assert fitted._misfit(m, y, 6) < Prior()._misfit(m, y, 6)
    assert fitted.fitted == 120


def test_quantiles_are_of_ranks_and_shared_by_equals() -> None:
    y = quantiles([5.0, 1.0, 1.0, 1e6])
    np.testing.assert_allclose(y, norm.ppf([2.5 / 4, 1 / 4, 1 / 4, 3.5 / 4]))
    assert not quantiles([3.0] * 5).any()


def test_climbing_finds_the_top_of_what_can_be_climbed() -> None:
    sizes = (4, 3, 5, 2, 4, 3)
    rows = [np.random.default_rng(i).normal(size=k) for i, k in enumerate(sizes)]
    law = [np.full(k, 1 / k) for k in sizes]
    seen = cells(5, sizes)
    found = climb(
        propose(seen, list(range(5)), law, np.random.default_rng(0)), seen, law,
        lambda x: np.sum([row[x[:, i]] for i, row in enumerate(rows)], axis=0),
    )
    assert found == tuple(int(row.argmax()) for row in rows)


def test_neighbours_differ_in_one_op() -> None:
    sizes = np.array([3, 1, 4])
    found = around(np.array([[0, 0, 2]]), sizes)
    assert len(found) == (sizes - 1).sum() == len(unseen(found, np.empty((0, 3), dtype=np.int64)))
    assert ((found != [0, 0, 2]).sum(axis=1) == 1).all()


@pytest.mark.parametrize("seed", range(5))
def test_interactions_that_no_sum_of_effects_shows_are_found(seed: int) -> None:
    """Agreement of neighbours: every single op has the same mean score."""
    def score(x: tuple[int, ...]) -> float:
        return float(sum(a == (2 * b) % 3 for a, b in itertools.pairwise(x)))

    found = {}
    for mode in ("interactions", "pooled"):
        search = create("migo", [3] * 7, evaluations=80, mode=mode, seed=seed)
        while not search.done:
            choice = following(search)
            answer(search, choice, score(choice))
        assert search.best is not None
        found[mode] = search.best[1]
    assert found["interactions"] == 6
    assert found["interactions"] >= found["pooled"]


def test_every_architecture_is_asked_once_before_any_is_asked_twice() -> None:
    search = create("migo", [3, 2, 2], evaluations=15, seed=0)
    asked = []
    while not search.done:
        asked.append(following(search))
        answer(search, asked[-1], float(sum(asked[-1])))
    assert len(set(asked[:12])) == math.prod([3, 2, 2])


def test_luck_is_discounted() -> None:
    """Additive truth, scores with noise of half its size: the answer is better than what scored most."""
    regret = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(6, 4))
        spread = np.sqrt(rows.var(1).sum())
        search = create("migo", [4] * 6, evaluations=60, seed=seed)
        while not search.done:
            ask = following(search)
            answer(search, ask, float(rows[np.arange(6), ask].sum() + rng.normal(0, spread / 2)))
        assert search.answer is not None
        assert search.best is not None
        choices = search.best[0], search.answer[0]
        regret.append([rows.max(1).sum() - rows[np.arange(6), choice].sum() for choice in choices])
    by_score, answered = np.mean(regret, axis=0)
    assert answered < by_score


def test_the_answer_is_one_of_the_two_best_scores() -> None:
    rng = np.random.default_rng(1)
    search = create("migo", [3, 4, 2], evaluations=20, seed=0)
    scores = {}
    while not search.done:
        ask = following(search)
        scores[ask] = float(rng.normal())
        answer(search, ask, scores[ask])
        assert search.answer is not None
        assert search.answer[1] in sorted(scores.values())[-2:]
