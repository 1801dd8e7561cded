"""Primitives as source that people read: what model.py of an exported backbone is made of.

The modules have the names of those in `hwnas.nets`, so that the weights fit; none of them needs hwnas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

from hwnas.errors import UsageError
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
    RepConv,
    Shuffle,
    SplitAttention,
    SqueezeExcite,
    Upsample,
)
from hwnas.space.lowering import registered


@dataclass(frozen=True)
class Source:
    """A module as source.

    Args:
        call: the expression that makes it, e.g. 'nn.ChannelShuffle(2)'.
        classes: definitions that it needs beside those that every model.py has, each as the text of a class.
    """

    call: str
    classes: tuple[str, ...] = ()


@singledispatch
def source_of(step: Primitive) -> Source:
    """The source of a primitive.

    Others register their primitives with it (`hwnas.space.lowering`).

    Raises:
        UsageError: no one registered the primitive, or it is on a map that has not two axes.
    """
    found: Source = registered("export", source_of, step)(step)
    return found


@source_of.register
def _(step: Conv) -> Source:
    _two_axes(step.size)
    more = {"kernel": _sides(step.kernel), "stride": _sides(step.stride), "groups": step.groups}
    given = "".join(f", {name}={value}" for name, value in more.items() if value != 1)
    act = f', act="{step.act}"' if step.act != "none" else ""
    if step.norm and step.dilation == 1 and len({*step.kernel}) == 1:
        return Source(f"ConvNormAct({step.in_channels}, {step.out_channels}{given}{act})")
    pad, dilation = _sides(step.pad), f", dilation={step.dilation}" if step.dilation > 1 else ""
    conv = (f"nn.Conv2d({step.in_channels}, {step.out_channels}, {_sides(step.kernel)}, {_sides(step.stride)}, {pad}"
            f"{dilation}, groups={step.groups}, bias={step.bias})")
    if step.norm:
        return Source(f'Named(conv={conv}, norm=nn.BatchNorm2d({step.out_channels}), act={_activation(step.act)})',
                      (_NAMED,))
    return Source(conv) if step.act == "none" else Source(f"Named(conv={conv}, act={_activation(step.act)})", (_NAMED,))


@source_of.register
def _(step: RepConv) -> Source:
    return source_of(step.deployed)


@source_of.register
def _(step: Parallel) -> Source:
    inner = [[source_of(primitive) for primitive in branch] for branch in step.branches]
    calls = ", ".join(f"nn.Sequential({', '.join(s.call for s in branch)})" for branch in inner)
    return Source(f"Summed({calls}, act={_activation(step.act)})",
                  (*(c for branch in inner for s in branch for c in s.classes), _SUMMED))


@source_of.register
def _(step: MaxPool) -> Source:
    _two_axes(step.size)
    return Source(f"nn.MaxPool2d({_sides(step.kernel)}, {_sides(step.stride)}, {_sides(step.pad)}, "
                  f"ceil_mode={step.ragged})")


@source_of.register
def _(step: SqueezeExcite) -> Source:
    _two_axes(step.size)
    return Source(f"SqueezeExcite({step.channels}, {step.reduced})")


@source_of.register
def _(step: SplitAttention) -> Source:
    _two_axes(step.size)
    return Source(f"SplitAttention({step.channels}, {step.splits}, {step.reduced})", (_SPLIT_ATTENTION,))


@source_of.register
def _(step: Concat) -> Source:
    _two_axes(step.size)
    return Source(f"nn.ConstantPad3d((0, 0, 0, 0, 0, {step.out_channels - step.channels}), 0.0)")


@source_of.register
def _(step: Shuffle) -> Source:
    return Source(f"nn.ChannelShuffle({step.groups})")


@source_of.register
def _(step: Act) -> Source:
    return Source(_activation(step.act))


@source_of.register
def _(step: Norm) -> Source:
    _two_axes(step.size)
    return Source(f"nn.Sequential(nn.BatchNorm2d({step.channels}), {_activation(step.act)})")


@source_of.register
def _(step: AvgPool) -> Source:
    _two_axes(step.size)
    return Source(f"nn.AvgPool2d({_sides(step.kernel)}, {_sides(step.stride)}, {_sides(step.pad)}, "
                  f"ceil_mode={step.ragged}, count_include_pad=False)")


@source_of.register
def _(step: GlobalAvgPool) -> Source:
    _two_axes(step.size)
    return Source("Averaged()", (_AVERAGED,))


@source_of.register
def _(step: Linear) -> Source:
    return Source(f"nn.Sequential(nn.Linear({step.in_features}, {step.out_features}), {_activation(step.act)})")


@source_of.register
def _(step: Gate) -> Source:
    return Source(f"Gated({step.channels}, {step.out_channels})", (_GATED,))


@source_of.register
def _(step: Upsample) -> Source:
    _two_axes(step.size)
    how = 'mode="bilinear", align_corners=False' if step.bilinear else 'mode="nearest"'
    return Source(f"nn.Upsample(scale_factor={step.scale}, {how})")


def _activation(act: str) -> str:
    return f'ACTIVATIONS["{act}"]()'


def _sides(axes: Sequence[int]) -> int | tuple[int, ...]:
    return axes[0] if len(set(axes)) == 1 else tuple(axes)


def _two_axes(size: Sequence[int]) -> None:
    if len(size) != 2:
        raise UsageError(f"model.py is written for images; this network has maps of {len(size)} axes, {tuple(size)}")


_NAMED = '''class Named(nn.Sequential):
    """Modules in a row, each with a name."""

    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)'''
_SUMMED = '''class Summed(nn.Module):
    """Branches of one map, summed, and an activation."""

    def __init__(self, *branches, act):
        super().__init__()
        self.branches, self.act = nn.ModuleList(branches), act

    def forward(self, x):
        return self.act(sum(branch(x) for branch in self.branches))'''
_SPLIT_ATTENTION = '''class SplitAttention(nn.Module):
    """The splits of every channel summed with weights from all of them."""

    def __init__(self, channels, splits, reduced):
        super().__init__()
        self.splits = splits
        self.reduce = nn.Conv2d(channels, reduced, 1)
        self.expand = nn.Conv2d(reduced, splits * channels, 1)

    def forward(self, x):
        pooled = x.mean((2, 3), keepdim=True).unflatten(1, (-1, self.splits)).sum(2)
        weights = self.expand(torch.relu(self.reduce(pooled))).unflatten(1, (-1, self.splits)).softmax(2)
        return (x * weights.flatten(1, 2)).unflatten(1, (-1, self.splits)).sum(2)'''
_AVERAGED = '''class Averaged(nn.Module):
    """The average of every map."""

    def forward(self, x):
        return x.mean((2, 3))'''
_GATED = '''class Gated(nn.Module):
    """Features of a map, scaled by a gate of its averages."""

    def __init__(self, channels, out):
        super().__init__()
        self.features = ConvNormAct(channels, out, act="relu")
        self.scale = nn.Conv2d(channels, out, 1, bias=False)

    def forward(self, x):
        return self.features(x) * torch.sigmoid(self.scale(x.mean((2, 3), keepdim=True)))'''
