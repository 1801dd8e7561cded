"""Which networks calibrate a table and which check it."""

from __future__ import annotations

import numpy as np

from hwnas.space import Architecture, Space

_TRIES = 50  # per network, before a space is taken to hold no further one


def random_network(space: Space, depth: int, rng: np.random.Generator) -> Architecture:
    """A random architecture in which as many choices as possible up to `depth` are not skipped."""
    skips = [next((i for i, op in enumerate(c.ops) if op.kind == "skip"), None) for c in space.choices]
    picked = []
    optional = [i for i, skip in enumerate(skips) if skip is not None]
    kept = set(rng.permutation(optional)[: max(0, depth - (len(skips) - len(optional)))].tolist())
    for i, (choice, skip) in enumerate(zip(space.choices, skips, strict=True)):
        real = [j for j in range(len(choice.ops)) if j != skip]
        picked.append(int(rng.choice(real)) if skip is None or i in kept else skip)
    return space.architecture(picked)


def depth_range(space: Space) -> tuple[int, int]:
    """Fewest and most choices that can be something other than a skip."""
    optional = sum(any(op.kind == "skip" for op in c.ops) for c in space.choices)
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


def _add_new(taken: dict[Architecture, None], space: Space, rng: np.random.Generator, low: int, high: int) -> None:
    for _ in range(_TRIES):
        arch = random_network(space, int(rng.integers(low, high + 1)), rng)
        if arch not in taken:
            taken[arch] = None
            return
