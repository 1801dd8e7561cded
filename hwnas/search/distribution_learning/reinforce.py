"""REINFORCE: a softmax law per choice, moved along the gradient of the expected score by Adam.

    symbol   meaning                                                        shape
    a        logits; the law is p_i = softmax(a_i)                          d rows of K_i
    f        score of the drawn architecture x                              scalar
    b        baseline, bias-corrected moving average of the scores          scalar
    A        advantage (f - b) / (f_max - f_min)                            scalar
    g        A * d ln p(x) / d a = A (onehot(x) - p)                        d rows of K_i
    m, v     Adam's moments of g                                            d rows of K_i

Sources: Williams (Machine Learning 8, 1992); learning rate, baseline and order of the steps as in the released
NAS-Bench-201 code (Dong and Yang, ICLR 2020).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.search.base import PlannedStrategy
from hwnas.search.distribution import Rows
from hwnas.search.distribution_learning.adam import Adam
from hwnas.search.distribution_learning.batch_weights import softmax
from hwnas.search.distribution_learning.learner import score_gradient
from hwnas.search.settings import positive, share
from hwnas.search.strategy import Choice

BETAS = (0.9, 0.999)


class Policy:
    """A product of softmax laws that learns from one drawn architecture and its score at a time.

    Args:
        choices: K_i.
        learning_rate: of Adam.
        momentum: of the baseline, 0 <= momentum < 1.
    """

    def __init__(self, choices: Choice, learning_rate: float, momentum: float) -> None:
        self._adam, self._momentum = Adam(sum(choices), learning_rate, BETAS), momentum
        self.logits: Rows = [np.zeros(k) for k in choices]
        self._sum, self._weight = 0.0, 0.0
        self._low, self._high = math.inf, -math.inf

    def law(self) -> Rows:
        """p_i = softmax(a_i)."""
        return [softmax(row) for row in self.logits]

    def learn(self, sample: Sequence[int], score: float) -> None:
        """One step; the baseline and the range take the new score in first."""
        advantage = self._advantage(score)
        gradient = np.concatenate(score_gradient([sample], np.ones(1), self.law()))
        step = self._adam.step(advantage * gradient)
        ends = np.cumsum([len(row) for row in self.logits])
        self.logits = [row + part for row, part in zip(self.logits, np.split(step, ends[:-1]), strict=True)]

    def _advantage(self, score: float) -> float:
        self._sum = self._momentum * self._sum + (1 - self._momentum) * score
        self._weight = self._momentum * self._weight + (1 - self._momentum)
        self._low, self._high = min(self._low, score), max(self._high, score)
        spread = self._high - self._low
        return (score - self._sum / self._weight) / spread if spread else 0.0


class Reinforce(PlannedStrategy):
    """Ask: a draw from the policy. The distribution is the policy itself; repeats are possible.

    Deviations from the released code: scores are divided by the range of the scores so far, so that their unit does
    not matter, and the logits start at 0 instead of at random numbers of size 0.001.

    Args:
        choices, evaluations, seed, ridge: as in PlannedStrategy.
        learning_rate: of Adam. The default needs hundreds of evaluations to move far from uniform.
        momentum: of the moving-average baseline.

    Raises:
        UsageError: a setting out of range.
    """

    name = "reinforce"

    def __init__(
        self,
        choices: Sequence[int],
        evaluations: int,
        seed: int = 0,
        *,
        ridge: float = 10.0,
        learning_rate: float = 0.01,
        momentum: float = 0.9,
    ) -> None:
        super().__init__(choices, evaluations, seed, ridge=ridge)
        self._rate, self._momentum = positive("learning_rate", learning_rate), share("momentum", momentum)
        self._policy = self._fresh_policy()

    def _fresh_policy(self) -> Policy:
        return Policy(self.choices, self._rate, self._momentum)

    def _draw(self) -> Choice:
        return tuple(int(self.rng.choice(len(p), p=p)) for p in self._policy.law())

    def _learn(self) -> None:
        self._policy.learn(self.history.samples[-1], self.history.scores[-1])

    def law(self) -> Rows:
        return self._policy.law()

    def _options(self) -> dict[str, Any]:
        return {"learning_rate": self._rate, "momentum": self._momentum}

    def _restore(self, state: Mapping[str, Any]) -> None:
        """The policy follows from the records alone."""
        policy = self._fresh_policy()
        for sample, score in zip(self.history.samples, self.history.scores, strict=True):
            policy.learn(sample, score)
        self._policy = policy
