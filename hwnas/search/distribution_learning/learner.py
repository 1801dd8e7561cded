"""What the learners of a product law share: independent draws, batches, one gradient, one floor, one state.

    symbol   meaning                                                        shape
    theta    probabilities of the law                                       d rows of K_i
    x_j      sample j of a batch, op index per choice                       (d,)
    w_j      weight of sample j                                             scalar
    e_x      one-hot rows of sample x                                       d rows of K_i
    free     choices with more than one op                                  scalar

e_x - theta is both the natural gradient of log P(x) in theta and its plain gradient in the logits of theta, so one
function serves the SNG family and PARSEC. Sources stand at the strategies.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.search.base import PlannedStrategy
from hwnas.search.distribution import FloatArray, Rows
from hwnas.search.simplex import clamp
from hwnas.search.strategy import Choice


class DistributionLearner(PlannedStrategy):
    """Draws independently from its law and moves the law after every batch; a batch cut off by the end is not used.

    Any number of draws may be out. Those answered after a move were drawn from the law before it, as in every
    asynchronous learner; failed ones are no part of a batch.

    A subclass gives `law`, `_options`, `_batch` and `_move`. Arguments and errors are those of `PlannedStrategy`.
    """

    def __init__(self, choices: Sequence[int], evaluations: int, seed: int = 0, *, ridge: float = 10.0) -> None:
        super().__init__(choices, evaluations, seed, ridge=ridge)
        self.learnt = 0

    @abstractmethod
    def _batch(self) -> int:
        """Evaluations in the current batch; constant until the next move."""

    @abstractmethod
    def _move(self, samples: list[Choice], scores: FloatArray) -> None:
        """Learn from a complete batch, scores (n,); `learnt` is still where it began."""

    def _draw(self) -> Choice:
        return tuple(int(self.rng.choice(len(p), p=p)) for p in self.law())

    def _learn(self) -> None:
        if len(self.history.samples) - self.learnt >= self._batch():
            self.learn_batch()

    def learn_batch(self) -> None:
        """Move by all scores that were not learnt from."""
        start = self.learnt
        self._move(self.history.samples[start:], np.array(self.history.scores[start:]))
        self.learnt = len(self.history.samples)

    def _state(self) -> dict[str, Any]:
        return {"learnt": self.learnt}

    def _restore(self, state: Mapping[str, Any]) -> None:
        learnt = int(state["learnt"])
        if not 0 <= learnt <= len(self.history.samples):
            raise ValueError(f"{learnt} evaluations learnt of {len(self.history.samples)}")
        self.learnt = learnt


class ThetaLearner(DistributionLearner):
    """A learner that keeps its law as probabilities; it starts uniform."""

    def __init__(self, choices: Sequence[int], evaluations: int, seed: int = 0, *, ridge: float = 10.0) -> None:
        super().__init__(choices, evaluations, seed, ridge=ridge)
        self.theta = self.uniform()

    def law(self) -> Rows:
        return self.theta

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"theta": [row.tolist() for row in self.theta]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        theta = unpack_rows(state["theta"], self.choices)
        if any(t.min() < 0 or abs(t.sum() - 1) > 1e-9 for t in theta):
            raise ValueError("every row of theta must be >= 0 and sum to 1")
        super()._restore(state)
        self.theta = theta


def score_gradient(samples: Sequence[Sequence[int]], weights: FloatArray, theta: Rows) -> Rows:
    """sum_j w_j (e_{x_j} - theta), d rows of K_i that sum to 0."""
    table, total = np.asarray(samples, dtype=np.int64), weights.sum()
    return [np.bincount(table[:, i], weights, len(t)) - total * t for i, t in enumerate(theta)]


def floored(theta: Rows) -> Rows:
    """The floor of the SNG family, 1/(free (K_i - 1)), where an op can choose; entries below 0 are allowed.

    For one choice, or two of two ops, where no law satisfies it, it is 1/(2 K_i): see `simplex.clamp`.
    """
    free = sum(len(t) > 1 for t in theta)
    return [clamp([t], free)[0] if len(t) > 1 else np.ones(1) for t in theta]


def entropy(theta: Rows) -> float:
    """Sum of the entropies of the rows, in nats."""
    return float(sum(-(t[t > 0] @ np.log(t[t > 0])) for t in theta)) + 0.0


def unpack_rows(value: Any, sizes: Sequence[int]) -> Rows:
    """Finite float64 rows of the given lengths; ValueError or TypeError if the value is not that."""
    rows = [np.array(row, dtype=np.float64) for row in value]
    if [row.shape for row in rows] != [(k,) for k in sizes] or not all(np.isfinite(row).all() for row in rows):
        raise ValueError(f"rows of {list(sizes)} finite numbers expected")
    return rows
