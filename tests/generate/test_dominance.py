"""undominated against its definition, small (one block) and large (divide and conquer); Bounds against the truth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwnas.generate.bounds import Bounds
from hwnas.generate.dominance import undominated
from hwnas.generate.problem import Problem, alive_ids, assemble, read_cost


def by_definition(ticks: np.ndarray, utilities: np.ndarray, k: int) -> np.ndarray:
    keep = []
    for i in range(len(utilities)):
        beats = (ticks[:i] <= ticks[i]).all(axis=1) & (utilities[:i] >= utilities[i])
        keep.append(int(beats.sum()) < k)
    return np.array(keep)


@pytest.mark.parametrize("m", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("n, high", [(5, 3), (200, 6), (900, 8), (900, 1000)])
def test_undominated(m: int, k: int, n: int, high: int) -> None:
    rng = np.random.default_rng(n + m)
    ticks = rng.integers(0, high, (n, m))
    utilities = rng.integers(0, high, n) / 4
    order = np.lexsort((-utilities, *ticks.T[::-1]))
    ticks, utilities = ticks[order], utilities[order]
    want = by_definition(ticks, utilities, k)
    assert (undominated(ticks, utilities, k) == want).all()
    assert want.sum() < n or n == 5


def random_problem(rng: np.random.Generator, m: int) -> Problem:
    utilities = list(rng.normal(size=(5, 3)))
    costs = [
        read_cost(f"c{i}", list(rng.integers(0, 50, (5, 3))), utilities, fixed=None, quantum=None, aggregate="sum")
        for i in range(m)
    ]
    return assemble(utilities, alive_ids(utilities), costs, [float(rng.integers(75, 200)) for _ in range(m)])


@pytest.mark.parametrize("m", [0, 1, 2, 3])
def test_bounds_are_never_below_what_is_reachable(m: int) -> None:
    rng = np.random.default_rng(m)
    gaps = []
    for _ in range(10):
        problem = random_problem(rng, m)
        bounds = Bounds(problem)
        best = -np.inf
        for choice in itertools.product(range(3), repeat=5):
            ticks = np.cumsum([problem.ticks[layer][k] for layer, k in enumerate(choice)], axis=0)
            utility = np.cumsum([problem.utilities[layer][k] for layer, k in enumerate(choice)])
            if (ticks[-1] <= problem.limits).all():
                best = max(best, float(utility[-1]))
                for layer in range(5):
                    reach = bounds.upper(layer + 1, ticks[layer : layer + 1], utility[layer : layer + 1])
                    assert reach[0] >= utility[-1] - problem.tolerance
        if np.isfinite(best):
            gaps.append(bounds.root - best)
    assert min(gaps) > -1e-6
    assert np.median(gaps) < 1.5
