"""Candidate ops of one position that share one set of weights.

Inverted residuals that differ only in kernel and expansion use slices of the largest: the first e * C_in hidden
channels and the centre of the kernel (weight entanglement, as in Single-Path NAS, Stamoulis et al., 2019, and
once-for-all, Cai et al., ICLR 2020). Every step then trains all of them a little; with one set of weights per op a
short search leaves each of them half-trained. Ops that do not fit the pattern have weights of their own.

Glossary
    C       channels of the input                       M      hidden channels of the largest op, max e * C
    m       hidden channels of the op at hand, e * C    K, k   largest kernel, kernel of the op at hand
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.nets.depthwise import DepthwiseConv2d, depthwise
from hwnas.nets.modules import Block, ConvNormAct, SqueezeExciteGate
from hwnas.space import Op, SqueezeExcite


def entangles(op: Op) -> bool:
    """Whether an op can be a slice of a larger one: an inverted residual with a dense expansion convolution."""
    expands = op.kind == "fbconv" or (op.kind == "mbconv" and op.expand > 1)
    return expands and op.groups == 1


def _norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """`norm` restricted to the first channels; its running statistics are updated there only."""
    c = x.shape[1]
    momentum = norm.momentum
    if norm.training:
        norm.num_batches_tracked += 1
        if momentum is None:  # cumulative average
            momentum = 1.0 / float(norm.num_batches_tracked)
    return functional.batch_norm(
        x, norm.running_mean[:c], norm.running_var[:c], norm.weight[:c], norm.bias[:c],  # type: ignore[index]
        norm.training, momentum or 0.0, norm.eps,
    )


class ElasticBlock(nn.Module):
    """One inverted residual of which every op in `ops` is a slice. (N, C, H, W) -> (N, C_out, H', W').

    Args:
        ops: equal but for kernel and expansion.
    """

    def __init__(self, ops: Sequence[Op]) -> None:
        super().__init__()
        self.ops = tuple(ops)
        first = ops[0]
        largest = Op(
            first.kind, first.in_channels, first.out_channels, first.height, first.width,
            kernel=max(op.kernel for op in ops), expand=max(op.expand for op in ops),
            stride=first.stride, act=first.act, se=first.se,
        )
        self.block = Block(largest)

    def forward(self, x: Tensor, op: Op) -> Tensor:
        steps = list(self.block.steps)
        expand, project = steps[0], steps[-1]
        middle = op.in_channels * op.expand
        out = functional.conv2d(x, expand[0].weight[:middle])  # type: ignore[index, union-attr]
        out = self._finish(expand, out)
        out = self._finish(steps[1], depthwise(out, self._kernel(op), op.stride, self.training))
        if op.se:
            out = self._gate(steps[2], out, op)
        out = _norm(project[1], functional.conv2d(out, project[0].weight[:, :middle]))  # type: ignore[index, arg-type]
        return out + x if op.residual else out

    def _kernel(self, op: Op) -> Tensor:
        conv = self.block.steps[1][0]  # type: ignore[index]
        margin = (conv.kernel_size[0] - op.kernel) // 2  # type: ignore[index, operator]
        size = slice(margin, margin + op.kernel)
        return conv.weight[: op.in_channels * op.expand, :, size, size]  # type: ignore[index, return-value]

    @staticmethod
    def _finish(step: nn.Module, x: Tensor) -> Tensor:
        norm, act = step[1], step[2]  # type: ignore[index]
        return act(_norm(norm, x))  # type: ignore[no-any-return, operator]

    @staticmethod
    def _gate(gate: nn.Module, x: Tensor, op: Op) -> Tensor:
        assert isinstance(gate, SqueezeExciteGate)
        step = next(s for s in op.steps if isinstance(s, SqueezeExcite))
        m, r = step.channels, step.reduced
        pooled = x.mean((2, 3), keepdim=True)
        hidden = functional.relu(functional.conv2d(pooled, gate.reduce.weight[:r, :m], gate.reduce.bias[:r]))  # type: ignore[index]
        scale = functional.conv2d(hidden, gate.expand.weight[:m, :r], gate.expand.bias[:m])  # type: ignore[index]
        return x * functional.hardsigmoid(scale)

    @torch.no_grad()
    def state_of(self, op: Op) -> dict[str, Tensor]:
        """State dict of `Block(op)`: copies of the slices that `op` uses."""
        target = Block(op)
        for own, shared in zip(target.steps, self.block.steps, strict=True):
            if isinstance(own, ConvNormAct) and isinstance(own[0], DepthwiseConv2d):
                own[0].weight.copy_(self._kernel(op))
                _copy_slices(own[1], shared[1])  # type: ignore[index, arg-type]
            else:
                _copy_slices(own, shared)
        return {k: v.clone() for k, v in target.state_dict().items()}


def _copy_slices(small: nn.Module, large: nn.Module) -> None:
    """Fill every tensor of `small` with the leading part of its counterpart in `large`."""
    source = large.state_dict()
    for name, tensor in small.state_dict().items():
        tensor.copy_(source[name][tuple(slice(n) for n in tensor.shape)])


class Candidates(nn.Module):
    """All candidate ops of one position; runs the one that is asked for.

    Args:
        ops: the candidates; those that `entangles` allows share weights, the others have their own, skip has none.
    """

    def __init__(self, ops: Sequence[Op]) -> None:
        super().__init__()
        self.ops = tuple(ops)
        shared = [op for op in ops if entangles(op)]
        self.elastic = ElasticBlock(shared) if len(shared) > 1 else None
        alone = {str(i): Block(op) for i, op in enumerate(ops) if op.kind != "skip" and not self._is_shared(op)}
        self.alone = nn.ModuleDict(alone)

    def _is_shared(self, op: Op) -> bool:
        return self.elastic is not None and op in self.elastic.ops

    def forward(self, x: Tensor, index: int) -> Tensor:
        op = self.ops[index]
        if op.kind == "skip":
            return x
        if self._is_shared(op):
            return self.elastic(x, op)  # type: ignore[misc, no-any-return]
        return self.alone[str(index)](x)  # type: ignore[no-any-return]

    def parts(self, index: int) -> list[nn.Module]:
        """The modules that candidate `index` runs through."""
        op = self.ops[index]
        if op.kind == "skip":
            return []
        return [self.elastic] if self._is_shared(op) else [self.alone[str(index)]]  # type: ignore[list-item]

    def state_of(self, index: int) -> dict[str, Tensor]:
        """State dict of `Block(ops[index])`, copied."""
        op = self.ops[index]
        if op.kind == "skip":
            return {}
        if self._is_shared(op):
            return self.elastic.state_of(op)  # type: ignore[union-attr]
        return {k: v.clone() for k, v in self.alone[str(index)].state_dict().items()}
