"""What can be built: ops, choices, spaces, architectures. No torch."""

from hwnas.space.builtin import SPACES, build, describe
from hwnas.space.op import Conv, Linear, Op, Pool, Shuffle, SqueezeExcite, Step, make_divisible
from hwnas.space.space import Architecture, Position, Space, SpaceConfig

__all__ = [
    "SPACES", "Architecture", "Conv", "Linear", "Op", "Pool", "Position", "Shuffle", "Space", "SpaceConfig",
    "SqueezeExcite", "Step", "build", "describe", "make_divisible",
]
