"""In which order the variables of a graph of choices are eliminated, and what meets at each.

Eliminating a variable joins all tables that hold it and leaves one table over their other variables, its message. The
order is min-fill: the variable whose neighbours lack the fewest edges, then the one with the smallest table
(R. Dechter, "Bucket elimination", Artificial Intelligence 113, 1999). On a chain or a tree no table has more variables
than a factor; the messages of any order are the separators of a tree decomposition.

Glossary
    V         number of variables, numbered in the order given
    factor    variables whose options together have a utility and costs, by number, rising
    bucket    what is joined when one variable is eliminated
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from hwnas.errors import UsageError

Scope = tuple[int, ...]
MAX_STATES = 1 << 21


@dataclass(frozen=True)
class Bucket:
    """One elimination.

    Attributes:
        variable: what is eliminated; -1 in the last bucket, which only joins what is left.
        factors: which factors are joined, by number.
        children: buckets whose messages are joined.
        scope: the variables that meet here.
        message: the variables left afterwards.
    """

    variable: int
    factors: tuple[int, ...]
    children: tuple[int, ...]
    scope: Scope
    message: Scope


def plan(sizes: Sequence[int], factors: Sequence[Scope]) -> list[Bucket]:
    """Buckets in order; the last one joins what is left and has an empty message.

    Args:
        sizes: options per variable.
        factors: scope per factor; every variable is in one.

    Raises:
        UsageError: too many options meet in one bucket.
    """
    open_factors, open_messages = dict(enumerate(factors)), dict[int, Scope]()
    buckets: list[Bucket] = []
    for variable in _order(sizes, factors):
        buckets.append(_bucket(variable, open_factors, open_messages))
        states = math.prod(sizes[v] for v in buckets[-1].scope)
        if states > MAX_STATES:
            raise UsageError(
                f"{len(buckets[-1].scope)} choices depend on each other at once, with {states} combinations: the most "
                f"is {MAX_STATES}; give fewer options or fewer dependences"
            )
        open_messages[len(buckets) - 1] = buckets[-1].message
    return [*buckets, Bucket(-1, (), tuple(open_messages), (), ())]


def _bucket(variable: int, open_factors: dict[int, Scope], open_messages: dict[int, Scope]) -> Bucket:
    """Take what holds the variable out of what is open."""
    factors = tuple(f for f, scope in open_factors.items() if variable in scope)
    children = tuple(b for b, scope in open_messages.items() if variable in scope)
    met = {variable}.union(*(open_factors.pop(f) for f in factors), *(open_messages.pop(b) for b in children))
    return Bucket(variable, factors, children, tuple(sorted(met)), tuple(sorted(met - {variable})))


def _order(sizes: Sequence[int], factors: Sequence[Scope]) -> list[int]:
    near: dict[int, set[int]] = {v: set() for v in range(len(sizes))}
    for scope in factors:
        for v in scope:
            near[v].update(scope)
            near[v].discard(v)
    order, price = [], {v: _price(v, near, sizes) for v in near}
    while near:
        variable = min(price, key=price.__getitem__)
        neighbours = near.pop(variable)
        del price[variable]
        touched = set(neighbours)
        for a, b in itertools.combinations(sorted(neighbours), 2):
            if b not in near[a]:
                near[a].add(b)
                near[b].add(a)
                touched.update(near[a] & near[b])
        for v in neighbours:
            near[v].discard(variable)
        for v in touched - {variable}:
            price[v] = _price(v, near, sizes)
        order.append(variable)
    return order


def _price(variable: int, near: dict[int, set[int]], sizes: Sequence[int]) -> tuple[int, int, int]:
    """Edges that eliminating a variable adds, options that meet, and its number."""
    neighbours = sorted(near[variable])
    fill = sum(b not in near[a] for a, b in itertools.combinations(neighbours, 2))
    return fill, math.prod(sizes[v] for v in neighbours) * sizes[variable], variable
