"""Which networks calibrate a table and which check it."""

from __future__ import annotations

import numpy as np

from hwnas.space import Architecture, Space

_TRIES = 50  # per network, before a space is taken to hold no further one


def random_network(space: Space, depth: int, rng: np.random.Generator) -> Architecture:
    """A random architecture in which as many choices as possible up to `depth` compute something.

    In a cell space the output depends on the input, if one of `_TRIES` does that.
    """
    for _ in range(_TRIES):
        arch = _draw(space, depth, rng)
        if arch.connected:
            break
    return arch


def depth_range(space: Space) -> tuple[int, int]:
    """Fewest and most choices that can compute something."""
    optional = sum(not all(op.steps for op in c.ops) for c in space.choices)
    return len(space.choices) - optional, len(space.choices)


def draw(
    space: Space, calibration: int, held_out: int, rng: np.random.Generator
) -> tuple[list[Architecture], list[Architecture]]:
    """Networks of even depths: the calibration set starts with the smallest and the largest.

    Depths are even because uniform draws of the ops are nearly all of one depth, and a line through points that lie
    close together extrapolates badly.

    Returns:
        (calibration networks, held-out networks), all different; fewer where the space is too small.
    """
    low, high = depth_range(space)
    taken: dict[Architecture, None] = {}
    for arch in (space.smallest(), space.largest())[:calibration]:
        taken[arch] = None
    for depth in np.rint(np.linspace(low, high, max(0, calibration - 2))).astype(int):
        _add_new(taken, space, rng, int(depth), int(depth))
    n = len(taken)
    for _ in range(held_out):
        _add_new(taken, space, rng, low, high)
    networks = list(taken)
    return networks[:n], networks[n:]


def _draw(space: Space, depth: int, rng: np.random.Generator) -> Architecture:
    free = [[k for k, op in enumerate(c.ops) if not op.steps] for c in space.choices]
    optional = [i for i, ops in enumerate(free) if ops]
    kept = set(rng.permutation(optional)[: max(0, depth - (len(free) - len(optional)))].tolist())
    picked = []
    for i, choice in enumerate(space.choices):
        real = [k for k in range(len(choice.ops)) if k not in free[i]]
        picked.append(int(rng.choice(real if i in kept or not free[i] else free[i])))
    return space.architecture(picked)


def _add_new(taken: dict[Architecture, None], space: Space, rng: np.random.Generator, low: int, high: int) -> None:
    for _ in range(_TRIES):
        arch = random_network(space, int(rng.integers(low, high + 1)), rng)
        if arch not in taken:
            taken[arch] = None
            return
