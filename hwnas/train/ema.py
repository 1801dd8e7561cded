"""A moving average of a network: steadier than its last step, and mostly better.

Glossary
    n       updates so far
    decay   share of the average that an update keeps: min(decay, (1 + n) / (10 + n)), so that the first, untrained
            weights are soon forgotten
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from hwnas.errors import RunError, UsageError

_PREFIX, _STEPS = "ema.", "ema_steps"


class Ema:
    """The exponential moving average of the weights and batch-norm statistics of a network.

    Args:
        net: the network that is trained; its values now are the first average.
        decay: of the average once it is warm, 0 to 1.

    Attributes:
        average: state of the averaged network, by the names of `net.state_dict()`; whole numbers are the last ones.
        steps: updates so far.

    Raises:
        UsageError: a decay outside 0..1.
    """

    def __init__(self, net: nn.Module, *, decay: float = 0.9998) -> None:
        if not 0 <= decay < 1:
            raise UsageError(f"the decay of a moving average must be in 0..1 and under 1, not {decay}")
        self.decay, self.steps = decay, 0
        self.average = {name: value.detach().clone() for name, value in net.state_dict().items()}

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        """Take in the network after a step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for name, value in net.state_dict().items():
            kept = self.average[name]
            if kept.is_floating_point():
                kept.lerp_(value, 1 - decay)
            else:
                kept.copy_(value)

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
        self.steps = int(tensors[_STEPS])
