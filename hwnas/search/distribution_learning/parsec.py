"""PARSEC: logits climb the evidence; a sample counts by its likelihood among the samples of its batch.

    symbol   meaning                                                        shape
    alpha    logits, the rows one after another                             (P,)
    ll       score in nats, score / (temperature spread)                    (n,)
    wt       importance weights softmax(ll)                                 (n,)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.search.distribution import FloatArray, Rows
from hwnas.search.distribution_learning.adam import Adam
from hwnas.search.distribution_learning.batch_weights import all_tied, importance_weights, in_nats, softmax, spread
from hwnas.search.distribution_learning.learner import DistributionLearner, score_gradient, unpack_rows
from hwnas.search.settings import positive, whole
from hwnas.search.strategy import Choice


class EvidenceLearner(DistributionLearner):
    """Adam on the logits with the gradient sum_j wt_j (e_{x_j} - p); what PARSEC and FP-NAS share.

    A subclass gives `_batch` and may give other logits than one row per choice (`_sizes`, `_rows`, `_columns`).
    """

    def __init__(self, choices: Sequence[int], evaluations: int, seed: int, ridge: float, lr: float,
                 temperature: float) -> None:
        super().__init__(choices, evaluations, seed, ridge=ridge)
        self._lr, self._temperature = positive("lr", lr), positive("temperature", temperature)
        self.start(sum(self.choices))

    def start(self, size: int) -> None:
        self._logits, self._adam = np.zeros(size), Adam(size, self._lr)

    def _options(self) -> dict[str, Any]:
        return {"lr": self._lr, "temperature": self._temperature}

    def _sizes(self, learnt: int) -> list[int]:
        """Lengths of the rows of logits once `learnt` evaluations were learnt from."""
        return list(self.choices)

    def _rows(self) -> Rows:
        """The logits of every choice."""
        return self.logit_rows()

    def _columns(self, samples: list[Choice]) -> Sequence[Sequence[int]]:
        """Samples as entries of the rows of logits."""
        return samples

    def _weights(self, samples: list[Choice], scores: FloatArray) -> FloatArray:
        """What each sample pulls at the logits, (n,)."""
        if all_tied(scores):
            return np.zeros(len(scores))
        scale = self._temperature * spread(np.array(self.history.scores))
        return importance_weights(in_nats(scores, scale))

    def logit_rows(self) -> Rows:
        return np.split(self._logits, np.cumsum(self._sizes(self.learnt))[:-1])

    def law(self) -> Rows:
        return [softmax(row) for row in self._rows()]

    def _move(self, samples: list[Choice], scores: FloatArray) -> None:
        weights = self._weights(samples, scores)
        if weights.any():
            law = [softmax(row) for row in self.logit_rows()]  # of the settings, where an op has several
            gradient = score_gradient(self._columns(samples), weights, law)
            self._logits = self._logits + self._adam.step(np.concatenate(gradient))

    def _state(self) -> dict[str, Any]:
        return super()._state() | {"logits": self._logits.tolist(), "adam": self._adam.state()}

    def _restore(self, state: Mapping[str, Any]) -> None:
        size = sum(self._sizes(int(state["learnt"])))
        (logits,) = unpack_rows([state["logits"]], [size])
        adam = Adam.from_state(size, self._lr, state["adam"])
        super()._restore(state)
        self._logits, self._adam = logits, adam


class Parsec(EvidenceLearner):
    """A batch of K samples of the law, weighted by softmax of their log-likelihoods, moves the logits by Adam.

    Source: Casale et al., Probabilistic neural architecture search (arXiv 1902.05116). The log-likelihood of a
    validation batch is not at hand for a strategy that is told a score: ll = score / (temperature * spread), with
    the spread of the better scores so far, so that the scale of the scores does not matter. Ours: a batch of equal
    scores does not move the law; lr and temperature, chosen on random additive objectives for some hundred
    evaluations.

    Args:
        k: samples in a batch, 16 in the paper; at least 2, a single one has weight 1 whatever its score.
        lr: step of Adam.
        temperature: spreads of the scores to the nat.
    """

    name = "parsec"

    def __init__(self, choices: Sequence[int], evaluations: int, seed: int = 0, *, ridge: float = 10.0, k: int = 16,
                 lr: float = 0.3, temperature: float = 0.5) -> None:
        super().__init__(choices, evaluations, seed, ridge, lr, temperature)
        self._k = whole("k", k, 2)

    def _options(self) -> dict[str, Any]:
        return super()._options() | {"k": self._k}

    def _batch(self) -> int:
        return self._k
