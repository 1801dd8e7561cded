"""A mixture over the candidates of every position: what differentiable searches train through.

    symbol   meaning                                                                     shape
    w_k      weight of candidate k of a position; a candidate without one does not run   scalar
    o_k      candidate k                                                                 (N, C, *s) -> (N, C', *s')

A position gives sum_k w_k o_k(x) over the candidates that have a weight (Liu, Simonyan, Yang, DARTS: Differentiable
Architecture Search, ICLR 2019). Weights stand per position and not per choice, and are sparse: with one of value 1 a
position runs as in a network, with none it gives nothing, and positions of one choice may run differently. What then
reaches no output, or is reached by no image, is dead as in a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from hwnas.space import Op, Position, Space
from hwnas.space.execution import Execution, executions
from hwnas.space.position import live_positions

Weights = Mapping[int, Tensor | float]
"""Number of a candidate -> its weight; the float 1 stands for the candidate as it is."""


@dataclass(frozen=True)
class Mixture:
    """Which candidates run at every position, and with which weights.

    Args:
        weights: one mapping per position, in network order.
    """

    weights: Sequence[Weights]

    @classmethod
    def of_choices(cls, space: Space, weights: Sequence[Weights]) -> Mixture:
        """The mixture in which all positions of a choice have the weights of that choice, and fixed ones run.

        Args:
            weights: one mapping per choice.
        """
        return cls([{0: 1.0} if choice is None else weights[choice] for choice in space.choice_of])

    def executions(self, space: Space) -> tuple[Execution, ...]:
        """What runs: every live position on its own, since equal ops of two positions have weights of their own."""
        ops = [_running(position, weights) for position, weights in zip(space.positions, self.weights, strict=True)]
        return executions(space.edges, ops, live_positions(space.edges, ops), merged=False)


def _running(position: Position, weights: Weights) -> Op:
    """A candidate that stands for those that run; one that gives nothing where none does."""
    found = next((position.ops[k] for k in weights if not position.ops[k].cuts), None)
    first = position.ops[0]
    return found or Op("none", first.in_channels, first.out_channels, size=first.size)
