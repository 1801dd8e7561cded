"""FP-NAS: PARSEC with as many samples as the law has entropy, a coarse phase on factors of ops, and a cost.

    symbol   meaning                                                        shape
    H        entropy of the law, in nats                                    scalar
    C_j      excess of sample j: max(0, cost / target - 1)                  (n,)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hwnas.errors import UsageError
from hwnas.search.distribution import FloatArray, Rows
from hwnas.search.distribution_learning.factors import joint_logits, settings_of
from hwnas.search.distribution_learning.learner import entropy
from hwnas.search.distribution_learning.parsec import EvidenceLearner
from hwnas.search.settings import positive, whole
from hwnas.search.strategy import Choice


class FpNas(EvidenceLearner):
    """A batch has ceil(lam H) samples; the law moves as PARSEC's, and away from samples above the target cost.

    Source: Yan et al., FP-NAS (CVPR 2021, arXiv 2011.10949). Deviations: those of PARSEC; entropy in nats; the
    weight of sample j is softmax(ll)_j - beta C_j / sum C, from the gradient of the paper's
    -log P(y) + beta log mean_j C_j; `beta` and `coarse` have no published value at hand.

    Args:
        lam: samples per nat, 1/4 in the paper.
        k_min: fewest samples in a batch, at least 2: a single one has weight 1 whatever its score.
        lr: step of Adam.
        temperature: spreads of the scores to the nat.
        factors: per choice the number of values of each setting that makes up an op (the last fastest), with the
            number of ops as product; while coarse, every setting has a law of its own. None: ops are atoms.
        coarse: evaluations after which, at the end of a batch, the law goes on jointly over the settings.
        costs: per choice the cost of each op; they add up. None: no cost term.
        target: cost up to which an architecture is not pushed away, in the units of `costs`; fixed parts left out.
        beta: weight of the cost.
    """

    name = "fpnas"

    def __init__(self, choices: Sequence[int], evaluations: int, seed: int = 0, *, ridge: float = 10.0,
                 lam: float = 0.25, k_min: int = 2, lr: float = 0.1, temperature: float = 0.5,
                 factors: Sequence[Sequence[int]] | None = None, coarse: int = 0,
                 costs: Sequence[Sequence[float]] | None = None, target: float | None = None,
                 beta: float = 0.3) -> None:
        super().__init__(choices, evaluations, seed, ridge, lr, temperature)
        self.lam, self._k_min = positive("lam", lam), whole("k_min", k_min, 2)
        self._factors = _checked_factors(factors, coarse, self.choices)
        self._coarse = coarse if self._factors else 0
        self._costs = _checked_costs(costs, target, self.choices)
        self._target, self._beta = 0.0 if target is None else positive("target", target), positive("beta", beta)
        self.start(sum(self._sizes(0)))

    def _options(self) -> dict[str, Any]:
        return super()._options() | {
            "lam": self.lam, "k_min": self._k_min, "factors": self._factors, "coarse": self._coarse,
            "costs": [row.tolist() for row in self._costs], "target": self._target, "beta": self._beta,
        }

    def _batch(self) -> int:
        # Rounding must not ask for one sample more.
        return max(self._k_min, math.ceil(self.lam * entropy(self.law()) - 1e-9))

    def _is_coarse(self, learnt: int) -> bool:
        return learnt < self._coarse

    def _sizes(self, learnt: int) -> list[int]:
        return [n for sizes in self._factors for n in sizes] if self._is_coarse(learnt) else super()._sizes(learnt)

    def _rows(self) -> Rows:
        if not self._is_coarse(self.learnt):
            return super()._rows()
        rows = iter(self.logit_rows())
        return [joint_logits([next(rows) for _ in sizes]) for sizes in self._factors]

    def _columns(self, samples: list[Choice]) -> Sequence[Sequence[int]]:
        return settings_of(samples, self._factors) if self._is_coarse(self.learnt) else samples

    def _weights(self, samples: list[Choice], scores: FloatArray) -> FloatArray:
        if not self._costs:
            return super()._weights(samples, scores)
        spent = np.array([sum(row[op] for row, op in zip(self._costs, x, strict=True)) for x in samples])
        return super()._weights(samples, scores) - self._beta * excess_shares(spent, self._target)

    def _move(self, samples: list[Choice], scores: FloatArray) -> None:
        super()._move(samples, scores)
        if self._is_coarse(self.learnt) and not self._is_coarse(self.learnt + len(samples)):
            rows = self._rows()
            self.start(sum(self.choices))
            self._logits = np.concatenate(rows)


def excess_shares(costs: FloatArray, target: float) -> FloatArray:
    """C_j / sum C with C = max(0, costs / target - 1), (n,); all 0 where no sample is above the target."""
    excess = np.maximum(costs / target - 1, 0.0)
    shares: FloatArray = excess / (excess.sum() or 1.0)
    return shares


def _checked_factors(factors: Sequence[Sequence[int]] | None, coarse: int, choices: Choice) -> list[list[int]]:
    if factors is None:
        if coarse:
            raise UsageError(f"coarse ({coarse}) needs factors: the settings that the ops of each choice are made of")
        return []
    whole("coarse", coarse, 1)
    checked = [[whole("a factor", n, 1) for n in sizes] for sizes in factors]
    if [math.prod(sizes) for sizes in checked] != list(choices):
        raise UsageError(f"factors must multiply to the {list(choices)} ops of the choices, not {checked}")
    return checked


def _checked_costs(costs: Sequence[Sequence[float]] | None, target: float | None, choices: Choice) -> Rows:
    if (costs is None) != (target is None):
        raise UsageError("costs and target go together: give both or none")
    rows = [np.array(row, dtype=np.float64) for row in costs or ()]
    if costs is not None and [row.shape for row in rows] != [(k,) for k in choices]:
        raise UsageError(f"costs must have {list(choices)} entries for the choices, not {[len(row) for row in costs]}")
    if not all(np.isfinite(row).all() for row in rows):
        raise UsageError("every cost must be a finite number")
    return rows
