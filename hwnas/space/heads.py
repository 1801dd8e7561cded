"""Heads that make a detector or a segmenter of a backbone; their choices belong to the space like any other.

| name    | task    | source                                                                                     |
|---------|---------|--------------------------------------------------------------------------------------------|
| fcos    | detect  | anchor-free (Tian et al., ICCV 2019) on a path aggregation neck (Liu et al., CVPR 2018);     |
|         |         | distances as distributions (Li et al., NeurIPS 2020), light as in NanoDet-Plus               |
| ssdlite | detect  | SSD (Liu et al., ECCV 2016) with depthwise predictors (Sandler et al., CVPR 2018)            |
| lraspp  | segment | lite R-ASPP (Howard et al., ICCV 2019)                                                      |
| deeplab | segment | DeepLabV3+ (Chen et al., ECCV 2018) whose branches are added up instead of concatenated      |
| fpn     | segment | the segmenting branch of a pyramid (Kirillov et al., CVPR 2019), one way up to stride 4      |

Adding what 1x1 convolutions give of several maps is the same as one 1x1 convolution of the maps side by side, up to
where batch norm stands; so every head fits a graph whose nodes are sums, and no runtime has to copy maps together.

Glossary
    tap      the last map of the backbone at a stride          level    a map that boxes are predicted from
    tower    the blocks between the neck and a prediction; its choices are tied over the levels, its weights are not
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hwnas.errors import InputError, UnknownName, UsageError
from hwnas.space.config import SpaceConfig
from hwnas.space.op import Op
from hwnas.space.position import Position, output_positions
from hwnas.space.primitives import Linear

BINS = 8  # of a distance: 0..7 strides
ANCHORS = 6
EXTRAS = 4  # maps of ssdlite behind the backbone, while they shrink
FINEST = 8  # stride of the map that the details of lraspp and deeplab come from
COARSEST = (16, 32)  # strides of the map that its context may come from, the default first
BLOCKS = ((3, 1), (3, 2), (5, 1), (5, 2))  # (kernel, expand) of a block in a neck, a tower or a decoder; or skip
RATES = (6, 12, 18)  # dilations at stride 16

Taps = dict[int, Position]


@dataclass(frozen=True)
class Head:
    """One line about a head.

    Args:
        dense: whether it gives a class for every pixel, from maps whose strides a config may choose.
        strides: of the maps that it reads where the config does not say otherwise; see `strides_of`.
        width: channels, where a config has no `head_width`.
        builder: gives the positions behind the backbone.
    """

    dense: bool
    strides: tuple[int, ...]
    width: int
    builder: Callable[[SpaceConfig, Taps, int], list[Position]]
    about: str


def with_head(config: SpaceConfig, backbone: Sequence[Position]) -> tuple[Position, ...]:
    """The positions of a backbone as far as the head of `config` reads it, and those of the head.

    Raises:
        UnknownName: no such head.
        UsageError: the backbone has no map of a stride that the head reads, sides are no multiples of 32, or the config
            has an output stride that the head cannot have.
    """
    head, strides = describe_head(config.head), strides_of(config)
    if any(side % 32 for side in config.size):
        raise UsageError(f"height and width must be multiples of 32 for {config.head}; got {config.size}")
    found = taps(config, backbone)
    missing = [stride for stride in strides if stride not in found]
    if missing:
        raise UsageError(f"{config.head} reads maps of strides {strides}; {config.name} at {config.imgsz} px has "
                         f"{tuple(found)}: take larger images or another space")
    last = backbone.index(found[max(strides)])
    return (*backbone[: last + 1], *head.builder(config, found, config.head_width or head.width))


def check_outputs(config: SpaceConfig, positions: Sequence[Position]) -> None:
    """Whether positions end as the head of `config` has it, and hold the maps that it reads: of a space that is data.

    Raises:
        UnknownName: no such head.
        UsageError: an output stride that the head cannot have.
        InputError: they end otherwise.
    """
    ops = [p.ops[0] for p in positions]
    outputs = [ops[i] for i in output_positions(ops)]
    if not config.head:
        last = outputs[0].steps[-1] if outputs[0].steps else None
        if len(outputs) > 1 or not isinstance(last, Linear) or last.out_features != config.classes:
            raise InputError(f"space {config.name} is of a classifier, which ends with one op of kind head and as many "
                             f"channels out as classes, {config.classes}; it ends with "
                             f"{', '.join(op.signature for op in outputs)}: write such a head, or name a head")
        return
    missing = [stride for stride in strides_of(config) if stride not in taps(config, positions)]
    if missing:
        raise InputError(f"{config.head} reads maps of stride {missing[0]}, and space {config.name} has none "
                         "before the first position that says what it reads: add one")
    wanted = _outputs_of(config, len(outputs))
    given = [(op.out_channels, *op.out_hw) for op in outputs]
    if given != wanted:
        raise InputError(f"space {config.name} with head {config.head}, {config.classes} classes and images of "
                         f"{config.size} must give {wanted}; it gives {given}: correct its last ops")


def _outputs_of(config: SpaceConfig, maps: int) -> list[tuple[int, int, int]]:
    """(channels, height, width) of every output of a detector or a segmenter, finest first."""
    if describe_head(config.head).dense:
        return [(config.classes, *config.size)]
    channels = config.classes + 4 * BINS if config.head == "fcos" else ANCHORS * (config.classes + 5)
    strides = [min(strides_of(config)) * 2**level for level in range(maps)]
    return [(channels, *(-(-side // stride) for side in config.size)) for stride in strides]


def describe_head(name: str) -> Head:
    """The entry of a head.

    Raises:
        UnknownName: no such head.
    """
    if name not in HEADS:
        raise UnknownName("head", name, HEADS)
    return HEADS[name]


def strides_of(config: SpaceConfig) -> tuple[int, ...]:
    """Strides of the maps that the head of a config reads, finest first; the backbone ends with the coarsest.

    Raises:
        UnknownName: no such head.
        UsageError: an output stride that the head cannot have.
    """
    head = describe_head(config.head)
    if config.output_stride is None:
        return head.strides
    if not head.dense or config.output_stride not in COARSEST:
        raise UsageError(f"the output stride of a segmenter is 16 or 32, and other heads have none; got "
                         f"{config.output_stride} for {config.head}")
    return *head.strides[:-1], config.output_stride


def taps(config: SpaceConfig, backbone: Sequence[Position]) -> Taps:
    """Stride -> the last position of the backbone with a map of that stride, finest first."""
    height, width = config.size
    found: Taps = {}
    for position in backbone:
        op = position.ops[0]
        if op.last or (config.head and position.reads):  # the backbone is a chain, a head reads maps by their names
            break
        stride = round(height / op.out_hw[0])
        if op.out_hw == (-(-height // stride), -(-width // stride)):
            found[stride] = position
    return found


def fcos(config: SpaceConfig, found: Taps, width: int) -> list[Position]:
    """Laterals, a way down and a way up that add their maps, two tower blocks and one prediction a level."""
    strides = HEADS["fcos"].strides
    shape = {s: (width, width, *found[s].ops[0].out_hw) for s in strides}
    positions = [
        Position(f"lateral{s}", (_lateral(found[s], width),), found[s].name, f"down{s}") for s in strides
    ]
    for s in reversed(strides):
        if s != strides[-1]:
            up = Op("nearest", *shape[2 * s], scale=2)
            positions.append(Position(f"enlarge{s}", (up,), f"top{2 * s}", f"down{s}"))
        positions.append(Position(f"top{s}", _blocks(*shape[s]), f"down{s}", f"top{s}"))
    level = {strides[0]: f"top{strides[0]}"}
    for s in strides[1:]:
        halve = Op("mbconv", *shape[s // 2], kernel=3, stride=2, act="relu")
        positions += [
            Position(f"keep{s}", (Op("identity", *shape[s]),), f"top{s}", f"up{s}"),
            Position(f"halve{s}", (halve,), level[s // 2], f"up{s}"),
            Position(f"bottom{s}", _blocks(*shape[s]), f"up{s}", f"bottom{s}"),
        ]
        level[s] = f"bottom{s}"
    for s in strides:
        positions += _tower(f"tower{s}", level[s], shape[s])
        predict = Op("predict", width, config.classes + 4 * BINS, *shape[s][2:], kernel=1)
        positions.append(Position(f"predict{s}", (predict,)))
    return positions


def ssdlite(config: SpaceConfig, found: Taps, width: int) -> list[Position]:
    """Predictions of `ANCHORS` boxes a place from strides 16 and 32 and from up to `EXTRAS` maps behind them."""
    positions: list[Position] = []
    sources = [found[16], found[32]]
    while len(sources) < 2 + EXTRAS and min(sources[-1].ops[0].out_hw) > 1:
        name, before = f"extra{len(sources) - 1}", sources[-1]
        squeeze = Op("conv", before.ops[0].out_channels, width // 2, *before.ops[0].out_hw, act="relu")
        halve = Op("mbconv", width // 2, width, *before.ops[0].out_hw, kernel=3, stride=2, act="relu")
        positions.append(Position(f"{name}.squeeze", (squeeze,), before.name))
        sources.append(Position(name, (halve,)))
        positions.append(sources[-1])
    for i, source in enumerate(sources, 1):
        op = source.ops[0]
        shape = (op.out_channels, ANCHORS * (config.classes + 5), *op.out_hw)
        ops = tuple(Op("predict", *shape, kernel=k, act="none" if k == 1 else "relu") for k in (1, 3, 5))
        positions.append(Position(f"predict{i}", ops, source.name))
    return positions


def lraspp(config: SpaceConfig, found: Taps, width: int) -> list[Position]:
    """The coarse map through a gate and two blocks, its logits and those of the fine map added up and enlarged."""
    stride = max(strides_of(config))
    coarse, fine = found[stride].ops[0], found[FINEST].ops[0]
    gate = Op("gate", coarse.out_channels, width, *coarse.out_hw)
    shape = (width, width, *coarse.out_hw)
    low = Op("classify", fine.out_channels, config.classes, *fine.out_hw)
    return [
        Position("gate", (gate,), found[stride].name),
        *_refine(shape),
        Position("enlarge", (Op("bilinear", *shape, scale=stride // FINEST),)),
        Position("high", (Op("classify", width, config.classes, *fine.out_hw),), writes="logits"),
        Position("low", (low,), found[FINEST].name, "logits"),
        _resized(config, fine),
    ]


def deeplab(config: SpaceConfig, found: Taps, width: int) -> list[Position]:
    """A gate and dilated branches, each of which may be left out, then a decoder with the fine map.

    The gate stands for the 1x1 branch and for the image pooling, which it multiplies instead of adding.
    """
    stride = max(strides_of(config))
    coarse, fine = found[stride].ops[0], found[FINEST].ops[0]
    gate = Op("gate", coarse.out_channels, width, *coarse.out_hw)
    branches = [
        Op("atrous", coarse.out_channels, width, *coarse.out_hw, kernel=3, act="relu", dilation=rate * 16 // stride)
        for rate in RATES
    ]
    nothing = Op("none", coarse.out_channels, width, *coarse.out_hw)
    shape, fine_shape = (width, width, *coarse.out_hw), (width, width, *fine.out_hw)
    return [
        Position("gate", (gate,), found[stride].name, "pyramid"),
        *(Position(f"rate{op.dilation}", (op, nothing), found[stride].name, "pyramid") for op in branches),
        Position("enlarge", (Op("bilinear", *shape, scale=stride // FINEST),), "pyramid", "decoder"),
        Position("detail", (_lateral(found[FINEST], width),), found[FINEST].name, "decoder"),
        *_refine(fine_shape, "decoder"),
        Position("logits", (Op("classify", width, config.classes, *fine.out_hw),)),
        _resized(config, fine),
    ]


def fpn(config: SpaceConfig, found: Taps, width: int) -> list[Position]:
    """The coarse map through a gate, then up: enlarged, the finer map added, a block; a block and logits at stride 4.

    What is one or two pixels wide at stride 8, as poles and signs are, has maps of its own here.
    """
    *finer, stride = sorted(strides_of(config))
    before, top = found[stride].ops[0], f"top{stride}"
    gate = Op("gate", before.out_channels, width, *before.out_hw)
    positions = [Position("gate", (gate,), found[stride].name, top)]
    for s in reversed(finer):
        shape = (width, width, *found[s].ops[0].out_hw)
        up = Op("bilinear", width, width, *before.out_hw, scale=stride // s)
        positions += [
            Position(f"enlarge{s}", (up,), top, f"down{s}"),
            Position(f"lateral{s}", (_lateral(found[s], width),), found[s].name, f"down{s}"),
            Position(f"block{s}", _blocks(*shape), f"down{s}", f"top{s}"),
        ]
        before, top, stride = found[s].ops[0], f"top{s}", s
    logits = Op("classify", width, config.classes, *before.out_hw)
    return [*positions, Position("refine", _blocks(width, width, *before.out_hw), top),
            Position("logits", (logits,), writes="logits"), _resized(config, before, stride)]


def _lateral(tap: Position, width: int) -> Op:
    return Op("conv", tap.ops[0].out_channels, width, *tap.ops[0].out_hw, act="relu")


def _blocks(c: int, out: int, height: int, width: int) -> tuple[Op, ...]:
    made = tuple(Op("mbconv", c, out, height, width, kernel=k, expand=e, act="relu") for k, e in BLOCKS)
    return (*made, Op("skip", c, out, height, width))


def _tower(name: str, source: str, shape: tuple[int, int, int, int]) -> list[Position]:
    return [Position(f"{name}.1", _blocks(*shape), source, tie="tower.1"),
            Position(f"{name}.2", _blocks(*shape), tie="tower.2")]


def _refine(shape: tuple[int, int, int, int], source: str = "") -> list[Position]:
    return [Position("refine.1", _blocks(*shape), source), Position("refine.2", _blocks(*shape))]


def _resized(config: SpaceConfig, fine: Op, stride: int = FINEST) -> Position:
    return Position("resize", (Op("resize", config.classes, config.classes, *fine.out_hw, scale=stride),),
                    "logits")


HEADS: dict[str, Head] = {
    "fcos": Head(False, (8, 16, 32), 64, fcos, "anchor-free detector on a neck of added maps"),
    "ssdlite": Head(False, (16, 32), 128, ssdlite, "SSD with depthwise predictors on six maps"),
    "lraspp": Head(True, (8, 16), 128, lraspp, "lite R-ASPP: a gate, two blocks, logits of two maps"),
    "deeplab": Head(True, (8, 16), 128, deeplab, "DeepLabV3+ with branches that are added up"),
    "fpn": Head(True, (4, 8, 16), 64, fpn, "one way up a pyramid, logits at stride 4"),
}
