"""Ops that share one set of weights, each a slice of the largest.

Ops of a kind that says so (`hwnas.space.kinds.kind.Kind.elastic`) and that differ only in kernel and expansion use the
first e * C_in hidden channels and the centre of the kernel of the largest (weight entanglement, as in Single-Path NAS,
Stamoulis et al., 2019, and once-for-all, Cai et al., ICLR 2020). Every step then trains all of them a little; with one
set of weights per op a short search leaves each of them half-trained. How a primitive runs as a slice is registered
with `run_slice`.

Glossary
    C       channels of the input                       M      hidden channels of the largest op, max e * C
    m       hidden channels of the op at hand, e * C    K, k   largest kernel, kernel of the op at hand
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from hwnas.errors import UsageError
from hwnas.nets.block import Block
from hwnas.nets.depthwise import depthwise
from hwnas.nets.fusing import TrainedBranches
from hwnas.nets.layers import (
    ConvAct,
    ConvNormAct,
    LinearAct,
    NormAct,
    SplitAttentionGate,
    SqueezeExciteGate,
    SummedBranches,
    has_fast_gradient,
    merged,
)
from hwnas.nets.norm import batch_norm
from hwnas.nets.slimmable import part_of, part_state
from hwnas.space import (
    Act,
    AvgPool,
    Concat,
    Conv,
    GlobalAvgPool,
    Linear,
    Norm,
    Op,
    Parallel,
    Primitive,
    RepConv,
    Shuffle,
    SplitAttention,
    SqueezeExcite,
    Upsample,
)
from hwnas.space.lowering import registered

_CONVOLVE = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def sharing(op: Op) -> Op:
    """What the ops that share weights with `op` have in common: equal for ops of one `ElasticBlock`."""
    return op.replaced(kernel=1, expand=1)


class ElasticBlock(nn.Module):
    """An op of which every op in `ops` is a slice. (N, C, *size) -> (N, C_out, *size').

    Args:
        ops: equal but for kernel and expansion.

    Raises:
        UsageError: their primitives do not match, so none is a slice of another.
    """

    def __init__(self, ops: Sequence[Op]) -> None:
        super().__init__()
        self.ops = tuple(ops)
        kernel = tuple(max(sides) for sides in zip(*(o.kernels for o in ops), strict=True))
        largest = ops[0].replaced(kernel=kernel, expand=max(o.expand for o in ops))
        kinds = {tuple(type(step) for step in op.steps) for op in (largest, *ops)}
        if len(kinds) > 1:
            raise UsageError(f"ops of kind {largest.kind} are no slices of one another, since their primitives differ: "
                             "its `elastic` must say so")
        self.block = Block(largest)

    def forward(self, x: Tensor, op: Op) -> Tensor:
        out = x
        for module, step in zip(self.block.steps, op.steps, strict=True):
            out = run_slice(step, module, out)
        return out + x if op.residual else out

    def state_of(self, op: Op) -> dict[str, Tensor]:
        """State dict of `Block(op)`: copies of the slices that `op` uses."""
        return part_state(op, self.block)


@singledispatch
def run_slice(step: Primitive, module: nn.Module, x: Tensor) -> Tensor:
    """What a primitive gives for x, run with a slice of a module that was made for a larger one.

    Others register their primitives with it (`hwnas.space.lowering`).

    Raises:
        UsageError: no one registered the primitive.
    """
    out: Tensor = registered("nets", run_slice, step)(step, module, x)
    return out


@run_slice.register
def _(step: Conv, module: nn.Module, x: Tensor) -> Tensor:
    plain: Any = getattr(module, "conv", module)
    size = (step.out_channels, step.in_channels // step.groups, *step.kernel)
    weight = part_of(plain.weight, size)
    if step.groups > 1 and has_fast_gradient(step):
        x = depthwise(x, weight, step.stride[0], module.training)
    else:
        x = _CONVOLVE[len(step.size)](x, weight, None, step.stride, step.pad, step.dilation, step.groups)
    if isinstance(module, ConvNormAct):
        out: Tensor = module.act(batch_norm(module.norm, x))
        return out
    if plain.bias is not None:
        x = x + plain.bias[: step.out_channels].view(-1, *[1] * len(step.size))
    return module.act(x) if isinstance(module, ConvAct) else x


@run_slice.register
def _(step: RepConv, module: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(module, TrainedBranches)
    parts = zip(step.parts, module.branches, strict=True)
    total = sum((run_slice(part, branch, x) for part, branch in parts), start=x.new_zeros(()))
    if module.norm is not None:
        total = total + batch_norm(module.norm, x)
    out: Tensor = module.act(total)
    return out


@run_slice.register
def _(step: Parallel, module: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(module, SummedBranches)
    total = x.new_zeros(())
    for branch, modules in zip(step.branches, module.branches, strict=True):
        part = x
        for inner, lowered in zip(branch, modules, strict=True):  # type: ignore[call-overload]
            part = run_slice(inner, lowered, part)
        total = total + part
    out: Tensor = module.act(total)
    return out


@run_slice.register
def _(step: Norm, module: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(module, NormAct)
    out: Tensor = module[1](batch_norm(module[0], x))
    return out


@run_slice.register
def _(step: SqueezeExcite, module: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(module, SqueezeExciteGate)
    m, r, convolve = step.channels, step.reduced, _CONVOLVE[len(step.size)]
    reduce, expand = module.reduce.weight[:r, :m], module.expand.weight[:m, :r]
    assert module.reduce.bias is not None
    assert module.expand.bias is not None
    hidden = functional.relu(convolve(x.mean(module.axes, keepdim=True), reduce, module.reduce.bias[:r]))
    return x * functional.hardsigmoid(convolve(hidden, expand, module.expand.bias[:m]))


@run_slice.register
def _(step: SplitAttention, module: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(module, SplitAttentionGate)
    m, r, convolve = step.channels, step.reduced, _CONVOLVE[len(step.size)]
    reduce, expand = module.reduce, module.expand
    assert reduce.bias is not None
    assert expand.bias is not None
    wide, inner, outer = step.splits * m, reduce.bias[:r], expand.bias[: step.splits * m]
    return merged(x, module.axes, step.splits, lambda v: convolve(v, reduce.weight[:r, :m], inner),
                  lambda v: convolve(v, expand.weight[:wide, :r], outer))


@run_slice.register
def _(step: Linear, module: nn.Module, x: Tensor) -> Tensor:
    assert isinstance(module, LinearAct)
    linear = module[0]
    weight, bias = linear.weight[: step.out_features, : step.in_features], linear.bias[: step.out_features]  # type: ignore[index]
    out: Tensor = module[1](functional.linear(x, weight, bias))
    return out


@run_slice.register(Act)
@run_slice.register(AvgPool)
@run_slice.register(GlobalAvgPool)
@run_slice.register(Concat)
@run_slice.register(Shuffle)
@run_slice.register(Upsample)
def _whole(step: Primitive, module: nn.Module, x: Tensor) -> Tensor:
    """Without weights, and the same for any number of channels."""
    out: Tensor = module(x)
    return out
