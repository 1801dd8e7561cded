"""A space as a file: written of any space, and read from whomever wrote it.

```json
{"hwnas_space": 1, "name": "two roads", "input": [1, 16, 16], "classes": 10,
 "positions": [{"name": "stem", "ops": ["conv k3 e1 s2 1-16 16x16 relu"]}, ...]}
```
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from hwnas.documents import brief
from hwnas.errors import HwnasError, InputError
from hwnas.space.builders import SPACES
from hwnas.space.config import Classes, SpaceConfig, SpaceSchema, Stride, Word
from hwnas.space.graph import Graph, GraphSchema, check_input
from hwnas.space.space import Space, build
from hwnas.validation import checked

SCHEMA = 1
Side = Annotated[int, Field(ge=1, le=8192)]
BUILDER = ("width_mult", "depth", "width", "head_width")  # what a builder of the package is told beside the rest
WAY_OUT = "see docs/spaces.md for how such a file is written"


class SpaceFileSchema(GraphSchema):
    """What the file holds: a graph, the image that it takes, and how it ends.

    Args:
        input: channels, height and width of the image; or channels and one or three axes.
        head, output_stride: as in `SpaceConfig`.
        builder: parameters of the builder of the package that made it; where it makes the same again, the space is
            that one, else the graph counts.
        facts: figures that `hwnas spaces show --json` adds; not read.
    """

    hwnas_space: Literal[1]
    name: Annotated[Word, Field(min_length=1)]
    input: Annotated[list[Side], Field(min_length=2, max_length=4)]
    classes: Classes
    head: Word = ""
    output_stride: Stride | None = None
    builder: dict[str, Any] | None = None
    facts: Any = None


def space_to_json(space: Space) -> dict[str, Any]:
    """Plain values that `space_from_json` reads: an equal space, whether or not a builder is known there.

    Raises:
        InputError: the positions make no network.
    """
    config = space.config
    ends = {key: value for key in ("head", "output_stride") if (value := getattr(config, key))}
    if config.graph is None:
        defaults = {field.name: field.default for field in fields(config)}
        told = {key: value for key in BUILDER if (value := getattr(config, key)) != defaults[key]}
        ends |= {"builder": told} if config.name in SPACES and SPACES[config.name].packaged else {}
    graph = config.graph or Graph(space.positions)
    return {"hwnas_space": SCHEMA, "name": config.name, "input": list(space.input_shape), "classes": config.classes,
            **ends, **graph.to_json()}


def space_from_json(data: object, where: str = "the space") -> Space:
    """Read `space_to_json`, or what somebody wrote by hand.

    Raises:
        InputError: another schema, keys that cannot be, or a graph that is no space; says the place and the way out.
    """
    if not isinstance(data, dict) or data.get("hwnas_space") != SCHEMA:
        raise InputError(f"{where} is no space of schema {SCHEMA}, whose first key is hwnas_space: {brief(data)}; "
                         f"{WAY_OUT}")
    schema = checked(SpaceFileSchema, data, where, way_out=WAY_OUT)
    channels, height, width = schema.input[0], schema.input[1:][-2:][0], schema.input[-1]
    config = SpaceConfig.from_json({
        "name": schema.name, "imgsz": height, "in_channels": channels, "classes": schema.classes,
        "width": None if width == height else width, "head": schema.head, "output_stride": schema.output_stride}, where)
    graph = Graph.from_json({key: data[key] for key in GraphSchema.model_fields if key in data}, where)
    check_input(graph.positions, schema.input, where)
    try:
        return _of_builder(schema, config, graph) or build(replace(config, graph=graph))
    except InputError:
        raise
    except HwnasError as err:
        raise InputError(f"{where}: {err}") from err


def _of_builder(schema: SpaceFileSchema, config: SpaceConfig, graph: Graph) -> Space | None:
    """What a builder of the package makes of these parameters, where that is the same space."""
    known = SPACES.get(schema.name)
    if schema.builder is None or graph.reference is not None or known is None or not known.packaged:
        return None
    told = {key: value for key, value in schema.builder.items() if key in BUILDER}
    try:
        plain = replace(config, **dict(checked(SpaceSchema, {**config.to_json(), **told}, "the builder")))
        space = build(plain)
    except HwnasError:
        return None
    return space if space.positions == graph.positions else None
