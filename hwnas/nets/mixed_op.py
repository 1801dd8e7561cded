"""All candidate ops of one position in one module."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hwnas.nets.block import Block
from hwnas.nets.elastic import ElasticBlock, sharing
from hwnas.nets.mixture import Weights
from hwnas.space import Op


class MixedOp(nn.Module):
    """All candidate ops of one position; runs the one that is asked for.

    Args:
        ops: the candidates; those that are slices of one another share weights, the others have their own, those
            without steps (skip, identity, none) have none.
        entangled: whether slices share weights; if not, every candidate with steps has its own.

    Attributes:
        elastic: the first block whose weights are shared; None where no candidates share any.
        shared: all of those; a position has several where candidates of several kinds share among themselves.
        alone: the blocks with weights of their own, by the number of the candidate.
    """

    def __init__(self, ops: Sequence[Op], entangled: bool = True) -> None:
        super().__init__()
        self.ops = tuple(ops)
        groups: dict[Op, list[Op]] = {}
        for op in ops:
            if op.elastic and entangled:
                groups.setdefault(sharing(op), []).append(op)
        self.shared = [ElasticBlock(found) for found in groups.values() if len(found) > 1]
        self.elastic = self.shared[0] if self.shared else None
        for number, block in enumerate(self.shared[1:], 2):
            self.add_module(f"elastic{number}", block)
        self._block_of = {op: block for block in self.shared for op in block.ops}
        alone = [i for i, op in enumerate(ops) if op.steps and op not in self._block_of]
        self.alone = nn.ModuleDict({str(i): Block(ops[i]) for i in alone})

    def forward(self, x: Tensor, index: int) -> Tensor:
        op = self.ops[index]
        if not op.steps:
            return x
        if op in self._block_of:
            return self._block_of[op](x, op)  # type: ignore[no-any-return]
        return self.alone[str(index)](x)  # type: ignore[no-any-return]

    def mixture(self, x: Tensor, weights: Weights) -> Tensor | None:
        """The weighted sum of what the candidates that have a weight give; None where none of them gives anything."""
        total: Tensor | None = None
        for index, weight in weights.items():
            if self.ops[index].cuts:
                continue
            out = self(x, index)
            out = out if isinstance(weight, float) and weight == 1.0 else weight * out
            total = out if total is None else total + out
        return total

    def module_of(self, index: int) -> nn.Module | None:
        """The module that candidate `index` runs through; None for an op without steps."""
        op = self.ops[index]
        if not op.steps:
            return None
        return self._block_of[op] if op in self._block_of else self.alone[str(index)]

    def state_of(self, index: int) -> dict[str, Tensor]:
        """State dict of `Block(ops[index])`, copied; empty for an op without steps."""
        module = self.module_of(index)
        if module is None:
            return {}
        if isinstance(module, ElasticBlock):
            return module.state_of(self.ops[index])
        return {k: v.clone() for k, v in module.state_dict().items()}
