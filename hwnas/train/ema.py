"""A moving average of a network: steadier than its last step, and mostly better.

Glossary
    n       updates so far
    decay   share of the average that an update keeps: min(decay, (1 + n) / (10 + n)), so that the first, untrained
            weights are soon forgotten
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from hwnas.errors import RunError, UsageError

_PREFIX, _STEPS = "ema.", "ema_steps"


class Ema:
    """The exponential moving average of the weights and batch-norm statistics of a network.

    Args:
        net: the network that is trained; its values now are the first average.
        decay: of the average once it is warm, 0 to 1.

    Raises:
        UsageError: a decay outside 0..1.
    """

    def __init__(self, net: nn.Module, *, decay: float = 0.9998) -> None:
        if not 0 <= decay < 1:
            raise UsageError(f"the decay of a moving average must be in 0..1 and under 1, not {decay}")
        self.decay = decay
        self._model = AveragedModel(net, multi_avg_fn=self._mix, use_buffers=True)
        self._model.n_averaged.fill_(1)  # the network now; with 0 the first update would replace it

    @property
    def average(self) -> dict[str, Tensor]:
        """State of the averaged network, by the names of `net.state_dict()`; whole numbers are the last ones."""
        found: dict[str, Tensor] = self._model.module.state_dict()
        return found

    @property
    def steps(self) -> int:
        """Updates so far."""
        return int(self._model.n_averaged) - 1

    def update(self, net: nn.Module) -> None:
        """Take in the network after a step."""
        self._model.update_parameters(net)

    @torch.no_grad()
    def _mix(self, kept: Sequence[Tensor], values: Sequence[Tensor], count: Tensor | int) -> None:
        """Put the next average of tensors of one type into `kept`; `count` is n after this update."""
        decay = min(self.decay, (1 + int(count)) / (10 + int(count)))
        for average, value in zip(kept, values, strict=True):
            average.lerp_(value, 1 - decay) if average.is_floating_point() else average.copy_(value)

    @contextmanager
    def applied(self, net: nn.Module) -> Iterator[None]:
        """Inside the block, `net` is the average; after it, what it was, bit for bit."""
        trained = {name: value.detach().clone() for name, value in net.state_dict().items()}
        net.load_state_dict(self.average)
        try:
            yield
        finally:
            net.load_state_dict(trained)

    def state(self) -> dict[str, Tensor]:
        """All there is to know, as tensors with names that begin with `ema`."""
        return {_STEPS: torch.tensor(self.steps)} | {_PREFIX + name: value for name, value in self.average.items()}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from what `state` gave; other tensors in the same mapping are left alone.

        Raises:
            RunError: a tensor of this network is missing, or has another shape.
        """
        wanted = {_PREFIX + name: value for name, value in self.average.items()}
        for name, kept in wanted.items():
            if name not in tensors or tensors[name].shape != kept.shape:
                raise RunError(f"the moving average has no {name} of shape {tuple(kept.shape)}: it is of another "
                               "network; delete the checkpoint to train again")
        if _STEPS not in tensors:
            raise RunError(f"the moving average has no {_STEPS}: delete the checkpoint to train again")
        for name, kept in wanted.items():
            kept.copy_(tensors[name])  # in place: the memory format stays, and with it the bits of the next update
        self._model.n_averaged.fill_(int(tensors[_STEPS]) + 1)
