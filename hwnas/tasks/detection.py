"""What the raw outputs of a detection head mean: boxes and the scores of their classes.

Glossary
    N        images
    K        classes
    R        reg_max: the largest distance a head of kind fcos can tell, in strides
    P        points (fcos) or anchors (ssdlite) of all maps, ordered as in anchors.py
    maps     raw outputs, float32, one for each level                          (N, channels, h, w)
    raw      the same values as one array, a row for each point or anchor       (N, P, values)
    boxes    x0, y0, x1, y1, px of the network's input, not clipped to it       (N, P, 4)
    scores   probability of every class                                        (N, P, K)

kind fcos: K class logits (sigmoid, no background), then R + 1 logits each for left, top, right and bottom. A distance
is the mean of the bins 0..R under their softmax, times the stride: X. Li et al., Generalized Focal Loss, NeurIPS 2020.
kind ssdlite: for each of the six anchors of a cell, K + 1 class logits (softmax, class 0 is background), then offsets
of centre and log side, relative to the anchor, in units of the variances: W. Liu et al., SSD, ECCV 2016.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from hwnas.errors import InputError, UnknownName, UsageError
from hwnas.tasks.anchors import PER_CELL, Array, Size, grid_anchors, grid_points, grid_strides
from hwnas.validation import Schema, checked

Kind = Literal["fcos", "ssdlite"]

SCHEMA = "hwnas_detection_head"
VARIANCES = (0.1, 0.1, 0.2, 0.2)
LARGEST_GROWTH = math.log(1000 / 16)  # of a side over its anchor's: an untrained net must not overflow


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
        return PER_CELL if self.kind == "ssdlite" else 1

    @property
    def values(self) -> int:
        """Numbers a prediction: class logits and box."""
        return self.classes + (5 if self.kind == "ssdlite" else 4 * (self.reg_max + 1))

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
            anchors = self.anchors()
            return ((anchors[:, :2] + anchors[:, 2:]) / 2).astype(np.float32)
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
        return _DECODERS[self.kind](self, self._rows(maps))

    def _rows(self, maps: Sequence[Array]) -> Array:
        rows = [
            values.reshape(len(values), self.per_cell, self.values, -1).transpose(0, 3, 1, 2)
            .reshape(len(values), -1, self.values)
            for values in maps
        ]
        return np.concatenate(rows, axis=1)

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


@functools.lru_cache(16)
def _grid(head: DetectionHeadLayout) -> tuple[Array, Array]:
    """Points and strides of a head, made once: a server asks for them with every image."""
    return head.points(), head.point_strides()


@functools.lru_cache(16)
def _anchors(head: DetectionHeadLayout) -> tuple[Array, Array]:
    """Centres and sides of the anchors of a head, made once as well."""
    anchors = head.anchors()
    return head.points(), anchors[:, 2:] - anchors[:, :2]


def _fcos(head: DetectionHeadLayout, raw: Array) -> tuple[Array, Array]:
    bins = head.reg_max + 1
    spread = _softmax(raw[..., head.classes:].reshape(*raw.shape[:2], 4, bins))
    points, strides = _grid(head)
    distances = spread @ np.arange(bins, dtype=np.float32) * strides[:, None]
    boxes = np.concatenate([points - distances[..., :2], points + distances[..., 2:]], axis=-1)
    return boxes, _sigmoid(raw[..., : head.classes])


def _ssdlite(head: DetectionHeadLayout, raw: Array) -> tuple[Array, Array]:
    logits, offsets = raw[..., : head.classes + 1], raw[..., head.classes + 1:] * np.array(VARIANCES, np.float32)
    centres, sides = _anchors(head)
    moved = centres + offsets[..., :2] * sides
    halves = sides * np.exp(np.minimum(offsets[..., 2:], np.float32(LARGEST_GROWTH))) / 2
    return np.concatenate([moved - halves, moved + halves], axis=-1), _softmax(logits)[..., 1:]


def _softmax(logits: Array) -> Array:
    shares: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares


def _sigmoid(logits: Array) -> Array:
    # The tanh form never overflows.
    found: Array = np.float32(0.5) * (np.float32(1) + np.tanh(logits * np.float32(0.5)))
    return found


_DECODERS: dict[str, Callable[[DetectionHeadLayout, Array], tuple[Array, Array]]] = {"fcos": _fcos, "ssdlite": _ssdlite}
