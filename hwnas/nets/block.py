"""An op as a torch module, and the normalisation of pixels in front of a network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import hwnas.nets.fusing  # noqa: F401 - registers what is fused
from hwnas.nets.modules import module_of
from hwnas.space import Op


class Block(nn.Module):
    """One op. (N, C_in, *size) -> (N, C_out, *size'); a head gives (N, classes)."""

    def __init__(self, op: Op) -> None:
        super().__init__()
        self.kind, self.residual = op.kind, op.residual
        self.steps = nn.Sequential(*(module_of(step) for step in op.steps))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.steps(x)
        return out + x if self.residual else out


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
