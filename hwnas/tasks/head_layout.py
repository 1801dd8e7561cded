"""What the maps of a detector mean, read off its space."""

from __future__ import annotations

from typing import cast

from hwnas.space import Space, output_positions
from hwnas.tasks.detection import DetectionHeadLayout, Kind


def layout_of(space: Space) -> DetectionHeadLayout:
    """The layout of the outputs of the networks of a space whose head finds boxes."""
    ops = [p.ops[0] for p in space.positions]
    maps = tuple(ops[i].out_hw for i in output_positions(ops))
    finest = round(space.config.size[0] / maps[0][0])
    strides = tuple(finest * 2**level for level in range(len(maps)))
    return DetectionHeadLayout(cast(Kind, space.config.head), space.config.size, maps, strides, space.config.classes)
