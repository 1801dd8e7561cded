"""One architecture as a plain network."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from hwnas.nets.block import Block, Normalize
from hwnas.space import Architecture, Op, interpret
from hwnas.space.execution import Execution
from hwnas.space.heads import strides_of, taps


class Network(nn.Module):
    """A single architecture. (N, C, H, W) pixels in 0..1 -> (N, classes) logits.

    A space with several outputs gives a list of maps (N, C_i, H_i, W_i), largest map first.

    Args:
        arch: which op at every position.
        mean, std: per-channel statistics of the training pixels in 0..1.

    Attributes:
        watched: numbers of the positions whose maps are kept; none at first.
        maps: position -> what it gave in the last forward pass.
    """

    def __init__(self, arch: Architecture, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.arch = arch
        self.watched: frozenset[int] = frozenset()
        self.maps: dict[int, Tensor] = {}
        self.normalize = Normalize(mean, std, len(arch.space.input_shape) - 1)
        self.blocks = nn.ModuleDict(
            {module_name(p.name): Block(op)
             for p, op, live in zip(arch.space.positions, arch.ops, arch.live, strict=True) if live and op.steps}
        )

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        return run_flow(self.arch, self.normalize(x), self._run)

    def watch_taps(self) -> None:
        """Keep the maps of the backbone that the head reads, until `watched` is emptied; nothing without a head."""
        space = self.arch.space
        found = taps(space.config, space.positions) if space.config.head else {}
        read = strides_of(space.config) if found else ()
        self.watched = frozenset(space.positions.index(found[stride]) for stride in read)

    def unwatch(self) -> None:
        """Keep no maps any more."""
        self.watched, self.maps = frozenset(), {}

    def taken_maps(self) -> list[Tensor]:
        """The maps that were kept, in network order; they are forgotten."""
        found, self.maps = [self.maps[number] for number in sorted(self.maps)], {}
        return found

    def _run(self, number: int, op: Op, x: Tensor) -> Tensor:
        out: Tensor = self.blocks[module_name(self.arch.space.positions[number].name)](x) if op.steps else x
        if number in self.watched:
            self.maps[number] = out
        return out


def run_flow(arch: Architecture, x: Tensor, run: Callable[[int, Op, Tensor], Tensor],
             executions: Sequence[Execution] | None = None) -> Tensor | list[Tensor]:
    """Send x (N, C, H, W) through the positions of `arch`; gives its output, a list where there are several.

    `run` must not change its input; `executions` as of `hwnas.space.interpret`.
    """
    outputs = run_nodes(arch, x, run, executions=executions)
    return outputs if len(outputs) > 1 else outputs[0]


def run_nodes(arch: Architecture, x: Tensor, run: Callable[[int, Op, Tensor], Tensor],
              nodes: Sequence[str] | None = None, executions: Sequence[Execution] | None = None) -> list[Tensor]:
    """What nodes of `arch` hold for x (N, C, *size), those of its outputs where none are named."""
    return interpret(arch, x, run=run, add=torch.add, join=lambda parts: torch.cat(list(parts), 1), nodes=nodes,
                     executions=executions,
                     zeros=lambda shape: x.new_zeros(x.shape[0], *shape))


def module_name(position: str) -> str:
    """Name of a position's module; torch allows neither a dot in it nor a name that its containers use themselves."""
    name = position.replace(".", "_")
    return f"{name}~" if hasattr(nn.ModuleDict(), name) else name  # no position has that letter in its name
