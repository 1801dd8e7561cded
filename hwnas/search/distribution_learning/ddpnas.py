"""DDPNAS: fair cycles, a law that follows the softmax of the scores, and the least probable op of a choice pruned.

    symbol   meaning                                                          shape
    P_ik     mean score in one cycle of the samples that hold op k            d rows of K_i
    E_ik     mean over the cycles of a stage of softmax_k(P_ik / scale)       d rows of K_i
    n        live ops of the widest choice, the length of a cycle             scalar
    v        velocity                                                         d rows of K_i
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.search.cycle import cycle_effects, fair_cycle, planned_evaluations, weakest
from hwnas.search.distribution import BoolArray, Distribution, FloatArray, Rows
from hwnas.search.distribution_learning.batch_weights import in_nats, softmax, spread
from hwnas.search.distribution_learning.learner import ThetaLearner, unpack_rows
from hwnas.search.effects import IntArray, fit_effects
from hwnas.search.history import checked_sample
from hwnas.search.settings import positive, share, whole
from hwnas.search.strategy import Choice


class Ddpnas(ThetaLearner):
    """A stage is s fair cycles; then v <- gamma v + (1 - gamma) E, theta <- theta + v, renormalised, and every choice
    as wide as the widest loses its least probable op; the last stage leaves one op per choice.

    Source: Zheng et al., Dynamic distribution pruning for efficient network architecture search (arXiv 1905.13543)
    and its released search, of which this is the last version (with momentum); the first (theta <- E + theta / 2)
    leaves rows that do not sum to 1. Not taken: its quotas for ops with and without weights, which are lists of op
    indices of one space. Mended: gamma is used, and a search ends when every choice is decided, not the first.
    Ours: ragged choices; a scale, because 1 % of accuracy is one nat in the paper; s from `evaluations`.

    Args:
        s: cycles in a stage, 3 in the paper; None spreads the stages over `evaluations` in proportion to n, which
            is 3 at the paper's number of evaluations. With s given, evaluations after the last stage repeat the
            architecture that is left.
        gamma: momentum, 0.8 in the release.
        scale: score units to the nat (the paper: 0.01 of accuracy); None takes the spread of all scores so far.
    """

    name = "ddpnas"
    anytime = False

    def __init__(self, choices: Sequence[int], evaluations: int, seed: int = 0, *, ridge: float = 10.0,
                 s: int | None = None, gamma: float = 0.8, scale: float | None = None) -> None:
        super().__init__(choices, evaluations, seed, ridge=ridge)
        self._total = planned_evaluations(self.choices, 1, 1)
        self._span = self.evaluations if s is None else whole("s", s, 1) * self._total
        self._gamma, self._scale = share("gamma", gamma), 0.0 if scale is None else positive("scale", scale)
        self._velocity: Rows = [np.zeros(k) for k in self.choices]
        self._live: list[BoolArray] = [np.ones(k, dtype=np.bool_) for k in self.choices]
        self._plan: list[Choice] = []
        self._first = 0  # asks before this stage

    def _options(self) -> dict[str, Any]:
        return {"span": self._span, "gamma": self._gamma, "scale": self._scale}

    def _width(self) -> int:
        return max(int(mask.sum()) for mask in self._live)

    def _ready(self) -> bool:
        """A stage draws from what the one before has left."""
        return self.history.asked - self._first < self._batch()

    def _draw(self) -> Choice:
        if not self._plan:
            self._plan = fair_cycle(self._live, self.rng)
        return self._plan.pop(0)

    def _batch(self) -> int:
        """Evaluations of the stage: whole cycles up to span * sum_{m=n..K} m / total, at least one."""
        n, widest = self._width(), max(self.choices)
        due = self._span * sum(range(n, widest + 1)) - self._first * self._total
        return n * max(1, -(-due // (n * self._total))) if n > 1 else self.evaluations + 1

    def _learn(self) -> None:
        if self.history.answered - self._first >= self._batch():
            self.learn_batch()
            self._first = self.history.answered

    def _learn_failure(self) -> None:
        self._learn()

    def _move(self, samples: list[Choice], scores: FloatArray) -> None:
        if not samples:  # all of them failed
            return
        likely = self._expected(samples, scores)
        for i, (t, v, e) in enumerate(zip(self.theta, self._velocity, likely, strict=True)):
            self._velocity[i] = self._gamma * v + (1 - self._gamma) * e
            self.theta[i] = (t + self._velocity[i]) / (t + self._velocity[i]).sum()
        self._prune(likely)

    def _expected(self, samples: list[Choice], scores: FloatArray) -> Rows:
        nats, n = in_nats(scores, self._scale or spread(np.array(self.history.scores))), self._width()
        numbers = (np.array(self.history.ids[self.learnt :]) - self._first) // n
        cycles = [self._means(np.array(samples)[numbers == j], nats[numbers == j]) for j in np.unique(numbers)]
        return [np.mean([softmax(np.where(mask, p, -np.inf)) for p in rows], axis=0)
                for rows, mask in zip(zip(*cycles, strict=True), self._live, strict=True)]

    def _means(self, samples: IntArray, nats: FloatArray) -> Rows:
        """P of one cycle; an op whose every evaluation failed is worth what the others of its choice are."""
        means = cycle_effects(samples.tolist(), nats, self.choices)
        held = [np.bincount(samples[:, i], minlength=k) > 0 for i, k in enumerate(self.choices)]
        return [np.where(there, p, p[there].mean()) for p, there in zip(means, held, strict=True)]

    def _prune(self, likely: Rows) -> None:
        n = self._width()
        for i, mask in enumerate(self._live):
            if mask.sum() == n:
                op = weakest(self.theta[i], likely[i], mask)
                self._live[i] = mask & (np.arange(len(mask)) != op)
                theta = np.where(self._live[i], self.theta[i], 0.0)
                self.theta[i] = theta / theta.sum()
                self._velocity[i] = np.where(self._live[i], self._velocity[i], 0.0)

    def distribution(self) -> Distribution:
        r = self.history
        effects, stderr = fit_effects(r.samples, r.scores, r.cycles, r.choices, self.ridge).centred(self._live)
        return Distribution(self.theta, self._live, effects, stderr)

    def _state(self) -> dict[str, Any]:
        return super()._state() | {
            "velocity": [row.tolist() for row in self._velocity],
            "live": [row.astype(int).tolist() for row in self._live],
            "plan": [list(sample) for sample in self._plan],
            "first": self._first,
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        velocity = unpack_rows(state["velocity"], self.choices)
        live = [row == 1 for row in unpack_rows(state["live"], self.choices)]
        plan = [checked_sample(sample, self.choices) for sample in state["plan"]]
        if not all(mask.any() for mask in live):
            raise ValueError("every choice must keep a live op")
        first = int(state.get("first", state["learnt"]))  # 0.1 knew no failures
        if not 0 <= first <= self.history.answered:
            raise ValueError(f"a stage that begins after {first} of {self.history.answered} answers")
        super()._restore(state)
        self._first = first
        self._velocity, self._live, self._plan = velocity, live, plan
