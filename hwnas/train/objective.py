"""The half of a task that needs torch: what a mistake costs, what a teacher says, what a network starts from.

`objective_of` gives it for any task. Those of the built-in tasks are registered by class, here and in the files of
their losses; a third party's task is its own objective, with torch imported inside its methods.
"""

from __future__ import annotations

import functools
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.data.recipe import LossPart
from hwnas.errors import UsageError
from hwnas.nets.ranks import fair_count
from hwnas.tasks import Task
from hwnas.tasks.classify import Classify
from hwnas.train.distill import Outputs, Teacher


class Objective(Protocol):
    """What a network is trained for."""

    def loss(self, outputs: Outputs, targets: Any, smoothing: float) -> Tensor:
        """What the mistakes of a batch cost, a scalar; `smoothing` is of the labels where the task has some."""

    def distilled(self, outputs: Outputs, taught: Outputs, plain: Tensor, teacher: Teacher) -> Tensor:
        """The loss with a teacher: `taught` is what it gives for the batch, `plain` the loss without it."""

    def prepare(self, net: nn.Module) -> None:
        """Set what a new network should start from, in place."""


@runtime_checkable
class Weighed(Protocol):
    """An objective that can weigh mistakes as a recipe says."""

    def weighed(self, asked: LossPart, data: Any) -> Objective:
        """The same with weights.

        Args:
            data: what is learnt from.
        """


@functools.singledispatch
def objective_of(task: Task, layout: Any, classes: int) -> Objective:
    """The objective of a task.

    Args:
        layout: of the head, as the task gives it.
        classes: how many a network tells.
    """
    return task


class CrossEntropy:
    """Cross entropy with label smoothing, and softened divergence from a teacher.

    Args:
        weights: of every class, (K,); the loss is then the weighted mean. None for equal ones.
    """

    def __init__(self, weights: Tensor | None = None) -> None:
        self.weights = weights

    def loss(self, outputs: Outputs, targets: np.ndarray, smoothing: float) -> Tensor:
        logits = one(outputs)
        truth = torch.from_numpy(targets).to(logits.device)
        if self.weights is None:
            return functional.cross_entropy(logits, truth, label_smoothing=smoothing)
        weights = self.weights.to(logits.device)
        each = functional.cross_entropy(logits, truth, weights, label_smoothing=smoothing, reduction="none")
        total = (weights[truth] if truth.ndim == 1 else truth @ weights).sum()
        return each.sum() / fair_count(total, logits.device, least=1e-12)

    def weighed(self, asked: LossPart, data: Any) -> CrossEntropy:
        """With a weight a class; `balanced`: images over K times those of the class, so that all classes count alike.

        Raises:
            UsageError: `hard_only`, which is of pixels.
        """
        if asked.hard_only:
            raise UsageError("recipe: hard_only is of pixels, for --task segment: leave it out")
        counts = np.maximum(np.bincount(data.train.labels, minlength=len(data.classes)), 1)
        balanced = counts.sum() / (len(counts) * counts)
        weights = asked.weights(data.classes, balanced.tolist)
        return CrossEntropy(None if weights is None else torch.tensor(weights))

    def distilled(self, outputs: Outputs, taught: Outputs, plain: Tensor, teacher: Teacher) -> Tensor:
        return teacher.loss(one(outputs), one(taught), plain)

    def prepare(self, net: nn.Module) -> None:
        """Nothing."""


@objective_of.register
def _(task: Classify, layout: Any, classes: int) -> Objective:
    return CrossEntropy()


def one(outputs: Outputs) -> Tensor:
    """The only output."""
    assert isinstance(outputs, Tensor), "one output was expected"
    return outputs


def several(outputs: Outputs) -> list[Tensor]:
    """The maps, one a level."""
    assert isinstance(outputs, list), "a map a level was expected"
    return outputs
