"""Candidate ops of one position that share one set of weights.

Inverted residuals that differ only in kernel and expansion, and the convolutions on an edge of a cell that differ
only in kernel, use slices of the largest: the first e * C_in hidden channels and the centre of the kernel (weight
entanglement, as in Single-Path NAS, Stamoulis et al., 2019, and once-for-all, Cai et al., ICLR 2020). Every step then
trains all of them a little; with one set of weights per op a short search leaves each of them half-trained. Ops that
do not fit the pattern have weights of their own.

Glossary
    C       channels of the input                       M      hidden channels of the largest op, max e * C
    m       hidden channels of the op at hand, e * C    K, k   largest kernel, kernel of the op at hand
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional

from hwnas.nets.depthwise import depthwise
from hwnas.nets.modules import Block, ConvNormAct, SqueezeExciteGate
from hwnas.nets.slices import part_of, part_state
from hwnas.space import Act, Conv, Op, SqueezeExcite


def entangles(op: Op) -> bool:
    """Whether an op can be a slice of a larger one: an inverted residual with a dense expansion, or a dense preconv."""
    sliced = op.kind in ("fbconv", "preconv") or (op.kind == "mbconv" and op.expand > 1)
    return sliced and op.groups == 1


class ElasticBlock(nn.Module):
    """One inverted residual or preconv of which every op in `ops` is a slice. (N, C, H, W) -> (N, C_out, H', W').

    Args:
        ops: equal but for kernel and expansion.
    """

    def __init__(self, ops: Sequence[Op]) -> None:
        super().__init__()
        self.ops = tuple(ops)
        self.block = Block(replace(ops[0], kernel=max(o.kernel for o in ops), expand=max(o.expand for o in ops)))

    def forward(self, x: Tensor, op: Op) -> Tensor:
        out = x
        for module, step in zip(self.block.steps, op.steps, strict=True):
            if isinstance(module, ConvNormAct) and isinstance(step, Conv):
                out = _conv_slice(module, step, out)
            elif isinstance(module, SqueezeExciteGate) and isinstance(step, SqueezeExcite):
                out = _gate_slice(module, step, out)
            elif isinstance(step, Act):
                out = module(out)
            else:
                raise TypeError(f"{type(module).__name__} cannot run {step}")
        return out + x if op.residual else out

    def state_of(self, op: Op) -> dict[str, Tensor]:
        """State dict of `Block(op)`: copies of the slices that `op` uses."""
        return part_state(op, self.block)


def _conv_slice(module: ConvNormAct, step: Conv, x: Tensor) -> Tensor:
    size = (step.out_channels, step.in_channels // step.groups, step.kernel, step.kernel)
    weight = part_of(module.conv.weight, size)
    if step.groups > 1:
        x = depthwise(x, weight, step.stride, module.training)
    else:
        x = functional.conv2d(x, weight, None, step.stride, step.kernel // 2)
    out: Tensor = module.act(_norm_slice(module.norm, x))
    return out


def _norm_slice(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """`norm` restricted to the first channels; its running statistics are updated there only."""
    mean, var, count, c = norm.running_mean, norm.running_var, norm.num_batches_tracked, x.shape[1]
    assert mean is not None
    assert var is not None
    assert count is not None
    assert norm.momentum is not None  # None would mean a cumulative average
    if norm.training:
        count += 1
    return functional.batch_norm(
        x, mean[:c], var[:c], norm.weight[:c], norm.bias[:c], norm.training, norm.momentum, norm.eps
    )


def _gate_slice(gate: SqueezeExciteGate, step: SqueezeExcite, x: Tensor) -> Tensor:
    m, r = step.channels, step.reduced
    reduce, expand = (gate.reduce.weight[:r, :m], gate.expand.weight[:m, :r])
    assert gate.reduce.bias is not None
    assert gate.expand.bias is not None
    hidden = functional.relu(functional.conv2d(x.mean((2, 3), keepdim=True), reduce, gate.reduce.bias[:r]))
    return x * functional.hardsigmoid(functional.conv2d(hidden, expand, gate.expand.bias[:m]))


class Candidates(nn.Module):
    """All candidate ops of one position; runs the one that is asked for.

    Args:
        ops: the candidates; those that `entangles` allows share weights, the others have their own, those without
            steps (skip, identity, none) have none.
    """

    def __init__(self, ops: Sequence[Op]) -> None:
        super().__init__()
        self.ops = tuple(ops)
        shared = [op for op in ops if entangles(op)]
        self.elastic = ElasticBlock(shared) if len(shared) > 1 else None
        alone = [i for i, op in enumerate(ops) if op.steps and not (self.elastic and op in shared)]
        self.alone = nn.ModuleDict({str(i): Block(ops[i]) for i in alone})

    def forward(self, x: Tensor, index: int) -> Tensor:
        op = self.ops[index]
        if not op.steps:
            return x
        if self.elastic is not None and op in self.elastic.ops:
            return self.elastic(x, op)  # type: ignore[no-any-return]
        return self.alone[str(index)](x)  # type: ignore[no-any-return]

    def module_of(self, index: int) -> nn.Module | None:
        """The module that candidate `index` runs through; None for an op without steps."""
        op = self.ops[index]
        if not op.steps:
            return None
        return self.elastic if self.elastic is not None and op in self.elastic.ops else self.alone[str(index)]

    def state_of(self, index: int) -> dict[str, Tensor]:
        """State dict of `Block(ops[index])`, copied; empty for an op without steps."""
        module = self.module_of(index)
        if module is None:
            return {}
        if isinstance(module, ElasticBlock):
            return module.state_of(self.ops[index])
        return {k: v.clone() for k, v in module.state_dict().items()}
