"""Torch modules that primitives are lowered to (`hwnas.nets.modules`), and what they are put together from."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from hwnas.nets.depthwise import DepthwiseConv2d
from hwnas.nets.norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from hwnas.space import Conv, Gate, GlobalAvgPool, Linear, Norm, Shuffle, SplitAttention, SqueezeExcite, Upsample
from hwnas.space.interpolation import interpolation

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "none": nn.Identity, "relu": nn.ReLU, "relu6": nn.ReLU6, "hswish": nn.Hardswish,
}


CONVOLUTIONS: dict[int, type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d]] = {
    1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d,  # by the axes of a map
}


NORMS: dict[int, type[BatchNorm1d] | type[BatchNorm2d] | type[BatchNorm3d]] = {
    1: BatchNorm1d, 2: BatchNorm2d, 3: BatchNorm3d,
}


def activation(name: str) -> nn.Module:
    """The activation module of a step; in place, since its input is never needed again."""
    return nn.Identity() if name == "none" else ACTIVATIONS[name](inplace=True)


def convolution(step: Conv) -> nn.Conv1d | nn.Conv2d | nn.Conv3d:
    """The convolution of a step, initialised, without its batch norm and activation."""
    conv: nn.Conv1d | nn.Conv2d | nn.Conv3d
    if has_fast_gradient(step):
        conv = DepthwiseConv2d(step.in_channels, step.kernel[0], step.stride[0])
    else:
        conv = CONVOLUTIONS[len(step.size)](
            step.in_channels, step.out_channels, step.kernel, step.stride, step.pad, step.dilation,  # type: ignore[arg-type]
            groups=step.groups, bias=step.bias)
    if step.bias and conv.bias is not None:  # predicts logits: small at first, as a classifier's last layer is
        nn.init.normal_(conv.weight, std=0.01)
        nn.init.zeros_(conv.bias)
    else:
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def has_fast_gradient(step: Conv) -> bool:
    """Whether `hwnas.nets.depthwise` computes it: every channel by itself, one kernel side and one stride, no bias."""
    square = len(step.size) == 2 and len(set(step.kernel)) == len(set(step.stride)) == 1
    return square and step.in_channels == step.out_channels == step.groups and step.dilation == 1 and not step.bias


def batch_norm(channels: int, rank: int) -> nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d:
    """The batch norm of a map of `rank` axes."""
    return NORMS[rank](channels)


class ConvNormAct(nn.Module):
    """Convolution without bias, batch norm, activation. (N, C_in, H, W) -> (N, C_out, H', W')."""

    def __init__(self, step: Conv) -> None:
        super().__init__()
        self.conv = convolution(step)
        self.norm = batch_norm(step.out_channels, len(step.size))
        self.act = activation(step.act)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.norm(self.conv(x)))
        return out


class ConvAct(nn.Module):
    """Convolution and activation, no batch norm. (N, C_in, H, W) -> (N, C_out, H', W')."""

    def __init__(self, step: Conv) -> None:
        super().__init__()
        self.conv = convolution(step)
        self.act = activation(step.act)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.conv(x))
        return out


class SqueezeExciteGate(nn.Module):
    """Scale channels by a gate computed from their global average (Hu et al., CVPR 2018). Keeps the shape."""

    def __init__(self, step: SqueezeExcite) -> None:
        super().__init__()
        kind = CONVOLUTIONS[len(step.size)]
        self.axes = map_axes(step.size)
        self.reduce = kind(step.channels, step.reduced, 1)
        self.expand = kind(step.reduced, step.channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = nn.functional.relu(self.reduce(x.mean(self.axes, keepdim=True)))
        return x * nn.functional.hardsigmoid(self.expand(gate))


class SplitAttentionGate(nn.Module):
    """The splits of every channel summed with weights from all of them. (N, splits C, H, W) -> (N, C, H, W)."""

    def __init__(self, step: SplitAttention) -> None:
        super().__init__()
        kind = CONVOLUTIONS[len(step.size)]
        self.axes, self.size = map_axes(step.size), step.size
        self.channels, self.splits = step.channels, step.splits
        self.reduce = kind(step.channels, step.reduced, 1)
        self.expand = kind(step.reduced, step.splits * step.channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return merged(x, self.axes, self.splits, self.reduce, self.expand)


def merged(x: Tensor, axes: tuple[int, ...], splits: int, reduce: Callable[[Tensor], Tensor],
           expand: Callable[[Tensor], Tensor]) -> Tensor:
    """What split attention makes of a map, with the two convolutions of its gate; (N, splits C, *s) -> (N, C, *s)."""
    each = (x.shape[1] // splits, splits)
    pooled = x.mean(axes, keepdim=True).reshape(-1, *each, *[1] * len(axes)).sum(2)
    weights = expand(nn.functional.relu(reduce(pooled))).reshape(-1, *each, *[1] * len(axes)).softmax(2)
    return (x * weights.reshape(-1, x.shape[1], *[1] * len(axes))).reshape(-1, *each, *x.shape[2:]).sum(2)


class ImageGate(nn.Module):
    """LR-ASPP's head (Howard et al., ICCV 2019). (N, C_in, H, W) -> (N, C_out, H, W)."""

    def __init__(self, step: Gate) -> None:
        super().__init__()
        self.axes = map_axes(step.size)
        self.features = ConvNormAct(step.features)
        self.scale = CONVOLUTIONS[len(step.size)](step.channels, step.out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.features(x) * torch.sigmoid(self.scale(x.mean(self.axes, keepdim=True)))
        return out


class EnlargedMap(nn.Module):
    """(N, C, H, W) -> (N, C, s H, s W), each pixel repeated; the size is a constant of the graph that is exported."""

    def __init__(self, step: Upsample) -> None:
        super().__init__()
        self.size = step.out_size

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(x, self.size, mode="nearest")


class BlendedMap(nn.Module):
    """(N, C, H, W) -> (N, C, s H, s W), bilinear; see `hwnas.space.interpolation`."""

    rows: Tensor
    columns: Tensor

    def __init__(self, step: Upsample) -> None:
        super().__init__()
        rows, columns = (interpolation(n, step.scale) for n in step.size)
        self.register_buffer("rows", torch.from_numpy(rows), persistent=False)
        self.register_buffer("columns", torch.from_numpy(columns.T.copy()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.rows @ (x @ self.columns)


class FilledUp(nn.Module):
    """(N, C, *size) -> (N, C + channels, *size), with zeros in the channels behind the map's own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, x.new_zeros(x.shape[0], self.channels, *x.shape[2:])], 1)


class ShuffledChannels(nn.Module):
    """Channels of the groups in turn. Keeps the shape (N, C, *size)."""

    def __init__(self, step: Shuffle) -> None:
        super().__init__()
        self.groups = step.groups

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], self.groups, -1, *x.shape[2:]).transpose(1, 2).flatten(1, 2)


class GlobalPool(nn.Module):
    """(N, C, *size) -> (N, C)."""

    def __init__(self, step: GlobalAvgPool) -> None:
        super().__init__()
        self.axes = map_axes(step.size)

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(self.axes)


class NormAct(nn.Sequential):
    """Batch norm and activation. Keeps the shape (N, C, H, W)."""

    def __init__(self, step: Norm) -> None:
        super().__init__(batch_norm(step.channels, len(step.size)), activation(step.act))


class LinearAct(nn.Sequential):
    """Linear layer and activation. (N, F_in) -> (N, F_out)."""

    def __init__(self, step: Linear) -> None:
        linear = nn.Linear(step.in_features, step.out_features)
        nn.init.normal_(linear.weight, std=0.01 if step.act == "none" else step.in_features**-0.5)
        nn.init.zeros_(linear.bias)
        super().__init__(linear, activation(step.act))


class SummedBranches(nn.Module):
    """Branches of one map, summed, and an activation. (N, C_in, *size) -> (N, C_out, *size')."""

    def __init__(self, branches: Iterable[Iterable[nn.Module]], act: str) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*branch) for branch in branches)
        self.act = activation(act)

    def forward(self, x: Tensor) -> Tensor:
        first, *rest = self.branches
        total = first(x)
        for branch in rest:
            total = total + branch(x)
        out: Tensor = self.act(total)
        return out


def map_axes(size: tuple[int, ...]) -> tuple[int, ...]:
    """The axes of a map in a tensor (N, C, *size)."""
    return tuple(range(2, 2 + len(size)))
