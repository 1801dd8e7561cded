"""One architecture as a plain network."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hwnas.nets.modules import Block, Normalize
from hwnas.space import Architecture, Op, flow


class Network(nn.Module):
    """A single architecture. (N, C, H, W) pixels in 0..1 -> (N, classes) logits.

    A space with several outputs gives a list of maps (N, C_i, H_i, W_i), largest map first.

    Args:
        arch: which op at every position.
        mean, std: per-channel statistics of the training pixels in 0..1.
    """

    def __init__(self, arch: Architecture, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.arch = arch
        self.normalize = Normalize(mean, std)
        self.blocks = nn.ModuleDict(
            {module_name(p.name): Block(op)
             for p, op, live in zip(arch.space.positions, arch.ops, arch.live, strict=True) if live and op.steps}
        )

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        return run_flow(self.arch, self.normalize(x), self._run)

    def _run(self, number: int, op: Op, x: Tensor) -> Tensor:
        out: Tensor = self.blocks[module_name(self.arch.space.positions[number].name)](x) if op.steps else x
        return out


def run_flow(arch: Architecture, x: Tensor, run: Callable[[int, Op, Tensor], Tensor]) -> Tensor | list[Tensor]:
    """Send x (N, C, H, W) through the positions of `arch`; gives its output, a list where there are several.

    `run` must not change its input.
    """
    outputs = flow(arch, x, run=run, add=torch.add,
                   zeros=lambda op: x.new_zeros(x.shape[0], op.in_channels, op.height, op.width))
    return outputs if len(outputs) > 1 else outputs[0]


def module_name(position: str) -> str:
    """Name of a position's module; torch does not allow a dot in it."""
    return position.replace(".", "_")
