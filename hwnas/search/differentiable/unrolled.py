"""DARTS of the second order: logits descend the held-out loss of the weights that a training step would give.

    symbol   meaning                                                                       shape
    w        shared weights, v their momenta, mu and lambda momentum and decay of SGD
    L, V     loss of a training batch and of a held-out one
    w'       w - xi (mu v + dL/dw + lambda w), the weights after a step at its rate xi
    z        dV/dw at w'; eps = 0.01 / |z|
    h        (dL/da at w + eps z  -  dL/da at w - eps z) / (2 eps)
    step     dV/da at w'  -  xi h

Source: Liu, Simonyan, Yang, DARTS, ICLR 2019, equations 6 to 8 and the released code. The training batch is another one
than the weights are trained on behind it (ours).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from hwnas.search.differentiable.relaxations import Relaxation, Softmax
from hwnas.search.differentiable.searcher import Differentiable
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import SupernetEvaluator
from hwnas.search.schedule import Round
from hwnas.tasks.task import Batch

EPS = 0.01
_OTHERS = 2 * 10**6  # added to a round's number where its own training batches are not meant


class Unrolled(Differentiable):
    """As `Differentiable`, by the gradient through one step of the weights."""

    work: ClassVar[float] = 2.5

    def __init__(self, setting: EvaluatorSetting, relaxation: Relaxation) -> None:
        super().__init__(setting, relaxation)
        self._drawn_for, self._step = -1, 0
        self._batches: Iterator[Batch] = iter(())

    def learn(self, evaluator: SupernetEvaluator, batch: Batch, rng: np.random.Generator, current: Round,
              progress: float) -> None:
        if self._drawn_for != current.number:
            self._drawn_for, self._step = current.number, 0
            self._batches = evaluator.batches(_OTHERS + current.number, len(current.rates))
        trained, rows = next(self._batches), self.logits.rows
        weights = [p for p in evaluator.supernet.parameters() if p.requires_grad]
        before, xi = [w.detach().clone() for w in weights], current.rates[self._step]
        self._step += 1

        def slopes(of: Batch, with_weights: bool = False) -> tuple[Sequence[Tensor | None], Sequence[Tensor | None]]:
            mixture = self.relaxation.mixture(evaluator.supernet.space, rows, rng, progress)
            loss = self.loss(evaluator, mixture, of, current)
            found = torch.autograd.grad(loss, [*rows, *weights] if with_weights else rows, allow_unused=True)
            return found[: len(rows)], found[len(rows) :]

        _, down = slopes(trained, with_weights=True)
        _put(weights, [w - xi * step for w, step in zip(before, _steps(evaluator, weights, down), strict=True)])
        ahead, z = slopes(batch, with_weights=True)
        length = math.sqrt(sum(float((g.double() ** 2).sum()) for g in z if g is not None))
        eps = EPS / max(length, 1e-12)
        sides = []
        for sign in (1, -1):
            _put(weights, [w if g is None else w + sign * eps * g for w, g in zip(before, z, strict=True)])
            sides.append(slopes(trained)[0])
        _put(weights, before)
        self.logits.descend([_less(g, plus, minus, xi / (2 * eps))
                             for g, plus, minus in zip(ahead, *sides, strict=True)])


def darts2(setting: EvaluatorSetting) -> Unrolled:
    """Mixtures of all candidates, by the gradient through a step."""
    return Unrolled(setting, Softmax(setting.space.sizes))


def _steps(evaluator: SupernetEvaluator, weights: Sequence[Tensor], slopes: Sequence[Tensor | None]) -> list[Tensor]:
    """What SGD would take from every weight, over the rate."""
    groups = {id(p): group for group in evaluator.optimizer.param_groups for p in group["params"]}
    found = []
    for w, g in zip(weights, slopes, strict=True):
        group, v = groups[id(w)], evaluator.optimizer.state.get(w, {}).get("momentum_buffer")
        step = group.get("weight_decay", 0.0) * w.detach() + (0.0 if g is None else g)
        found.append(step if v is None else step + group.get("momentum", 0.0) * v)
    return found


def _put(weights: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    with torch.no_grad():
        for w, value in zip(weights, values, strict=True):
            w.copy_(value)


def _less(g: Tensor | None, plus: Tensor | None, minus: Tensor | None, share: float) -> Tensor | None:
    return g if plus is None or minus is None or g is None else g - share * (plus - minus)
