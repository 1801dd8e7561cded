"""NSE: layers of several branches, each of a pool of 27 switched on or off.

Source: Ci et al., Evolving search space for neural architecture search, ICCV 2021, and its released code
(orashi/NSE_NAS): the pool, and that an identity is one more branch where the shape stays. Ours: a sum in place of the
mean of the branches (the batch norms behind it take up the scale), widths and strides of the space `mobile`, and one
branch, kernel 3 without expansion, that is always on where the shape changes, so that no layer is empty.

Glossary
    branch    a position of its own beside the others of its layer; its candidates are `none` and an op of the pool
    layer     all positions that write one node
"""

from __future__ import annotations

from hwnas.errors import UsageError
from hwnas.space.config import SpaceConfig
from hwnas.space.op import Op
from hwnas.space.position import Position
from hwnas.space.rounding import make_divisible
from hwnas.space.space import Space

POOL: tuple[tuple[tuple[int, int], int, int], ...] = (
    *(((k, k), e, 1) for k in (3, 5, 7, 9, 11) for e in (1, 3, 6)),
    *(((3, 3), e, d) for d in (2, 3) for e in (1, 3, 6)),
    *(((1, k), e, 1) for k in (5, 7) for e in (1, 2, 4)),
)
"""(kernels, expansion, dilation)."""
WIDTHS = (32, 64, 96)


def nse(config: SpaceConfig) -> Space:
    """27 switches a layer, 26 where the shape changes: widths 32, 64, 96, two and three layers each, ReLU, head 256.

    The reference is a network of one branch a layer, of kernel 5 and expansion 6, as a chain of mobile blocks has it.

    Raises:
        UsageError: a head of another task, or an input that is not of 8 to 128 px.
    """
    if config.head or not 8 <= config.imgsz <= 128:
        raise UsageError("space nse is for classifiers of 8 to 128 px; got "
                         f"{config.head or f'{config.imgsz} px'}: take mobile or proxyless")

    def scaled(width: int) -> int:
        return make_divisible(width * config.width_mult)

    size, channels = config.size, scaled(16)
    first = Op("conv", config.in_channels, channels, size=size, kernel=3, stride=2, act="relu")
    second = Op("mbconv", channels, channels, size=first.out_hw, kernel=3, act="relu",
                stride=2 if config.imgsz > 32 else 1)
    positions = [Position("stem", (first,), writes="stem"), Position("first", (second,), "stem", "first")]
    node, size, reference = "first", second.out_hw, list[int]()
    layers = config.depth or 3
    for stage, width in enumerate(WIDTHS, 1):
        for layer in range(max(1, layers - 1) if stage == 1 else layers):
            stride = 2 if layer == 0 and (stage > 1 or config.imgsz > 64) else 1
            out, name = scaled(width), f"stage{stage}.{layer + 1}"
            blank = Op("mbbranch", channels, out, size=size, kernel=3, stride=stride, act="relu")
            added = _layer(name, node, blank)
            positions += added
            reference += [int(op.kernel == 5 and op.expand == 6) for *_, op in (p.ops for p in added if p.is_choice)]
            node, channels, size = name, out, blank.out_hw
    head = Op("head", channels, config.classes, size=size, act="relu", hidden=(scaled(256),))
    whole = Space(config, (*positions, Position("head", (head,), node, "head")))
    return whole.as_data(reference)


def _layer(name: str, source: str, blank: Op) -> list[Position]:
    """The positions of a layer: what is always on, then a switch for every other op of the pool."""
    stays = blank.stride == 1 and blank.in_channels == blank.out_channels
    shape = (blank.in_channels, blank.out_channels)
    always = Op("identity", *shape, size=blank.size) if stays else blank
    nothing = Op("none", *shape, size=blank.size, strides=blank.strides)
    ops = [blank.replaced(kernels=kernels, expand=expand, dilation=dilation) for kernels, expand, dilation in POOL]
    switches = [Position(f"{name}.{op.label.replace(' ', '-')}", (nothing, op), source, name)
                for op in ops if op != always]
    return [Position(f"{name}.always", (always,), source, name), *switches]
