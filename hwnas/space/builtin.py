"""The builders of the built-in spaces; their names are in `hwnas.space.builders`.

| name        | source                                                                                      |
|-------------|---------------------------------------------------------------------------------------------|
| proxyless   | ProxylessNAS macro of MIGO-NAS (Zheng et al., TPAMI 2021)                                   |
| google      | MobileNetV2 macro of MIGO-NAS                                                               |
| ofa         | MobileNetV3 / once-for-all macro of MIGO-NAS                                                |
| fbnet       | FBNet (Wu et al., CVPR 2019) as tabulated by HW-NAS-Bench                                   |
| fbnetv2     | FBNetV2 (Wan et al., CVPR 2020), with the split attention of FP-NAS (Yan et al., CVPR 2021) |
| mobile      | the same family sized to small inputs, 16 to 128 px; ours                                   |
| darts       | the cells of DARTS (Liu et al., ICLR 2019), in a file of its own                            |
| nse         | the branches of NSE (Ci et al., ICCV 2021), in a file of its own                            |
| nasbench201 | the cell of Dong & Yang, ICLR 2020, in a file of its own                                    |
"""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.errors import UsageError
from hwnas.space.builders import SPACES, Description, describe
from hwnas.space.chain import Chain, Stage
from hwnas.space.config import SpaceConfig
from hwnas.space.darts import darts
from hwnas.space.nasbench201 import nasbench201
from hwnas.space.nse import nse
from hwnas.space.op import Op
from hwnas.space.space import Space, build

__all__ = ["SPACES", "Description", "build", "darts", "describe", "fbnet", "fbnetv2", "google", "mobile",
           "nasbench201", "nse", "ofa", "proxyless"]

MBCONV_CHOICES = ((3, 3), (3, 6), (5, 3), (5, 6), (7, 3), (7, 6))  # (kernel, expand); op 6 is skip or k3 e1
SMALL_CHOICES = ((3, 2), (3, 4), (3, 6), (5, 2), (5, 4), (5, 6))  # 7x7 kernels outgrow the maps of small images
FBNET_CHOICES = ((3, 1, 1), (3, 1, 2), (3, 3, 1), (3, 6, 1), (5, 1, 1), (5, 1, 2), (5, 3, 1), (5, 6, 1))


ATTENTION = (0, 1, 2, 4)  # splits; 0 has none, 1 is squeeze-excite
FBNETV2_CHOICES = tuple((k, e, splits) for k in (3, 5) for e in (1, 3, 6) for splits in ATTENTION)


def _mbconv_candidates(blank: Op, choices: Sequence[tuple[int, int]] = MBCONV_CHOICES) -> tuple[Op, ...]:
    ops = tuple(blank.replaced(kernel=k, expand=e) for k, e in choices)
    if blank.stride == 1 and blank.in_channels == blank.out_channels:
        return (*ops, blank.replaced(kind="skip", kernel=1, act="none", se=False))
    return (*ops, blank.replaced(kernel=3, expand=1))


def _fbnet_candidates(blank: Op) -> tuple[Op, ...]:
    ops = tuple(
        blank.replaced(kind="fbconv", kernel=k, expand=e, groups=g) for k, e, g in FBNET_CHOICES
    )
    if blank.stride == 1 and blank.in_channels == blank.out_channels:
        return (*ops, blank.replaced(kind="skip", kernel=1, act="none"))
    return (*ops, blank.replaced(kind="conv", kernel=1))  # FBNet's skip across a change of shape


def _split_candidates(blank: Op) -> tuple[Op, ...]:
    ops = tuple(blank.replaced(kernel=k, expand=e) if not splits else
                blank.replaced(kind="mbsplit", kernel=k, expand=e, own={"splits": splits})
                for k, e, splits in FBNETV2_CHOICES)
    if blank.stride == 1 and blank.in_channels == blank.out_channels:
        return (*ops, blank.replaced(kind="skip", kernel=1, act="none"))
    return ops


def _mobilenet_v2_like(config: SpaceConfig, widths: Sequence[int]) -> Space:
    chain = Chain(config)
    chain.fixed("stem", "conv", chain.scale(32), kernel=3, stride=2, act="relu6")
    chain.fixed("first", "mbconv", chain.scale(16), kernel=3, act="relu6")
    layers = (*[config.depth or 4] * 5, 1)
    stages = zip(widths, layers, (2, 2, 2, 1, 2, 1), strict=True)
    chain.stages([Stage(w, n, s, "relu6") for w, n, s in stages], _mbconv_candidates)
    return chain.finished(act="relu6", hidden=(max(1280, chain.scale(1280)),))


def proxyless(config: SpaceConfig) -> Space:
    """21 choices, 7 ops: stem 32, first block 16, stages 24, 40, 80, 96, 192 and one 320, ReLU6, head 1280."""
    return _mobilenet_v2_like(config, (24, 40, 80, 96, 192, 320))


def google(config: SpaceConfig) -> Space:
    """21 choices, 7 ops: as `proxyless` with stages 24, 32, 64, 96, 160 and one 320."""
    return _mobilenet_v2_like(config, (24, 32, 64, 96, 160, 320))


def ofa(config: SpaceConfig) -> Space:
    """20 choices, 7 ops: MobileNetV3 widths, squeeze-excite in stages 2, 4 and 5, hard swish from stage 3."""
    chain = Chain(config)
    layers = config.depth or 4
    chain.fixed("stem", "conv", chain.scale(16), kernel=3, stride=2, act="hswish")
    chain.fixed("first", "mbconv", chain.scale(16), kernel=3, act="relu")
    stages = zip((24, 40, 80, 112, 160), (2, 2, 2, 1, 2), (False, True, False, True, True),
                 ("relu", "relu", "hswish", "hswish", "hswish"), strict=True)
    chain.stages([Stage(w, layers, s, act, se) for w, s, se, act in stages], _mbconv_candidates)
    return chain.finished(act="hswish", hidden=(chain.scale(960), max(1280, chain.scale(1280))))


def fbnet(config: SpaceConfig) -> Space:
    """22 choices, 9 ops including grouped 1x1 convolutions and skip; below 64 px the CIFAR strides and head."""
    chain = Chain(config)
    small, layers = config.imgsz < 64, config.depth or 4
    chain.fixed("stem", "conv", chain.scale(16), kernel=3, stride=1 if small else 2, act="relu")
    strides = (1, 1, 2, 2, 1, 2, 1) if small else (1, 2, 2, 2, 1, 2, 1)
    counts = (1, layers, layers, layers, layers, layers, 1)
    stages = zip((16, 24, 32, 64, 112, 184, 352), counts, strides, strict=True)
    chain.stages([Stage(w, n, s, "relu") for w, n, s in stages], _fbnet_candidates)
    return chain.finished(act="relu", hidden=(chain.scale(1504 if small else 1984),))


def fbnetv2(config: SpaceConfig) -> Space:
    """25 choices, 24 ops and skip: kernel 3 or 5, expansion 1, 3 or 6, attention over no, 1, 2 or 4 splits.

    Widths, depths, activations and strides are those of the network that its authors publish as L2
    (facebookresearch/mobile-vision, `dmasking_l2_hs`): 16, 24, 40, 64, 112, 184 and 224, hard swish from 64 on. Below
    64 px the first two strides are 1. Ours: activations are no choice, three expansions where they have six, and
    channels vary by --widths.
    """
    chain = Chain(config)
    small, n = config.imgsz < 64, config.depth
    chain.fixed("stem", "conv", chain.scale(16), kernel=3, stride=1 if small else 2, act="hswish")
    chain.fixed("first", "mbconv", chain.scale(16), kernel=3, act="relu")
    strides = (1 if small else 2, 2, 2, 1, 2, 1)
    stages = zip((24, 40, 64, 112, 184, 224), (n or 4, n or 4, n or 4, n or 6, n or 6, 1), strides,
                 ("relu", "relu", *["hswish"] * 4), strict=True)
    chain.stages([Stage(w, count, s, act) for w, count, s, act in stages], _split_candidates)
    return chain.finished(act="hswish", hidden=(chain.scale(1344), max(1984, chain.scale(1984))))


def mobile(config: SpaceConfig) -> Space:
    """MBConv chain for 8 to 128 px: widths 16, 32, 64, 96 on multiples of 16, 7 ops, ReLU, head 256.

    With the head of a detector or a segmenter it takes images of any size and shrinks them to a 32nd, as above 64 px.

    The map is halved at least once, and until 16 px remain, before the first stage works on it, then once more at
    the start of stages 2 and 3. Ops: kernel 3 or 5, expansion 2, 4 or 6,
    and skip (MBConv k3 e1 where the shape changes). The first stage, on the largest maps, has one layer less.
    """
    if not 8 <= config.imgsz <= 128 and not config.head:
        raise UsageError(f"space mobile is for inputs of 8 to 128 px; got {config.imgsz}: take proxyless or ofa")
    chain = Chain(config)
    layers = config.depth or 3
    chain.fixed("stem", "conv", chain.scale(16), kernel=3, stride=2, act="relu")
    first, extra = (2, 2) if config.head else (2 if config.imgsz > 32 else 1, 2 if config.imgsz > 64 else 1)
    chain.fixed("first", "mbconv", chain.scale(16), kernel=3, stride=first, act="relu")
    stages = [Stage(32, max(1, layers - 1), extra, "relu"), Stage(64, layers, 2, "relu"), Stage(96, layers, 2, "relu")]
    chain.stages(stages, lambda blank: _mbconv_candidates(blank, SMALL_CHOICES))
    return chain.finished(act="relu", hidden=(chain.scale(256),))
