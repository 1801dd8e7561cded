"""Spaces of a user's own: a file written by hand with one branch, a function, and what is wrong with some."""

from __future__ import annotations

import copy
from typing import Any

from hwnas.space import Op, Position, Space, SpaceConfig
from hwnas.space.chain import Chain, Stage

TWO_ROADS: dict[str, Any] = {
    "hwnas_space": 1,
    "name": "two-roads",
    "input": [1, 16, 16],
    "classes": 10,
    "positions": [
        {"name": "stem", "ops": ["conv k3 e1 s2 1-16 16x16 relu"]},
        {"name": "left", "ops": ["mbconv k3 e2 s1 16-24 8x8 relu", "mbconv k5 e2 s1 16-24 8x8 relu",
                                 "mbconv k3 e4 s1 16-24 8x8 relu"], "reads": "stem", "writes": "join"},
        {"name": "right", "ops": ["conv k1 e1 s1 16-24 8x8 relu", "conv k3 e1 s1 16-24 8x8 relu",
                                  "none k1 e1 s1 16-24 8x8 none"], "reads": "stem", "writes": "join"},
        {"name": "last", "ops": ["mbconv k3 e2 s2 24-32 8x8 relu", "mbconv k3 e4 s2 24-32 8x8 relu"], "reads": "join"},
        {"name": "head", "ops": ["head k1 e1 s1 32-10 4x4 relu m64"]},
    ],
}


def two_roads(**changes: Any) -> dict[str, Any]:
    """A copy with other values under some keys."""
    return {**copy.deepcopy(TWO_ROADS), **changes}


def wide_kernels(config: SpaceConfig) -> Space:
    """Kernels 3 and 9 in a chain; obeys every parameter."""
    chain = Chain(config)
    chain.fixed("stem", "conv", chain.scale(16), kernel=3, stride=2, act="relu")
    chain.stages([Stage(24, 1, 2, "relu"), Stage(40, config.depth or 1, 2, "relu"), Stage(48, 1, 2, "relu"),
                  Stage(64, 1, 2, "relu")],
                 lambda blank: tuple(Op("mbconv", blank.in_channels, blank.out_channels, blank.height, blank.width,
                                        kernel=k, expand=2, stride=blank.stride, act="relu") for k in (3, 9)))
    return chain.finished(act="relu", hidden=(64,))


def of_another_image(config: SpaceConfig) -> Space:
    """Does not do what it is asked."""
    return wide_kernels(SpaceConfig("x", 64, config.in_channels, config.classes))


def no_space(config: SpaceConfig) -> object:
    return ["no", "space"]


def fails(config: SpaceConfig) -> Space:
    raise RuntimeError("it rains")


def cut(config: SpaceConfig) -> Space:
    """Ends with a map, not with classes."""
    op = Op("conv", config.in_channels, config.classes, *config.size)
    return Space(config, (Position("only", (op,)),))


NOTHING = 3
