"""An op as a torch module, and the normalisation of pixels in front of a network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

import hwnas.nets.fusing  # noqa: F401 - registers what is fused
from hwnas.nets.modules import module_of
from hwnas.space import Op


class Block(nn.Module):
    """One op. (N, C_in, *size) -> (N, C_out, *size'); a head gives (N, classes).

    Attributes:
        drop: share of the images for which a residual block is left out in training; 0 but for `dropped_paths`.
    """

    drop: float = 0.0

    def __init__(self, op: Op) -> None:
        super().__init__()
        self.kind, self.residual = op.kind, op.residual
        self.steps = nn.Sequential(*(module_of(step) for step in op.steps))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.steps(x)
        if not self.residual:
            return out
        return (_some(out, self.drop) if self.drop and self.training else out) + x


@contextmanager
def dropped_paths(net: nn.Module, rate: float) -> Iterator[None]:
    """Inside the block, training leaves residual blocks out at random (Huang et al., ECCV 2016, linear decay).

    Only of networks that are trained alone: a supernet trains another path every step as it is, and a block that is
    left out is one of its candidates.

    Args:
        rate: of the last residual block; the i-th of L has i / L of it. 0 changes nothing.
    """
    blocks = [block for block in net.modules() if isinstance(block, Block) and block.residual] if rate else []
    for number, block in enumerate(blocks, 1):
        block.drop = rate * number / len(blocks)
    try:
        yield
    finally:
        for block in blocks:
            block.drop = 0.0


def _some(out: Tensor, drop: float) -> Tensor:
    """`out` for some images, zero for the others, with the same mean."""
    kept = torch.rand(out.shape[0], *[1] * (out.ndim - 1), device=out.device) >= drop
    return out * (kept / (1 - drop))


class Normalize(nn.Module):
    """(x - mean) / std per channel, so that users feed pixels in 0..1. Constants, saved with the weights.

    Args:
        mean, std: one number per channel, in 0..1.
        rank: axes of an image; 3 for volumes.
    """

    def __init__(self, mean: list[float], std: list[float], rank: int = 2) -> None:
        super().__init__()
        ones = [1] * rank
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, *ones))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, *ones))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std
