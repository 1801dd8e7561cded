"""The torch module of every primitive; `Block` puts an op's in a row, so that it cannot drift from its counts."""

from __future__ import annotations

from functools import singledispatch

from torch import nn

from hwnas.nets.layers import (
    ACTIVATIONS,
    BlendedMap,
    ConvAct,
    ConvNormAct,
    EnlargedMap,
    FilledUp,
    GlobalPool,
    ImageGate,
    LinearAct,
    NormAct,
    ShuffledChannels,
    SplitAttentionGate,
    SqueezeExciteGate,
    SummedBranches,
    convolution,
)
from hwnas.space import (
    Act,
    AvgPool,
    Concat,
    Conv,
    Gate,
    GlobalAvgPool,
    Linear,
    MaxPool,
    Norm,
    Parallel,
    Primitive,
    Shuffle,
    SplitAttention,
    SqueezeExcite,
    Upsample,
)
from hwnas.space.lowering import registered

POOLS: dict[int, type[nn.AvgPool1d] | type[nn.AvgPool2d] | type[nn.AvgPool3d]] = {
    1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d,
}
MAX_POOLS: dict[int, type[nn.MaxPool1d] | type[nn.MaxPool2d] | type[nn.MaxPool3d]] = {
    1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d,
}


@singledispatch
def module_of(step: Primitive) -> nn.Module:
    """The torch module of a primitive. (N, C_in, *size) -> (N, C_out, *size'), or (N, F) where it is flat.

    Others register their primitives with it (`hwnas.space.lowering`).

    Raises:
        UsageError: no one registered the primitive.
    """
    module: nn.Module = registered("nets", module_of, step)(step)
    return module


@module_of.register
def _(step: Conv) -> nn.Module:
    if step.norm:
        return ConvNormAct(step)
    return convolution(step) if step.act == "none" else ConvAct(step)


@module_of.register
def _(step: Parallel) -> nn.Module:
    return SummedBranches([[module_of(inner) for inner in branch] for branch in step.branches], step.act)


@module_of.register
def _(step: Act) -> nn.Module:
    return ACTIVATIONS[step.act]()  # not in place: its input is read by others


@module_of.register
def _(step: Norm) -> nn.Module:
    return NormAct(step)


@module_of.register
def _(step: AvgPool) -> nn.Module:
    return POOLS[len(step.size)](step.kernel, step.stride, step.pad, ceil_mode=step.ragged,  # type: ignore[arg-type]
                                 count_include_pad=False)


@module_of.register
def _(step: MaxPool) -> nn.Module:
    return MAX_POOLS[len(step.size)](step.kernel, step.stride, step.pad, ceil_mode=step.ragged)


@module_of.register
def _(step: SqueezeExcite) -> nn.Module:
    return SqueezeExciteGate(step)


@module_of.register
def _(step: SplitAttention) -> nn.Module:
    return SplitAttentionGate(step)


@module_of.register
def _(step: Gate) -> nn.Module:
    return ImageGate(step)


@module_of.register
def _(step: Upsample) -> nn.Module:
    return BlendedMap(step) if step.bilinear else EnlargedMap(step)


@module_of.register
def _(step: Concat) -> nn.Module:
    return FilledUp(step.out_channels - step.channels)


@module_of.register
def _(step: Shuffle) -> nn.Module:
    return nn.ChannelShuffle(step.groups) if len(step.size) == 2 else ShuffledChannels(step)


@module_of.register
def _(step: GlobalAvgPool) -> nn.Module:
    return GlobalPool(step)


@module_of.register
def _(step: Linear) -> nn.Module:
    return LinearAct(step)
