"""Torch modules of the ops, built from `Op.steps` so that they cannot drift from the counts and the ONNX graphs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hwnas.nets.depthwise import DepthwiseConv2d
from hwnas.space import (
    Act,
    Average,
    Conv,
    Enlarge,
    Gate,
    Linear,
    Norm,
    Op,
    Pool,
    Shuffle,
    SqueezeExcite,
    Step,
)
from hwnas.space.interpolation import interpolation

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "none": nn.Identity, "relu": nn.ReLU, "relu6": nn.ReLU6, "hswish": nn.Hardswish,
}


def activation(name: str) -> nn.Module:
    """The activation module of a step; in place, since its input is never needed again."""
    return nn.Identity() if name == "none" else ACTIVATIONS[name](inplace=True)


def _convolution(step: Conv) -> nn.Conv2d:
    conv: nn.Conv2d
    if step.in_channels == step.out_channels == step.groups and step.dilation == 1:
        conv = DepthwiseConv2d(step.in_channels, step.kernel, step.stride)
    else:
        conv = nn.Conv2d(step.in_channels, step.out_channels, step.kernel, step.stride, step.pad, step.dilation,
                         groups=step.groups, bias=step.bias)
    if step.bias and conv.bias is not None:  # predicts logits: small at first, as a classifier's last layer is
        nn.init.normal_(conv.weight, std=0.01)
        nn.init.zeros_(conv.bias)
    else:
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


class ConvNormAct(nn.Module):
    """Convolution without bias, batch norm, activation. (N, C_in, H, W) -> (N, C_out, H', W')."""

    def __init__(self, step: Conv) -> None:
        super().__init__()
        self.conv = _convolution(step)
        self.norm = nn.BatchNorm2d(step.out_channels)
        self.act = activation(step.act)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.norm(self.conv(x)))
        return out


class SqueezeExciteGate(nn.Module):
    """Scale channels by a gate computed from their global average (Hu et al., CVPR 2018). Keeps the shape."""

    def __init__(self, step: SqueezeExcite) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(step.channels, step.reduced, 1)
        self.expand = nn.Conv2d(step.reduced, step.channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = nn.functional.relu(self.reduce(x.mean((2, 3), keepdim=True)))
        return x * nn.functional.hardsigmoid(self.expand(gate))


class ImageGate(nn.Module):
    """LR-ASPP's head (Howard et al., ICCV 2019). (N, C_in, H, W) -> (N, C_out, H, W)."""

    def __init__(self, step: Gate) -> None:
        super().__init__()
        self.features = ConvNormAct(Conv(step.channels, step.out_channels, 1, 1, 1, "relu", step.height, step.width))
        self.scale = nn.Conv2d(step.channels, step.out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.features(x) * torch.sigmoid(self.scale(x.mean((2, 3), keepdim=True)))
        return out


class EnlargedMap(nn.Module):
    """(N, C, H, W) -> (N, C, s H, s W), each pixel repeated; the size is a constant of the graph that is exported."""

    def __init__(self, step: Enlarge) -> None:
        super().__init__()
        self.size = (step.height * step.scale, step.width * step.scale)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.interpolate(x, self.size, mode="nearest")


class BlendedMap(nn.Module):
    """(N, C, H, W) -> (N, C, s H, s W), bilinear; see `hwnas.space.interpolation`."""

    rows: Tensor
    columns: Tensor

    def __init__(self, step: Enlarge) -> None:
        super().__init__()
        rows, columns = interpolation(step.height, step.scale), interpolation(step.width, step.scale)
        self.register_buffer("rows", torch.from_numpy(rows), persistent=False)
        self.register_buffer("columns", torch.from_numpy(columns.T.copy()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.rows @ (x @ self.columns)


class GlobalPool(nn.Module):
    """(N, C, H, W) -> (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


class NormAct(nn.Sequential):
    """Batch norm and activation. Keeps the shape (N, C, H, W)."""

    def __init__(self, step: Norm) -> None:
        super().__init__(nn.BatchNorm2d(step.channels), activation(step.act))


class LinearAct(nn.Sequential):
    """Linear layer and activation. (N, F_in) -> (N, F_out)."""

    def __init__(self, step: Linear) -> None:
        linear = nn.Linear(step.in_features, step.out_features)
        nn.init.normal_(linear.weight, std=0.01 if step.act == "none" else step.in_features**-0.5)
        nn.init.zeros_(linear.bias)
        super().__init__(linear, activation(step.act))


def _module(step: Step) -> nn.Module:
    match step:
        case Conv():
            return ConvNormAct(step) if step.norm else _convolution(step)
        case Act():
            return ACTIVATIONS[step.act]()  # not in place: its input is read by others
        case Norm():
            return NormAct(step)
        case Average():
            return nn.AvgPool2d(step.kernel, step.stride, step.pad, ceil_mode=step.ragged, count_include_pad=False)
        case SqueezeExcite():
            return SqueezeExciteGate(step)
        case Gate():
            return ImageGate(step)
        case Enlarge():
            return BlendedMap(step) if step.bilinear else EnlargedMap(step)
        case Shuffle():
            return nn.ChannelShuffle(step.groups)
        case Pool():
            return GlobalPool()
        case Linear():
            return LinearAct(step)


class Block(nn.Module):
    """One op. (N, C_in, H, W) -> (N, C_out, H', W'); a head gives (N, classes)."""

    def __init__(self, op: Op) -> None:
        super().__init__()
        self.kind, self.residual = op.kind, op.residual
        self.steps = nn.Sequential(*(_module(step) for step in op.steps))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.steps(x)
        return out + x if self.residual else out


class Normalize(nn.Module):
    """(x - mean) / std per channel, so that users feed pixels in 0..1. Constants, saved with the weights.

    Args:
        mean, std: one number per channel, in 0..1.
    """

    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std
