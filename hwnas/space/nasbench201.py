"""NAS-Bench-201: one cell of six edges with five ops each, repeated in three stages; 15,625 architectures.

Source: Dong & Yang, NAS-Bench-201, ICLR 2020, and the released code (D-X-Y/AutoDL-Projects): skeleton, edge order, op
order, strings and the order of the indices are the benchmark's own, so that its accuracies and latencies apply.

Glossary
    node 0..3   maps of a cell: 0 its input, 3 its output; a node is the sum of the ops on its incoming edges
    edge j_i    from node i to node j; choices in the order of `EDGES`
"""

from __future__ import annotations

import itertools
import random
from functools import lru_cache

from hwnas.errors import InputError, UsageError
from hwnas.space.config import SpaceConfig
from hwnas.space.op import Op
from hwnas.space.position import Position
from hwnas.space.rounding import make_divisible
from hwnas.space.space import Architecture, Space

EDGES = ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
OPS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
WIDTHS, CELLS = (16, 32, 64), 5
_SHUFFLE_SEED = 88  # of the benchmark's own numbering


def nasbench201(config: SpaceConfig) -> Space:
    """6 choices, 5 ops, tied over all cells: stages of `depth` (5) cells of 16, 32 and 64 channels, ReLU.

    Raises:
        UsageError: a head of another task, or an image that is not square.
    """
    if config.head or len(set(config.size)) > 1:
        raise UsageError("nasbench201 is a benchmark of classifiers of square images: take another space for "
                         f"{config.head or config.size}")
    size, channels = config.imgsz, make_divisible(WIDTHS[0] * config.width_mult)
    positions = [Position("stem", (Op("conv", config.in_channels, channels, size, size, kernel=3),), writes="stem")]
    node = "stem"
    for stage, width in enumerate(WIDTHS, 1):
        out = make_divisible(width * config.width_mult)
        if stage > 1:
            positions += _reduction(f"reduce{stage - 1}", node, channels, out, size)
            node, channels, size = f"reduce{stage - 1}", out, -(-size // 2)
        for cell in range(1, (config.depth or CELLS) + 1):
            positions += _cell(f"stage{stage}.{cell}", node, channels, size)
            node = f"stage{stage}.{cell}.node3"
    head = Op("head", channels, config.classes, size, size, act="relu")
    return Space(config, (*positions, Position("head", (head,), reads=node)))


def _cell(name: str, source: str, channels: int, size: int) -> list[Position]:
    shape = (channels, channels, size, size)
    ops = (Op("none", *shape), Op("identity", *shape), Op("preconv", *shape, act="relu"),
           Op("preconv", *shape, kernel=3, act="relu"), Op("avgpool", *shape, kernel=3))
    nodes = (source, *(f"{name}.node{j}" for j in (1, 2, 3)))
    return [Position(f"{name}.{edge_name(j, i)}", ops, nodes[i], nodes[j], edge_name(j, i)) for j, i in EDGES]


def _reduction(name: str, source: str, channels: int, out: int, size: int) -> list[Position]:
    """The residual block between two stages: two convolutions, the first of stride 2, beside a pooled shortcut."""
    half = -(-size // 2)
    first = Op("preconv", channels, out, size, size, kernel=3, stride=2, act="relu")
    second = Op("preconv", out, out, half, half, kernel=3, act="relu")
    shortcut = Op("shortcut", channels, out, size, size, stride=2)
    return [Position(f"{name}.a", (first,), source, f"{name}.a"), Position(f"{name}.b", (second,), f"{name}.a", name),
            Position(f"{name}.shortcut", (shortcut,), source, name)]


def edge_name(to: int, start: int) -> str:
    """The name of the choice of an edge, e.g. 'op_1_0'."""
    return f"op_{to}_{start}"


def to_string(choice: tuple[int, ...]) -> str:
    """A choice as the benchmark writes it: '|nor_conv_3x3~0|+|none~0|skip_connect~1|+|...|'."""
    parts = [f"{OPS[op]}~{start}|" for (_, start), op in zip(EDGES, choice, strict=True)]
    return "+".join("|" + "".join(parts[a:b]) for a, b in ((0, 1), (1, 3), (3, 6)))


def from_string(text: str) -> tuple[int, ...]:
    """The choice that the benchmark writes as `text`.

    Raises:
        InputError: not such a string.
    """
    names = [part.rpartition("~")[0] for part in text.replace("+", "").split("|") if part]
    if len(names) == len(EDGES) and set(names) <= set(OPS):
        choice = tuple(OPS.index(name) for name in names)
        if to_string(choice) == text:
            return choice
    raise InputError(f"not a NAS-Bench-201 string: {text!r}; expected e.g. {to_string((3, 3, 1, 0, 1, 4))!r}")


@lru_cache(maxsize=1)
def order() -> tuple[tuple[int, ...], ...]:
    """The choice of every index 0..15624 of the benchmark."""
    choices = list(itertools.product(range(len(OPS)), repeat=len(EDGES)))
    random.Random(_SHUFFLE_SEED).shuffle(choices)
    return tuple(choices)


@lru_cache(maxsize=1)
def _indices() -> dict[tuple[int, ...], int]:
    return {choice: index for index, choice in enumerate(order())}


def unique_string(choice: tuple[int, ...]) -> str:
    """What a cell computes, in the benchmark's words (`to_unique_str` with zeros considered): alike cells have one.

    An edge that is `none`, or reads a node that is nothing but one, is `#`; a sum of several such edges is not, there.
    """
    nodes = ["0"]
    for node in (1, 2, 3):
        terms = []
        for (to, start), op in zip(EDGES, choice, strict=True):
            if to == node:
                read = nodes[start]
                nothing = op == 0 or read == "#"
                terms.append("#" if nothing else read if op == 1 else f"({read})@{OPS[op]}")
        nodes.append("+".join(sorted(terms)))
    return nodes[3]


def first_alike(choice: tuple[int, ...]) -> tuple[int, ...]:
    """The first cell of the benchmark's numbering with the same `unique_string`: who measures each network once
    measures this one."""
    return _first_alike()[choice]


@lru_cache(maxsize=1)
def _first_alike() -> dict[tuple[int, ...], tuple[int, ...]]:
    first: dict[str, tuple[int, ...]] = {}
    return {choice: first.setdefault(unique_string(choice), choice) for choice in order()}


def index_of(arch: Architecture) -> int:
    """The benchmark's index of an architecture.

    Raises:
        InputError: of another space.
    """
    if arch.space.name != "nasbench201":
        raise InputError(f"only architectures of nasbench201 have an index of that benchmark; got {arch.space.name}")
    return _indices()[arch.choice]
