"""MDENAS: probability moves from ops that were tried more often and did worse to ops tried less that did better.

    symbol   meaning                                                     shape
    E        how often an op was evaluated                               d rows of K_i
    A        score of the last evaluation that held it                   d rows of K_i
    fresh    whether that evaluation is recent                           d rows of K_i
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.search.distribution import BoolArray, FloatArray, Rows
from hwnas.search.distribution_learning.learner import ThetaLearner, floored
from hwnas.search.settings import positive, whole
from hwnas.search.strategy import Choice

IntArray = npt.NDArray[np.int64]


class Mdenas(ThetaLearner):
    """After every evaluation and for every pair of ops of a choice: if one has E at least as large and a lower A, lr
    moves from it to the other.

    Source: Zheng et al., Multinomial distribution learning for effective NAS (ICCV 2019, arXiv 1905.07529) and its
    released search. What is mended here: all pairs move at once from the law before, where the released loop
    depends on the order of the ops; the floor of the SNG family keeps every op reachable, where an op of
    probability 0 never came back; scores are compared only while both are fresh, where an old score of a less
    trained supernet stood against a new one. What is the paper's: the op tried most can only give, so the mode of
    this law is a poor answer; take the best evaluated architecture.

    Args:
        lr: probability that one pair moves.
        rounds: a score is fresh for rounds * K_i evaluations.
    """

    name = "mdenas"

    def __init__(self, choices: Sequence[int], evaluations: int, seed: int = 0, *, ridge: float = 10.0,
                 lr: float = 0.01, rounds: int = 2) -> None:
        super().__init__(choices, evaluations, seed, ridge=ridge)
        self._lr, self._rounds = positive("lr", lr), whole("rounds", rounds, 1)
        self._memory = _Memory(self.choices)

    def _options(self) -> dict[str, Any]:
        return {"lr": self._lr, "rounds": self._rounds}

    def _batch(self) -> int:
        return 1

    def _move(self, samples: list[Choice], scores: FloatArray) -> None:
        self._memory.add(samples[0], float(scores[0]))
        m = self._memory
        self.theta = floored([
            pairwise_move(t, count, last, m.told - at <= self._rounds * len(t), self._lr)
            for t, count, last, at in zip(self.theta, m.counts, m.last, m.at, strict=True)
        ])

    def _restore(self, state: Mapping[str, Any]) -> None:
        super()._restore(state)
        self._memory = _Memory(self.choices)
        for sample, score in zip(self.history.samples, self.history.scores, strict=True):
            self._memory.add(sample, score)


class _Memory:
    """Per op: evaluations that held it, the score of the last of them, and its number; follows from the records."""

    def __init__(self, choices: Choice) -> None:
        self.told = 0
        self.counts: list[IntArray] = [np.zeros(k, dtype=np.int64) for k in choices]
        self.last: Rows = [np.zeros(k) for k in choices]
        self.at: Rows = [np.full(k, -np.inf) for k in choices]

    def add(self, sample: Choice, score: float) -> None:
        for count, last, at, op in zip(self.counts, self.last, self.at, sample, strict=True):
            count[op] += 1
            last[op], at[op] = score, self.told
        self.told += 1


def pairwise_move(theta: FloatArray, counts: IntArray, last: FloatArray, fresh: BoolArray, lr: float) -> FloatArray:
    """One move of MDENAS on a row: theta, E, A, fresh (K,) -> theta (K,), on the simplex.

    Op i gives lr to every j with E_i >= E_j and A_i < A_j, both fresh. An op that has less than it should give
    gives all it has, in equal parts.
    """
    gives = (counts[:, None] >= counts) & (last[:, None] < last) & fresh[:, None] & fresh
    receivers = gives.sum(axis=1)
    each = np.minimum(lr, theta / np.maximum(receivers, 1))
    # What is left of an op that gives all must be 0, not rounding.
    moved: FloatArray = np.maximum(theta - receivers * each, 0.0) + each @ gives
    return moved
