"""Other widths, images and classes of a space that is data: worked out from node to node, where no builder is asked.

Every width of a node and inside a head is multiplied and rounded to multiples of 8, as a builder does; what a map
measures follows from the ops before it. Channels of the image and of the outputs are what they are, also where ops
that keep their channels carry them on. What would not be the same choices is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from hwnas.errors import InputError, UsageError
from hwnas.space.graph import Graph, shape_out
from hwnas.space.op import Op
from hwnas.space.position import INPUT, Edge, Position, output_positions
from hwnas.space.rounding import make_divisible
from hwnas.space.space import Space, build


def resized(space: Space, *, width: float = 1.0, size: tuple[int, int] | None = None, in_channels: int | None = None,
            classes: int | None = None) -> Space:
    """The space as data, with other widths, another image or other classes.

    Args:
        width: factor of every channel count but those of the image and the outputs.
        size: height and width of the image in pixels; None keeps them, and the channels and the classes as well.

    Raises:
        UsageError: maps that are added no longer have one shape, other choices would come of it, or a size is asked for
            what is no image.
    """
    config, (own, *sides) = space.config, space.input_shape
    in_channels, classes = in_channels or own, classes or config.classes
    if size is not None and len(sides) != 2:
        raise UsageError(f"space {space.name} takes no images but maps of {len(sides)} axes: a size is for images")
    image = (in_channels, *(size or sides))
    asked = f"width {width:g}, input {' x '.join(map(str, image))} and {classes} classes"
    ends = _ends(space.positions, space.edges)
    shapes: dict[str, tuple[int, ...]] = {INPUT: image}
    positions = []
    try:
        for position, edge in zip(space.positions, space.edges, strict=True):
            channels = position.ops[0].out_channels
            if edge.target in ends.image:
                channels = in_channels
            elif edge.target in ends.outputs:
                channels = _outputs(space, channels, classes)
            elif width != 1.0:
                channels = make_divisible(channels * width)
            ops = tuple(_changed(op, shapes[edge.source], channels, width) for op in position.ops)
            positions.append(replace(position, ops=ops))
            gives = shape_out(ops[0])
            beside = shapes[edge.target][0] if edge.part and edge.part[0] else 0  # channels of the parts before it
            shapes[edge.target] = (beside + gives[0], *gives[1:])
        graph = Graph(tuple(positions), config.graph.reference if config.graph is not None else None)
        height, across = image[-2:]
        data = replace(config, imgsz=height, width=None if across == height else across, in_channels=in_channels,
                       classes=classes, width_mult=1.0, depth=None, head_width=None, graph=graph)
        found = build(data)
    except InputError as err:
        raise UsageError(f"space {space.name} cannot be had with {asked}: {err}; write a space for it, or a function "
                         "that builds one (docs/spaces.md)") from err
    _check_same_choices(space, found, asked)
    return found


class _Ends(NamedTuple):
    """Nodes whose channels are those of the image, and nodes whose channels are those of an output."""

    image: set[str]
    outputs: set[str]


def _ends(positions: Sequence[Position], placed: Sequence[Edge]) -> _Ends:
    kept = [any(op.definition.same_channels for op in p.ops) for p in positions]
    image, outputs = {INPUT}, {placed[i].target for i in output_positions([p.ops[0] for p in positions])}
    for keeps, edge in zip(kept, placed, strict=True):
        if keeps and edge.source in image:
            image.add(edge.target)
    for keeps, edge in reversed(list(zip(kept, placed, strict=True))):
        if keeps and edge.target in outputs:
            outputs.add(edge.source)
    return _Ends(image, outputs - {INPUT})


def _outputs(space: Space, channels: int, classes: int) -> int:
    """Channels of an output for other classes."""
    if classes == space.config.classes:
        return channels
    if channels != space.config.classes:
        raise InputError(f"its outputs have {channels} channels for {space.config.classes} classes")
    return classes


def _changed(op: Op, shape: tuple[int, ...], channels: int, width: float) -> Op:
    inside, *sides = shape
    hidden = tuple(make_divisible(h * width) for h in op.hidden) if width != 1.0 else op.hidden
    groups = op.groups
    if groups > 1 and groups == op.in_channels:  # depthwise stays depthwise
        groups = inside
    return op.replaced(in_channels=inside, out_channels=channels, size=sides, hidden=hidden, groups=groups)


def _check_same_choices(before: Space, after: Space, asked: str) -> None:
    for p, q in zip(before.positions, after.positions, strict=True):
        for old, new in zip(p.ops, q.ops, strict=True):
            if (old.label, old.residual) != (new.label, new.residual):
                raise UsageError(f"space {before.name} with {asked} has other choices than the reference: {p.name} "
                                 f"would become {new.signature} (different widths round to the same); take a larger "
                                 "width")
