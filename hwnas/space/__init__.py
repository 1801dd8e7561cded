"""What can be built: ops, choices, spaces, architectures. No torch."""

from hwnas.space.builders import SPACES, Description, describe
from hwnas.space.config import SpaceConfig
from hwnas.space.costs import Cost
from hwnas.space.find import find_space
from hwnas.space.flow import flow
from hwnas.space.graph import Graph
from hwnas.space.op import Op, make_divisible
from hwnas.space.position import Position, Wire, output_positions
from hwnas.space.rescale import resized
from hwnas.space.space import Architecture, Space, build
from hwnas.space.space_file import space_from_json, space_to_json
from hwnas.space.steps import (
    Act,
    Average,
    Conv,
    Enlarge,
    Gate,
    Linear,
    Norm,
    Pool,
    Shuffle,
    SqueezeExcite,
    Step,
)
from hwnas.space.variants import FULL, Variant, scaled, variants

__all__ = [
    "FULL", "SPACES", "Act", "Architecture", "Average", "Conv", "Cost", "Description", "Enlarge", "Gate", "Graph",
    "Linear", "Norm", "Op", "Pool", "Position", "Shuffle", "Space", "SpaceConfig", "SqueezeExcite", "Step", "Variant",
    "Wire", "build", "describe", "find_space", "flow", "make_divisible", "output_positions", "resized", "scaled",
    "space_from_json", "space_to_json", "variants",
]
