"""What can be built: ops, choices, spaces, architectures. No torch."""

import warnings
from typing import Any

from hwnas.space.builders import SPACES, Description, describe
from hwnas.space.change import Change
from hwnas.space.config import SpaceConfig
from hwnas.space.convolutions import Conv, Gate, Parallel, RepConv
from hwnas.space.costs import Cost
from hwnas.space.find import find_space
from hwnas.space.graph import Graph
from hwnas.space.interpret import interpret
from hwnas.space.kinds.kind import Kind
from hwnas.space.op import Op
from hwnas.space.position import Edge, Position, output_positions
from hwnas.space.primitives import (
    Act,
    AvgPool,
    Concat,
    GlobalAvgPool,
    Linear,
    MaxPool,
    Norm,
    Primitive,
    Shuffle,
    SplitAttention,
    SqueezeExcite,
    Upsample,
)
from hwnas.space.rescale import resized
from hwnas.space.rounding import make_divisible
from hwnas.space.space import Architecture, Space, build
from hwnas.space.space_file import space_from_json, space_to_json
from hwnas.space.variants import FULL, Variant, scaled, variants

__all__ = [
    "FULL", "SPACES", "Act", "Architecture", "AvgPool", "Change", "Concat", "Conv", "Cost", "Description", "Edge",
    "Gate", "GlobalAvgPool", "Graph", "Kind", "Linear", "MaxPool", "Norm", "Op", "Parallel", "Position", "Primitive",
    "RepConv", "Shuffle", "Space", "SpaceConfig", "SplitAttention", "SqueezeExcite", "Upsample", "Variant", "build",
    "describe", "find_space", "interpret", "make_divisible", "output_positions", "resized", "scaled", "space_from_json",
    "space_to_json", "variants",
]
_RENAMED = {"Average": "AvgPool", "Enlarge": "Upsample", "Pool": "GlobalAvgPool", "Step": "Primitive",
            "Wire": "Edge", "flow": "interpret"}


def __getattr__(name: str) -> Any:
    """Names of 0.1, for one version more."""
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"hwnas.space.{name} is now {_RENAMED[name]}", DeprecationWarning, stacklevel=2)
    return globals()[_RENAMED[name]]
