"""Everything that rebuilds a space: a builder of the package with its parameters, or the space itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from hwnas.errors import InputError, UsageError
from hwnas.space.graph import Graph
from hwnas.validation import Schema, checked

MOST_CHANNELS, MOST_CLASSES = 64, 65_536
Side = Annotated[int, Field(ge=8, le=8192)]
Channels = Annotated[int, Field(ge=1, le=MOST_CHANNELS)]
Classes = Annotated[int, Field(ge=1, le=MOST_CLASSES)]
Word = Annotated[str, Field(max_length=100)]
Stride = Annotated[int, Field(ge=1, le=1024)]


class SpaceSchema(Schema):
    """What a file may say of a space; `SpaceConfig` says what it means. The largest has weights of a few gigabytes."""

    model_config = ConfigDict(extra="forbid")  # a parameter of a later version would build another space

    name: Word
    imgsz: Side
    in_channels: Channels = 3
    classes: Classes = 1000
    width_mult: Annotated[float, Field(gt=0, le=8)] = 1.0
    depth: Annotated[int, Field(ge=1, le=64)] | None = None
    width: Side | None = None
    head: Word = ""
    head_width: Annotated[int, Field(ge=1, le=8192)] | None = None
    output_stride: Stride | None = None
    graph: dict[str, Any] | None = None


@dataclass(frozen=True)
class SpaceConfig:
    """Everything that rebuilds a space: the name of a builder of the package and its parameters, or a graph.

    Args:
        name: a built-in space, see `hwnas spaces`; beside a graph what the space is called.
        imgsz: height of the input in pixels, and its width where `width` does not say otherwise.
        in_channels: channels of the input image, 1 or 3.
        classes: number of classes.
        width_mult: multiplies every channel count, rounded to multiples of 8.
        depth: layers (or cells) per stage; None takes the space's own.
        width: of the input in pixels; None takes its height.
        head: what ends the networks: empty for the space's own classifier, else one of `hwnas.space.heads.HEADS`.
        head_width: channels of the neck and the head; None takes the head's own.
        output_stride: of the coarsest map that a segmenter's head reads, 16 or 32; None takes 16.
        graph: the space itself, where no builder of the package makes it; then the parameters of builders are left out.

    Raises:
        InputError: a graph and parameters of a builder.
    """

    name: str
    imgsz: int
    in_channels: int = 3
    classes: int = 1000
    width_mult: float = 1.0
    depth: int | None = None
    width: int | None = None
    head: str = ""
    head_width: int | None = None
    output_stride: int | None = None
    graph: Graph | None = None

    def __post_init__(self) -> None:
        if self.graph is not None and (self.width_mult, self.depth, self.head_width) != (1.0, None, None):
            raise InputError(f"space {self.name} is a graph of its own: width_mult, depth and head_width are for "
                             "builders; leave them out")

    def check(self) -> None:
        """Raises UsageError where a parameter is out of range."""
        if self.imgsz < 8 or self.classes < 1 or self.in_channels < 1 or not 0 < self.width_mult < math.inf:
            raise UsageError(f"imgsz >= 8, classes >= 1, in_channels >= 1, width_mult > 0 are needed; got {self}")
        for name in ("depth", "width", "head_width"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1; got {value}")
        if self.output_stride is not None and not self.head:
            raise UsageError(f"an output stride is for segmenters: name a head; got {self.output_stride}")
        checked(SpaceSchema, self.to_json(), f"space {self.name}", UsageError)

    def to_json(self) -> dict[str, Any]:
        """Plain values that `from_json` reads; without a graph those of hwnas 0.1."""
        plain = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "graph"}
        return plain if self.graph is None else {**plain, "graph": self.graph.to_json()}

    @classmethod
    def from_json(cls, data: object, where: str = "the space") -> SpaceConfig:
        """Read what a file says of a space.

        Raises:
            InputError: a parameter is missing, of another type or out of range.
        """
        schema = checked(SpaceSchema, data, where)
        graph = None if schema.graph is None else Graph.from_json(schema.graph, f"{where}: graph")
        return cls(**{**dict(schema), "graph": graph})

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input in pixels."""
        return self.imgsz, self.width or self.imgsz
