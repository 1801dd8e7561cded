"""A user's loss: a function of outputs and targets in place of the loss of the task.

    def focal(outputs, targets):       # --loss my_losses:focal, or the entry point `hwnas.losses`
        return ...                     # a scalar tensor

A class is made without arguments and then called, so a loss of torch (`torch.nn:CrossEntropyLoss`) is one as well. The
teacher's half of distillation stays that of the task. With several processes the loss must be a mean over the images.
"""

from __future__ import annotations

import inspect
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from hwnas.data.recipe import LOSS_RULE, LOSSES
from hwnas.errors import UsageError
from hwnas.train.distill import Outputs, Teacher
from hwnas.train.objective import Objective


class OwnFunction(Protocol):
    """What a user writes."""

    def __call__(self, outputs: Outputs, targets: Any) -> Tensor:
        """A scalar, the mean over the images.

        Args:
            outputs: of the network, float32: logits (N, K), or the maps of a detector or a segmenter.
            targets: as the task gives them, arrays as tensors beside the outputs: classes int64 (N,), where images are
                mixed probabilities (N, K); labels float32 (N, K) of multilabel; masks (N, H, W).
        """


def loss_of(name: str) -> OwnFunction:
    """A user's loss; raises UnknownName, UsageError as `Plugins.own`."""
    found = LOSSES.own(name, 2, LOSS_RULE)
    if not inspect.isclass(found):
        return cast(OwnFunction, found)
    try:
        return cast(OwnFunction, found())
    except Exception as err:  # a stranger's code
        why = f"{type(err).__name__}: {err}"
        raise UsageError(f"--loss {name} is a class, and is made without arguments: {why}") from err


class OwnLoss:
    """An objective with a user's loss.

    Args:
        name: as it was given.
        inner: the objective of the task, which says the rest.
    """

    def __init__(self, name: str, inner: Objective) -> None:
        self._name, self._inner, self._function = name, inner, loss_of(name)
        self._tried = False

    def loss(self, outputs: Outputs, targets: Any, smoothing: float) -> Tensor:
        first = outputs if isinstance(outputs, Tensor) else outputs[0]
        given = torch.from_numpy(targets).to(first.device) if isinstance(targets, np.ndarray) else targets
        found = self._function(outputs, given)
        self._check(found, training=first.requires_grad)
        return found

    def distilled(self, outputs: Outputs, taught: Outputs, plain: Tensor, teacher: Teacher) -> Tensor:
        return self._inner.distilled(outputs, taught, plain, teacher)

    def prepare(self, net: nn.Module) -> None:
        self._inner.prepare(net)

    def _check(self, found: Any, training: bool) -> None:
        """Raises UsageError where it is no loss; whether it is finite is looked at once, later ones are by the loop."""
        if not isinstance(found, Tensor) or found.ndim:
            what = f"a tensor of the shape {tuple(found.shape)}" if isinstance(found, Tensor) else f"{found!r:.100}"
            raise UsageError(f"--loss {self._name} gave {what}: {LOSS_RULE}, so end it with .mean() over the images")
        if training and not found.requires_grad:
            raise UsageError(f"--loss {self._name} gave a number that no gradient leads to: compute it from the "
                             "outputs with torch, without .detach(), .item() or numpy")
        if not self._tried and not bool(torch.isfinite(found.detach())):
            raise UsageError(f"--loss {self._name} gave {float(found.detach())} for the first batch: look for a "
                             "logarithm or a division of 0")
        self._tried = True
