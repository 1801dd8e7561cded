"""One-op changes of an architecture, and draws of architectures not seen before.

    symbol    meaning                                              shape
    d         choices of the space                                 scalar
    K_i       ops of choice i                                      d
    law       probability that choice i is the one to change       (d,)
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Container, Sequence

import numpy as np

from hwnas.errors import UsageError
from hwnas.search.distribution import FloatArray
from hwnas.search.strategy import Choice

# Misses in a row after which the few architectures left are listed instead.
TRIES = 64


def edit_law(choices: Choice, weights: Sequence[float] | None) -> FloatArray:
    """Probability of each choice to be changed, shape (d,); choices of one op get 0, all zero if there are no others.

    Args:
        choices: K_i.
        weights: relative weights, one per choice; None weighs all choices equally.

    Raises:
        UsageError: another length, a weight that is negative or not finite, or no weight on a choice of two or more.
    """
    law = np.ones(len(choices)) if weights is None else np.array(weights, dtype=np.float64)
    if law.shape != (len(choices),) or not np.isfinite(law).all() or law.min() < 0:
        raise UsageError(f"mutates needs one finite number >= 0 per choice ({len(choices)}), not {weights}")
    law = np.where(np.array(choices) > 1, law, 0.0)
    if max(choices) > 1 and not law.any():
        raise UsageError(f"mutates must weigh a choice of two or more ops (ops per choice {list(choices)}): {weights}")
    return law / law.sum() if law.any() else law


def edited(choice: Choice, choices: Choice, law: FloatArray, rng: np.random.Generator) -> Choice:
    """One choice, drawn from `law`, set to another of its ops, each equally likely; `choice` itself if none can be."""
    if not law.any():
        return choice
    i = int(rng.choice(len(choices), p=law))
    op = (choice[i] + 1 + int(rng.integers(choices[i] - 1))) % choices[i]
    return (*choice[:i], op, *choice[i + 1 :])


def neighbours(choice: Choice, choices: Choice) -> list[Choice]:
    """All architectures that differ from `choice` in one op: sum(K_i - 1) of them, in order of choice and op."""
    return [
        (*choice[:i], op, *choice[i + 1 :]) for i, k in enumerate(choices) for op in range(k) if op != choice[i]
    ]


def random_choice(choices: Choice, rng: np.random.Generator) -> Choice:
    """Every architecture equally likely."""
    return tuple(rng.integers(choices).tolist())


def unseen_choice(choices: Choice, seen: Container[Choice], count: int, rng: np.random.Generator) -> Choice | None:
    """An architecture that is not among the `count` different ones of `seen`, each equally likely; None if all are."""
    if count >= math.prod(choices):
        return None
    for _ in range(TRIES):
        found = random_choice(choices, rng)
        if found not in seen:
            return found
    left = [choice for choice in itertools.product(*map(range, choices)) if choice not in seen]
    return left[int(rng.integers(len(left)))]
