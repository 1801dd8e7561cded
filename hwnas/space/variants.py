"""Spaces with fewer channels or smaller images: the same choices, every width and every map times a factor.

The two multipliers of MobileNets (Howard et al., 2017, 3.3 and 3.4), as things to choose from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from hwnas.errors import UsageError
from hwnas.space.heads import describe_head
from hwnas.space.rescale import resized
from hwnas.space.rounding import make_divisible
from hwnas.space.space import Space, build


class Variant(NamedTuple):
    """What networks have of the reference's channels and pixels.

    Args:
        width: share of the channels, above 0 and at most 1.
        imgsz: height of the input in pixels; 0 is the reference's.
    """

    width: float = 1.0
    imgsz: int = 0

    @property
    def key(self) -> str:
        """The text that `read` reads back: '1', '0.5', '1@256'."""
        return f"{self.width:g}" + (f"@{self.imgsz}" if self.imgsz else "")

    @property
    def told(self) -> str:
        """For people: 'width 0.5, 256 px'; empty for the reference's own."""
        width = [f"width {self.width:g}"] if self.width != 1 else []
        return ", ".join([*width, *([f"{self.imgsz} px"] if self.imgsz else [])])

    @classmethod
    def read(cls, key: str) -> Variant:
        """From `key`.

        Raises:
            ValueError: the text is none.
        """
        width, _, imgsz = key.partition("@")
        return cls(float(width), int(imgsz or 0))


FULL = Variant()


def variants(widths: Sequence[float], sizes: Sequence[int]) -> tuple[Variant, ...]:
    """Every one of the widths at every one of the sizes, all channels and the reference's size first.

    Args:
        widths: besides 1.
        sizes: heights in pixels besides the reference's.
    """
    return tuple(Variant(width, size) for size in (0, *sizes) for width in (1.0, *widths))


def scaled(space: Space, variant: Variant) -> Space:
    """The space whose layers have a share of the channels, rounded to multiples of 8, and whose images are smaller.

    Neck and head included; images keep their shape. Its architectures are chosen like those of `space`, and each fits
    into the weights of the same choice there.

    Raises:
        UsageError: the variant is no smaller one, the shape of the image cannot be kept, or what can be chosen changes
            (rounding makes equal widths of unequal ones, or the head of a detector has fewer maps).
    """
    width, imgsz = variant
    if not 0 < width <= 1:
        raise UsageError(f"a width is a share of the reference's channels, above 0 and at most 1; got {width:g}")
    config = space.config
    height, across = config.size
    size = imgsz or height
    if size > height or size * across % height:
        raise UsageError(f"an input size is smaller than the reference's and keeps its shape of {height}x{across} px; "
                         f"got a height of {size} px")
    across = size * across // height
    if config.graph is not None:
        return resized(space, width=width, size=(size, across))
    head = config.head_width
    if config.head and width < 1:
        head = make_divisible((head or describe_head(config.head).width) * width)
    found = build(replace(config, width_mult=config.width_mult * width, head_width=head, imgsz=size,
                          width=None if across == size else across))
    pairs = list(zip(space.positions, found.positions, strict=False))
    if len(space.positions) != len(found.positions) or any(
            [o.label for o in p.ops] != [o.label for o in q.ops] for p, q in pairs):
        raise UsageError(f"{variant.told} of space {space.name} has other choices than the reference (different widths "
                         "round to the same, or a head has fewer maps): take a larger one")
    return found
