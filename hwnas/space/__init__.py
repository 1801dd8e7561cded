"""What can be built: ops, choices, spaces, architectures. No torch."""

from hwnas.space.architecture import Architecture
from hwnas.space.builtin import SPACES, build, describe
from hwnas.space.flow import flow
from hwnas.space.op import Op, make_divisible
from hwnas.space.position import Position, SpaceConfig, Wire, output_positions
from hwnas.space.space import Cost, Space
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
    "FULL", "SPACES", "Act", "Architecture", "Average", "Conv", "Cost", "Enlarge", "Gate", "Linear", "Norm", "Op",
    "Pool", "Position", "Shuffle", "Space", "SpaceConfig", "SqueezeExcite", "Step", "Variant", "Wire", "build",
    "describe", "flow", "make_divisible", "output_positions", "scaled", "variants",
]
