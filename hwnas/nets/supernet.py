"""All candidate ops of a space in one module; an architecture runs one path through it.

Weights are shared in two ways: two architectures that take the same op at a choice train the same tensors, and ops
of a choice that differ only in kernel and expansion are slices of one block (`hwnas.nets.elastic`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hwnas.nets.elastic import Candidates
from hwnas.nets.modules import Normalize
from hwnas.nets.network import Network, module_name
from hwnas.space import Architecture, Space


class Supernet(nn.Module):
    """Every candidate op of every position. (N, C, H, W) pixels in 0..1 -> (N, classes) logits.

    Args:
        space: what can be built.
        mean, std: per-channel statistics of the training pixels in 0..1.
    """

    def __init__(self, space: Space, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.space = space
        self.normalize = Normalize(mean, std)
        self.candidates = [Candidates(p.ops) for p in space.positions]
        named = zip(space.positions, self.candidates, strict=True)
        self.positions = nn.ModuleDict({module_name(p.name): c for p, c in named})
        self.select(space.largest().choice)

    def select(self, choice: Sequence[int]) -> None:
        """Run `choice` (one op index per choice) from now on."""
        picked = iter(self.space.architecture(choice).choice)
        self.path = [next(picked) if p.is_choice else 0 for p in self.space.positions]

    def active(self) -> list[nn.Module]:
        """The modules on the selected path, in network order."""
        modules = (c.module_of(i) for c, i in zip(self.candidates, self.path, strict=True))
        return [m for m in modules if m is not None]

    def forward(self, x: Tensor) -> Tensor:
        x = self.normalize(x)
        for candidates, index in zip(self.candidates, self.path, strict=True):
            x = candidates(x, index)
        return x

    def weights_of(self, arch: Architecture) -> dict[str, Tensor]:
        """State dict for `Network(arch)`: copies of this supernet's tensors on the path of `arch`."""
        state = {f"normalize.{k}": v.clone() for k, v in self.normalize.state_dict().items()}
        picked = iter(arch.choice)
        for position, candidates in zip(self.space.positions, self.candidates, strict=True):
            own = candidates.state_of(next(picked) if position.is_choice else 0)
            state |= {f"blocks.{module_name(position.name)}.{k}": v for k, v in own.items()}
        return state

    def network(self, arch: Architecture) -> Network:
        """`arch` as a network of its own that starts from this supernet's weights (copied)."""
        mean, std = self.normalize.mean.flatten().tolist(), self.normalize.std.flatten().tolist()
        net = Network(arch, mean, std)
        net.load_state_dict(self.weights_of(arch))
        return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
