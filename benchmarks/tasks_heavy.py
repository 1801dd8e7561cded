"""The heavy baseline: ResNet-18 (He et al., CVPR 2016) with plain convolutions behind it, outputs as the task has them.

For detection a feature pyramid (Lin et al., CVPR 2017) of 128 channels and two 3x3 convolutions a level; for
segmentation atrous convolutions of 128 channels on stride 16 (Chen et al., 2017).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.nets import Normalize
from hwnas.space import Space, output_positions
from hwnas.space.heads import describe_head

WIDTHS, PYRAMID, CONTEXT, DETAIL = (64, 128, 256, 512), 128, 128, 48
RATES = (6, 12, 18)


def conv(channels: int, out: int, kernel: int = 3, stride: int = 1, dilation: int = 1, act: bool = True) -> nn.Module:
    """Convolution, batch norm, ReLU."""
    pad = dilation * (kernel // 2)
    parts = [nn.Conv2d(channels, out, kernel, stride, pad, dilation, bias=False), nn.BatchNorm2d(out)]
    return nn.Sequential(*parts, *([nn.ReLU(inplace=True)] if act else []))


class Residual(nn.Module):
    """Two 3x3 convolutions and the way around them."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(channels, out, 3, stride), conv(out, out, act=False))
        plain = stride == 1 and channels == out
        self.around = nn.Identity() if plain else conv(channels, out, 1, stride, act=False)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.around(x))


class Body(nn.Module):
    """ResNet-18. (N, C, H, W) -> maps at strides 4, 8, 16, 32.

    Attributes:
        kept: the last maps, where they are watched.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.watched, self.kept = False, list[Tensor]()
        self.stem = nn.Sequential(conv(channels, 64, 7, 2), nn.MaxPool2d(3, 2, 1))
        ins = (64, *WIDTHS[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(Residual(c, out, 1 if i == 0 else 2), Residual(out, out, 1))
            for i, (c, out) in enumerate(zip(ins, WIDTHS, strict=True))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        x, maps = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        self.kept = [x.float() for x in maps] if self.watched else []
        return maps


class Heavy(nn.Module):
    """Normalised pixels through a body and what is behind it; keeps maps (`hwnas.train.distill.Watchable`).

    Args:
        read: which maps of the body a network of the space has, too.

    Attributes:
        bf16: multiply in bfloat16, half the time where the processor knows it.
    """

    def __init__(self, channels: int, mean: list[float], std: list[float], read: slice) -> None:
        super().__init__()
        self.normalize, self.body, self.read = Normalize(mean, std), Body(channels), read
        self.bf16 = False

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            out = self.answer(x, self.body(self.normalize(x)))
        return [m.float() for m in out] if isinstance(out, list) else out.float()

    def answer(self, x: Tensor, maps: list[Tensor]) -> Tensor | list[Tensor]:
        """Outputs from images and the maps of the body."""
        raise NotImplementedError

    def watch_taps(self) -> None:
        self.body.watched = True

    def unwatch(self) -> None:
        self.body.watched, self.body.kept = False, []

    def taken_maps(self) -> list[Tensor]:
        found, self.body.kept = self.body.kept[self.read], []
        return found


class Detector(Heavy):
    """Maps at strides 8, 16, 32 in the layout of the space's head."""

    def __init__(self, space: Space, mean: list[float], std: list[float]) -> None:
        super().__init__(space.config.in_channels, mean, std, slice(1, 4))
        ops = [p.ops[0] for p in space.positions]
        self.lateral = nn.ModuleList(conv(c, PYRAMID, 1) for c in WIDTHS[1:])
        self.tower = nn.ModuleList(nn.Sequential(conv(PYRAMID, PYRAMID), conv(PYRAMID, PYRAMID)) for _ in WIDTHS[1:])
        self.predict = nn.ModuleList(Prediction(PYRAMID, ops[i].out_channels) for i in output_positions(ops))

    def answer(self, x: Tensor, maps: list[Tensor]) -> list[Tensor]:
        maps = [lateral(m) for lateral, m in zip(self.lateral, maps[1:], strict=True)]
        for i in (1, 0):
            maps[i] = maps[i] + functional.interpolate(maps[i + 1], maps[i].shape[2:], mode="nearest")
        return [p(t(m)) for p, t, m in zip(self.predict, self.tower, maps, strict=True)]


class Prediction(nn.Module):
    """A 1x1 convolution with bias; `kind` and `steps` let a task prepare it as one of hwnas' own."""

    kind = "predict"

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.steps = nn.Sequential(nn.Conv2d(channels, out, 1))
        nn.init.normal_(self.steps[0].weight, std=0.01)
        nn.init.zeros_(self.steps[0].bias)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.steps(x)
        return out


class Segmenter(Heavy):
    """(N, K, H, W) logits."""

    def __init__(self, space: Space, mean: list[float], std: list[float]) -> None:
        super().__init__(space.config.in_channels, mean, std, slice(1, 3))
        self.branches = nn.ModuleList([conv(WIDTHS[2], CONTEXT, 1)])
        self.branches.extend(conv(WIDTHS[2], CONTEXT, dilation=rate) for rate in RATES)
        self.merge = conv(CONTEXT * len(self.branches), CONTEXT, 1)
        self.detail = conv(WIDTHS[0], DETAIL, 1)
        self.decode = nn.Sequential(conv(CONTEXT + DETAIL, CONTEXT), conv(CONTEXT, CONTEXT))
        self.logits = nn.Conv2d(CONTEXT, space.config.classes, 1)

    def answer(self, x: Tensor, maps: list[Tensor]) -> Tensor:
        deep = self.merge(torch.cat([branch(maps[2]) for branch in self.branches], 1))
        fine = self.detail(maps[0])
        deep = functional.interpolate(deep, fine.shape[2:], mode="bilinear", align_corners=False)
        out = self.logits(self.decode(torch.cat([deep, fine], 1)))
        return functional.interpolate(out, x.shape[2:], mode="bilinear", align_corners=False)


def heavy_network(space: Space, mean: list[float], std: list[float]) -> Heavy:
    """The heavy network that answers as the networks of `space` do."""
    made = Segmenter if describe_head(space.config.head).dense else Detector
    return made(space, mean, std).to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


def multiply_accumulates(net: nn.Module, shape: tuple[int, int, int]) -> tuple[int, int]:
    """(multiply-accumulates of convolutions for one image, trainable parameters)."""
    total = 0

    def count(module: nn.Module, _: object, out: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d)
        per_value = module.in_channels // module.groups * module.kernel_size[0] * module.kernel_size[1]
        total += per_value * out.shape[1] * out.shape[2] * out.shape[3]

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.Conv2d)]
    with torch.inference_mode():
        net.eval()(torch.zeros(1, *shape))
    for hook in hooks:
        hook.remove()
    return total, sum(p.numel() for p in net.parameters())
