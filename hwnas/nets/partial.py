"""A supernet whose choices see a part of the channels; the others pass them by.

Source: Xu et al., PC-DARTS, ICLR 2020: the candidates of an edge run on 1/K of the channels of a map, what passes by is
put beside what they give, and channels are shuffled, so that every one meets the candidates of some edge. A step of a
mixture then takes about 1/K of the memory. Such weights are those of no network of the space: they say which ops are
worth their place, and networks that are trained on begin anew.

Glossary
    K        channels over those that the candidates see
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from hwnas.nets.mixed_op import MixedOp
from hwnas.nets.mixture import Mixture
from hwnas.nets.network import module_name
from hwnas.nets.supernet import Supernet
from hwnas.space import Op, Position, Space

SHARE = 4  # K of PC-DARTS on CIFAR-10


class PartialSupernet(Supernet):
    """Choices whose candidates keep the number of channels, and have a multiple of K, run on a part of them.

    Every position runs as in a mixture, also where an architecture is asked for: a map that passes an edge is shuffled
    as any other.

    Args:
        share: K.
    """

    def __init__(self, space: Space, mean: list[float], std: list[float], share: int = SHARE) -> None:
        super().__init__(space, mean, std)
        self.share = share
        self.partial = {i for i, position in enumerate(space.positions) if _divides(position, share)}
        for i in sorted(self.partial):
            position = space.positions[i]
            thin = MixedOp([op.replaced(in_channels=op.in_channels // share, out_channels=op.out_channels // share)
                            for op in position.ops])
            self.candidates[i] = self.positions[module_name(position.name)] = thin

    def _run_mixture(self, mixture: Mixture, number: int, op: Op, x: Tensor) -> Tensor:
        if number not in self.partial:
            return super()._run_mixture(mixture, number, op, x)
        return self._beside(x, op, lambda part: self.candidates[number].mixture(part, mixture.weights[number]))

    def _run(self, path: Sequence[int], number: int, op: Op, x: Tensor) -> Tensor:
        if number not in self.partial:
            return super()._run(path, number, op, x)
        return self._beside(x, op, lambda part: self.candidates[number](part, path[number]))

    def _beside(self, x: Tensor, op: Op, run: Callable[[Tensor], Tensor | None]) -> Tensor:
        """What candidates give for the first channels beside the others, shuffled."""
        seen = x.shape[1] // self.share
        part, rest = x[:, :seen], x[:, seen:]
        if op.stride > 1:
            rest = nn.functional.max_pool2d(rest, op.stride, op.stride, ceil_mode=True)
        out = run(part)
        given = torch.zeros_like(rest[:, :seen]) if out is None else out
        return nn.functional.channel_shuffle(torch.cat([given, rest], 1), self.share)


def _divides(position: Position, share: int) -> bool:
    return position.is_choice and len(position.ops[0].size) == 2 and all(
        op.in_channels == op.out_channels and op.in_channels % share == 0 and op.in_channels > share
        for op in position.ops)
