"""What the raw outputs of a detection head mean: boxes and the scores of their classes.

Glossary
    N, K, R, P, maps, boxes, scores   as in decoding.py, which does the arithmetic; P is ordered as in anchors.py
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from hwnas.errors import InputError, UnknownName, UsageError
from hwnas.tasks.anchors import Array, Size, grid_anchors, grid_points, grid_strides
from hwnas.tasks.decoding import PREDICTIONS, centres_and_sides, fcos, rows_of, ssdlite, values_of
from hwnas.validation import Schema, checked

Kind = Literal["fcos", "ssdlite"]

SCHEMA = "hwnas_detection_head"
MOST_VALUES = 10**9  # of all maps of one image
Side = Annotated[int, Field(ge=1, le=16_384)]
Sides = Annotated[list[Side], Field(min_length=2, max_length=2)]


class HeadSchema(Schema):
    """The keys of a head's JSON."""

    kind: Kind
    size: Sides
    maps: Annotated[list[Sides], Field(min_length=1, max_length=16)]
    strides: Annotated[list[Side], Field(min_length=1, max_length=16)]
    classes: Annotated[int, Field(ge=1, le=1_000_000)]
    reg_max: Annotated[int, Field(ge=1, le=256)]


@dataclass(frozen=True)
class DetectionHeadLayout:
    """The layout of a detector's outputs.

    Args:
        kind: `fcos` (anchor-free) or `ssdlite`.
        size: (height, width) of the network's input, px.
        maps: (height, width) of each output map, finest first.
        strides: px of input a cell of each map.
        classes: K, without background.
        reg_max: R, of kind fcos; ssdlite has no use for it.

    Raises:
        UnknownName: no such kind.
        UsageError: a number under 1, or not one stride a map.
    """

    kind: Kind
    size: Size
    maps: tuple[Size, ...]
    strides: tuple[int, ...]
    classes: int
    reg_max: int = 7

    def __post_init__(self) -> None:
        if self.kind not in _DECODERS:
            raise UnknownName("detection head", self.kind, _DECODERS)
        if not self.maps or len(self.maps) != len(self.strides):
            raise UsageError(f"a detection head needs one stride for each map, not {len(self.strides)} for "
                             f"{len(self.maps)} maps")
        sides = [side for cells in self.maps for side in cells]
        if min(*self.size, *sides, *self.strides, self.classes, self.reg_max) < 1:
            raise UsageError(f"sizes, strides, classes and reg_max of a detection head must be 1 or more: {self}")

    @classmethod
    def over(cls, kind: Kind, size: Size, strides: Sequence[int], classes: int,
             reg_max: int = 7) -> DetectionHeadLayout:
        """The head whose maps have ceil(side / stride) cells a side, as padded convolutions of stride 2 give them."""
        maps = tuple((-(-size[0] // stride), -(-size[1] // stride)) for stride in strides)
        return cls(kind, size, maps, tuple(strides), classes, reg_max)

    @property
    def per_cell(self) -> int:
        """Predictions a cell of a map: anchors of ssdlite, 1 of fcos."""
        return PREDICTIONS[self.kind]

    @property
    def values(self) -> int:
        """Numbers a prediction: class logits and box."""
        return values_of(self.kind, self.classes, self.reg_max)

    @property
    def channels(self) -> int:
        """Channels of every output map."""
        return self.per_cell * self.values

    @property
    def count(self) -> int:
        """P, predictions an image."""
        return self.per_cell * sum(height * width for height, width in self.maps)

    def points(self) -> Array:
        """Centre of every prediction as x, y in px of the input: float32 (P, 2)."""
        if self.kind == "ssdlite":
            return centres_and_sides(self.anchors())[0]
        return grid_points(self.maps, self.strides)

    def point_strides(self) -> Array:
        """Stride of the map of every prediction, px: float32 (P,)."""
        return np.repeat(grid_strides(self.maps, self.strides), self.per_cell)

    def anchors(self) -> Array:
        """Boxes that the offsets of kind ssdlite start from, px of the input: float32 (P, 4).

        Raises:
            UsageError: kind fcos has none.
        """
        if self.kind != "ssdlite":
            raise UsageError(f"a head of kind {self.kind} has points, no anchors; ask for points()")
        return grid_anchors(self.size, self.maps)

    def check(self, shapes: Sequence[Sequence[int]]) -> None:
        """Whether outputs of these shapes are of this head.

        Raises:
            InputError: another number of maps, or a map of another size; names the first.
        """
        if len(shapes) != len(self.maps):
            raise InputError(f"the head has {len(self.maps)} maps, the network gave {len(shapes)}: use the description "
                             "that was stored with the model")
        for level, (shape, (height, width)) in enumerate(zip(shapes, self.maps, strict=True)):
            if len(shape) != 4 or tuple(shape[1:]) != (self.channels, height, width):
                raise InputError(f"map {level} must be (N, {self.channels}, {height}, {width}), not {tuple(shape)}: "
                                 "use the description that was stored with the model")

    def decode(self, maps: Sequence[Array]) -> tuple[Array, Array]:
        """Boxes (N, P, 4) in px of the network's input and scores (N, P, K) from raw outputs.

        Raises:
            InputError: maps of another head.
        """
        self.check([values.shape for values in maps])
        return _DECODERS[self.kind](self, rows_of(maps, self.kind))

    def to_json(self) -> dict[str, Any]:
        """A JSON value that `from_json` reads."""
        lists = {"size": list(self.size), "maps": [list(sides) for sides in self.maps], "strides": list(self.strides)}
        return {SCHEMA: 1} | asdict(self) | lists

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> DetectionHeadLayout:
        """Read what `to_json` wrote.

        Raises:
            InputError: not the description of a head, or values that break its rules.
        """
        if not isinstance(value, Mapping) or value.get(SCHEMA) != 1:
            raise InputError(f'not a detection head: the key "{SCHEMA}" must be 1; export the model again')
        found = checked(HeadSchema, dict(value), "broken detection head", way_out="export the model again")
        height, width = found.size
        maps = tuple((h, w) for h, w in found.maps)
        try:
            made = cls(found.kind, (height, width), maps, tuple(found.strides), found.classes, found.reg_max)
        except UsageError as err:
            raise InputError(f"broken detection head: {err}; export the model again") from err
        if made.count * made.values > MOST_VALUES:
            raise InputError(f"broken detection head: {made.count} predictions of {made.values} numbers are more than "
                             "any detector gives; export the model again")
        return made


DetectionHead = DetectionHeadLayout
"""Its former name, for one version."""


def _fcos(head: DetectionHeadLayout, rows: Array) -> tuple[Array, Array]:
    return fcos(rows, head.classes, *_grid(head))


def _ssdlite(head: DetectionHeadLayout, rows: Array) -> tuple[Array, Array]:
    return ssdlite(rows, head.classes, *_anchors(head))


@functools.lru_cache(16)
def _grid(head: DetectionHeadLayout) -> tuple[Array, Array]:
    """Points and strides of a head, made once: a server asks for them with every image."""
    return head.points(), head.point_strides()


@functools.lru_cache(16)
def _anchors(head: DetectionHeadLayout) -> tuple[Array, Array]:
    """Centres and sides of the anchors of a head, made once as well."""
    return centres_and_sides(head.anchors())


_DECODERS: dict[str, Callable[[DetectionHeadLayout, Array], tuple[Array, Array]]] = {"fcos": _fcos, "ssdlite": _ssdlite}
