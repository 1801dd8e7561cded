"""What a network costs that says for every class whether an image shows it: binary cross entropy.

Glossary
    N, K   images, classes
    t      truth, 1 where an image shows a class; between 0 and 1 where images are mixed or labels smoothed
    w_k    weight of what shows class k
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.data.multilabel import MultiLabelData
from hwnas.data.recipe import LossPart
from hwnas.errors import UsageError
from hwnas.tasks.multilabel import MultiLabel
from hwnas.train.distill import Outputs, Teacher
from hwnas.train.objective import Objective, objective_of, one

HEAVIEST = 10.0  # w_k at most: of a class that one image in a thousand shows, each must not drown the others


class BinaryCrossEntropy:
    """Summed over the classes, mean over the images, so that a class learns as fast whatever their number.

    Args:
        weights: w_k, (K,); None for 1 each.
    """

    def __init__(self, weights: Tensor | None = None) -> None:
        self.weights = weights

    def loss(self, outputs: Outputs, targets: np.ndarray, smoothing: float) -> Tensor:
        logits = one(outputs)
        truth = torch.from_numpy(targets).to(logits.device)
        soft = truth * (1 - smoothing) + smoothing / 2
        weights = None if self.weights is None else self.weights.to(logits.device)
        each = functional.binary_cross_entropy_with_logits(logits, soft, pos_weight=weights, reduction="none")
        return each.sum(1).mean()

    def distilled(self, outputs: Outputs, taught: Outputs, plain: Tensor, teacher: Teacher) -> Tensor:
        """(1 - weight) plain + weight T^2 (the divergence of softened probabilities, summed over the classes)."""
        mine, theirs = one(outputs) / teacher.temperature, (one(taught) / teacher.temperature).sigmoid().detach()
        crossed = functional.binary_cross_entropy_with_logits(mine, theirs, reduction="none")
        own = functional.binary_cross_entropy(theirs, theirs, reduction="none")  # what no student can go below
        divergence = teacher.temperature**2 * (crossed - own).sum(1).mean()
        return (1 - teacher.weight) * plain + teacher.weight * divergence

    def prepare(self, net: nn.Module) -> None:
        """Nothing."""

    def weighed(self, asked: LossPart, data: MultiLabelData) -> BinaryCrossEntropy:
        """With weights of what shows a class; `balanced`: the more, the fewer images do: (N - m) / m, to `HEAVIEST`.

        Raises:
            UsageError: `hard_only`, which is of pixels.
        """
        if asked.hard_only:
            raise UsageError("recipe: hard_only is of pixels, for --task segment: leave it out")
        shown = np.maximum(data.counts(data.train), 1)
        balanced = np.clip((len(data.train) - shown) / shown, 1.0, HEAVIEST)
        weights = asked.weights(data.classes, balanced.tolist)
        return BinaryCrossEntropy(None if weights is None else torch.tensor(weights))


@objective_of.register
def _(task: MultiLabel, layout: Any, classes: int) -> Objective:
    return BinaryCrossEntropy()
