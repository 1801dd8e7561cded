"""Fair cycles: every live op of every choice is evaluated equally often, then the weakest ops are pruned.

    symbol   meaning                                          shape
    n_i      live ops of choice i                             scalar
    n        length of a cycle, the largest n_i               scalar
    s        cycles between two prunings                      scalar
    keep     live ops per choice at which pruning stops       scalar

Source: MIGO-NAS (TPAMI 43(9), 2021), fair sampling with progressive pruning; rows of unequal length are ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from hwnas.search.distribution import BoolArray, FloatArray, Rows

IntArray = npt.NDArray[np.int64]


def planned_evaluations(choices: Sequence[int], s: int, keep: int) -> int:
    """s * sum of the cycle lengths max(K), max(K)-1, ..., keep+1."""
    return s * sum(range(keep + 1, max(choices) + 1))


def fair_cycle(live: Sequence[BoolArray], rng: np.random.Generator) -> list[tuple[int, ...]]:
    """n architectures in which the live ops of a choice occur equally often, give or take one.

    The j-th architecture takes the j-th element of every row. A row is a random permutation of its live ops; a row
    with fewer than n strings fresh permutations together.
    """
    length = max(int(mask.sum()) for mask in live)
    columns = []
    for mask in live:
        ops = np.flatnonzero(mask)
        rounds = [rng.permutation(ops) for _ in range(-(-length // len(ops)))]
        columns.append(np.concatenate(rounds)[:length].tolist())
    return list(zip(*columns, strict=True))


def fair_paths(live: Sequence[BoolArray], rng: np.random.Generator) -> Iterator[tuple[int, ...]]:
    """Architectures of one fair cycle after the other, without end."""
    return itertools.chain.from_iterable(fair_cycle(live, rng) for _ in itertools.count())


def cycle_effects(samples: Sequence[Sequence[int]] | IntArray, weights: FloatArray | Sequence[float],
                  choices: Sequence[int], unseen: float = 0.0) -> Rows:
    """Mean weight of the samples that hold op k of choice i; `unseen` for ops that none holds."""
    table = np.asarray(samples, dtype=np.int64)
    rows = []
    for i, k in enumerate(choices):
        counts = np.bincount(table[:, i], minlength=k)
        sums = np.bincount(table[:, i], weights=weights, minlength=k)
        rows.append(np.where(counts > 0, sums / np.maximum(counts, 1), unseen))
    return rows


Protected = Sequence[int | Sequence[int]]
"""Per choice the op, or the ops, that are never pruned."""


def protected_ops(protect: Protected | None, i: int) -> tuple[int, ...]:
    """Those of one choice; none where nothing is protected."""
    if protect is None or not len(protect):
        return ()
    ops = protect[i]
    return tuple(ops) if isinstance(ops, Sequence) else (ops,)


def weakest(rank: FloatArray, effects: FloatArray, live: BoolArray, protected: Collection[int] = ()
            ) -> int | None:
    """The live op to prune: least rank, then least effect, then highest index; None where all are protected."""
    candidates = [k for k in np.flatnonzero(live).tolist() if k not in protected]
    return int(min(candidates, key=lambda k: (rank[k], effects[k], -k))) if candidates else None
