"""Architectures of which some choices are still open: how they grow, what a surrogate sees of them, how they end.

A prefix is a tuple of op indices in which OPEN stands where nothing is decided.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np

from hwnas.search.distribution import FloatArray
from hwnas.search.history import checked_sample
from hwnas.search.strategy import Choice

OPEN = -1


def widened(prefixes: Sequence[Choice], i: int, choices: Choice) -> list[Choice]:
    """Every prefix with every op of the open choice i, in order."""
    return [(*p[:i], op, *p[i + 1 :]) for p in prefixes for op in range(choices[i])]


def op_shares(prefixes: Sequence[Choice], choices: Choice) -> FloatArray:
    """What a surrogate sees, (n, sum K_i): one-hot where decided, 1/K_i for every op of an open choice."""
    table = np.array(prefixes, dtype=np.int64)
    parts = []
    for i, k in enumerate(choices):
        column = table[:, i, None]
        parts.append(np.where(column == OPEN, 1 / k, (column == np.arange(k)).astype(np.float64)))
    return np.concatenate(parts, axis=1)


def completed(prefix: Choice, choices: Choice, seen: Container[Choice], rng: np.random.Generator) -> Choice:
    """The prefix with a uniform random op in every open choice; one not seen before, if a few draws find any."""
    for _ in range(8):
        drawn = rng.integers(choices).tolist()
        full = tuple(op if x == OPEN else x for x, op in zip(prefix, drawn, strict=True))
        if full not in seen or OPEN not in prefix:
            break
    return full


def checked_prefix(value: Sequence[int], choices: Choice) -> Choice:
    """Read a prefix back; ValueError or TypeError if it is none."""
    filled = [0 if x == OPEN else x for x in value]
    decided = checked_sample(filled, choices)
    return tuple(OPEN if x == OPEN else op for x, op in zip(value, decided, strict=True))
