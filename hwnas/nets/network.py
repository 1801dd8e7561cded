"""One architecture as a plain network."""

from __future__ import annotations

from torch import Tensor, nn

from hwnas.nets.modules import Block, Normalize
from hwnas.space import Architecture


class Network(nn.Module):
    """A single architecture. (N, C, H, W) pixels in 0..1 -> (N, classes) logits.

    Args:
        arch: which op at every position.
        mean, std: per-channel statistics of the training pixels in 0..1.
    """

    def __init__(self, arch: Architecture, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.arch = arch
        self.normalize = Normalize(mean, std)
        self.blocks = nn.ModuleDict(
            {module_name(p.name): Block(op) for p, op in zip(arch.space.positions, arch.ops, strict=True)
             if op.kind != "skip"}
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.normalize(x)
        for block in self.blocks.values():
            x = block(x)
        return x


def module_name(position: str) -> str:
    """Name of a position's module; torch does not allow a dot in it."""
    return position.replace(".", "_")
