"""How signals are judged: what orders as the truth does is perfect, and everything against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwnas.bench.ranks import BEST, KEPT, NEAR, pair_means, ranking, tau_near
from hwnas.errors import InputError

SIZES = (3, 4, 3, 4)
CELLS = list(itertools.product(*map(range, SIZES)))
COSTS = [[1, 2, 4], [1, 3, 5, 9], [2, 3, 4], [1, 1, 2, 6]]


@pytest.fixture
def truths() -> np.ndarray:
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=k) for k in SIZES]
    return np.array([sum(row[k] for row, k in zip(rows, cell, strict=True)) for cell in CELLS]).reshape(SIZES)


def test_the_truth_itself_is_perfect(truths: np.ndarray) -> None:
    found = ranking(CELLS, truths.ravel(), truths, COSTS)
    assert found.tau == pytest.approx(1)
    assert found.near == pytest.approx(1)
    assert found.of_pairs == pytest.approx(1)
    assert found.kept == BEST
    assert found.regret == pytest.approx(0, abs=1e-9)
    assert ranking(CELLS, -truths.ravel(), truths, COSTS).tau == pytest.approx(-1)


def test_regret_is_that_of_the_best_by_the_signal_within_every_budget(truths: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    rows = [rng.normal(size=k) for k in SIZES]
    signal = np.array([sum(row[k] for row, k in zip(rows, cell, strict=True)) for cell in CELLS])
    cost = np.array([sum(row[k] for row, k in zip(COSTS, cell, strict=True)) for cell in CELLS])
    regrets = []
    for share in (0.25, 0.5, 0.75, 1.0):
        within = cost <= max(int(cost.min()), int(share * cost.max()))
        best = np.flatnonzero(within)[signal[within].argmax()]
        regrets.append(truths.ravel()[within].max() - truths.ravel()[best])
    assert ranking(CELLS, signal, truths, COSTS).regrets == pytest.approx(tuple(regrets), abs=1e-9)


def test_tau_of_near_ones_is_that_of_the_pairs_written_down() -> None:
    rng = np.random.default_rng(2)
    signal, truth, cost = rng.integers(0, 5, 40).astype(float), rng.normal(size=40), rng.uniform(1, 2, 40)
    agree = ties = count = 0
    for i, j in itertools.combinations(range(40), 2):
        if abs(cost[i] - cost[j]) <= NEAR * max(cost[i], cost[j]):
            count += 1
            product = (signal[i] - signal[j]) * (truth[i] - truth[j])
            ties += signal[i] == signal[j]
            agree += int(np.sign(product))
    assert tau_near(signal, truth, cost, NEAR) == pytest.approx(agree / np.sqrt(count * (count - ties)))
    assert np.isnan(tau_near(signal, truth, 10.0 ** np.arange(40), NEAR))


def test_means_of_pairs() -> None:
    cells = np.array([(0, 1), (0, 0), (1, 1)])
    np.testing.assert_allclose(pair_means(cells, np.array([1.0, 3.0, 5.0]), (2, 3)), [2, 5, 3, 3, np.nan])


def test_kept_counts_the_best_pairs(truths: np.ndarray) -> None:
    rng = np.random.default_rng(3)
    signal = rng.normal(size=len(CELLS))
    found = pair_means(np.array(CELLS), signal, SIZES)
    best = pair_means(np.array(CELLS), truths.ravel(), SIZES)
    expected = len(set(np.argsort(-found)[:KEPT].tolist()) & set(np.argsort(-best)[:BEST].tolist()))
    assert ranking(CELLS, signal, truths, COSTS).kept == expected


def test_what_is_no_number_is_the_worst(truths: np.ndarray) -> None:
    signal = truths.ravel().copy()
    worst = signal.argmin()
    signal[worst] = -np.inf
    assert ranking(CELLS, signal, truths, COSTS).tau == pytest.approx(1, abs=1e-3)
    with pytest.raises(InputError, match="two that are finite"):
        ranking(CELLS, np.full(len(CELLS), np.nan), truths, COSTS)
    with pytest.raises(InputError, match="a number for each"):
        ranking(CELLS, [1.0], truths, COSTS)
