"""What a detector is trained for: the loss of its head, and what it starts from."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from hwnas.tasks import DetectionHeadLayout
from hwnas.tasks.detect import Detect
from hwnas.train.detect.distill import distill_detection
from hwnas.train.detect.loss import DetectionLoss
from hwnas.train.distill import Outputs, Teacher
from hwnas.train.objective import Objective, objective_of, several

PRIOR = 0.01  # probability of a class at a point, before anything was learnt


class DetectionObjective:
    """The loss of a head.

    Args:
        layout: what the maps of the networks mean.
    """

    def __init__(self, layout: DetectionHeadLayout) -> None:
        self.layout = layout
        self._loss = DetectionLoss(layout)

    def loss(self, outputs: Outputs, targets: Any, smoothing: float) -> Tensor:
        boxes, labels, crowd = ([torch.from_numpy(array) for array in arrays] for arrays in targets)
        return self._loss(several(outputs), boxes, labels, crowd)

    def distilled(self, outputs: Outputs, taught: Outputs, plain: Tensor, teacher: Teacher) -> Tensor:
        return plain + teacher.weight * distill_detection(several(outputs), several(taught), self.layout)

    def prepare(self, net: nn.Module) -> None:
        """Every class starts as improbable as it is, or the first steps only push scores down (RetinaNet, 2017)."""
        if self.layout.kind == "fcos":
            for block in net.modules():
                if getattr(block, "kind", "") == "predict":
                    last = list(block.modules())[-1]
                    assert isinstance(last, nn.Conv2d)
                    assert last.bias is not None
                    nn.init.constant_(last.bias[: self.layout.classes], -math.log((1 - PRIOR) / PRIOR))


@objective_of.register
def _(task: Detect, layout: Any, classes: int) -> Objective:
    assert layout is not None, "a detector needs the layout of its maps"
    return DetectionObjective(layout)
