"""Architectures worth a second look: near the best ones, and from the law that was learnt.

    symbol   meaning                                              shape
    d        choices                                              scalar
    theta    probabilities of a product law                       d rows of K_i
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hwnas.search.distribution import FloatArray, Rows
from hwnas.search.evolution.mutation import neighbours

IntArray = npt.NDArray[np.int64]
Choice = tuple[int, ...]

ENUMERABLE = 2048  # a space of so many architectures is listed whole
_PARENTS, _NEAR, _LAW, _UNIFORM = 12, 160, 160, 160
_CLIMBERS, _STEPS = 6, 12


def propose(
    seen: IntArray, scores: Sequence[float], theta: Rows, rng: np.random.Generator, attempted: IntArray | None = None
) -> IntArray:
    """Candidates that were not asked for, (n, d); none where every architecture was.

    Args:
        seen: the evaluated architectures, (N, d).
        attempted: those that are not asked again, (M, d); None for `seen`.
    """
    sizes, known = np.array([len(row) for row in theta]), seen if attempted is None else attempted
    if float(np.prod(sizes.astype(np.float64))) <= ENUMERABLE:
        every = np.array(list(itertools.product(*map(range, sizes.tolist()))), dtype=np.int64)
        return unseen(every, known)
    uniform = rng.integers(sizes, size=(_UNIFORM, len(sizes)))
    law = np.stack([_draws(row, _LAW, rng) for row in theta], axis=1)
    near = _mutants(seen[np.argsort(-np.asarray(scores), kind="stable")[:_PARENTS]], sizes, rng)
    return unseen(np.concatenate([near, law, uniform]), known)


def climb(
    candidates: IntArray, seen: IntArray, theta: Rows, worth: Callable[[IntArray], FloatArray]
) -> Choice | None:
    """The architecture of the highest worth that is found from the best candidates, neighbour by neighbour.

    Args:
        candidates: where to begin, (n, d), none of them seen.
        seen: what may not be the answer, (N, d).
        worth: of some architectures, (n, d) -> (n,); the higher the better.

    Returns:
        The architecture; None where there is no candidate. Ties go to the one that was met first.
    """
    if not len(candidates):
        return None
    sizes = np.array([len(row) for row in theta])
    met, values = candidates, worth(candidates)
    for _ in range(_STEPS):
        top = met[np.argsort(-values, kind="stable")[:_CLIMBERS]]
        further = unseen(around(top, sizes), np.concatenate([seen, met]))
        if not len(further):
            break
        found = worth(further)
        better = bool(found.max() > values.max())
        met, values = np.concatenate([met, further]), np.concatenate([values, found])
        if not better:
            break
    return tuple(met[int(values.argmax())].tolist())


def _draws(row: npt.NDArray[np.float64], n: int, rng: np.random.Generator) -> IntArray:
    found: IntArray = np.minimum(np.searchsorted(np.cumsum(row), rng.random(n), side="right"), len(row) - 1)
    return found


def _mutants(parents: IntArray, sizes: IntArray, rng: np.random.Generator) -> IntArray:
    """All neighbours of the best parent, and others with one to three ops changed."""
    n, d = _NEAR, len(sizes)
    children = parents[rng.integers(len(parents), size=n)].copy()
    for share in (1.0, 0.5, 0.5):
        rows = np.flatnonzero(rng.random(n) < share)
        at = rng.integers(d, size=len(rows))
        children[rows, at] = rng.integers(sizes[at])
    return np.concatenate([around(parents[:1], sizes)[:_NEAR], children])


def around(parents: IntArray, sizes: IntArray) -> IntArray:
    """All neighbours of some architectures, one parent after the other, (n sum(K_i - 1), d)."""
    choices = tuple(sizes.tolist())
    rows = [row for parent in parents.tolist() for row in neighbours(tuple(parent), choices)]
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(sizes))


def unseen(candidates: IntArray, seen: IntArray) -> IntArray:
    """Candidates without repeats and without those that were evaluated, in the order of first appearance."""
    known = set(map(tuple, seen.tolist()))
    fresh = dict.fromkeys(map(tuple, candidates.tolist()))
    left = [row for row in fresh if row not in known]
    return np.array(left, dtype=np.int64).reshape(len(left), candidates.shape[1])
