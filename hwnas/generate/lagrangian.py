"""Upper bounds for a graph of choices: the costs priced, the rest solved by elimination.

With prices y >= 0 per tick every factor is worth u - y.c, and elimination finds the best choice without any budget in
one pass (M. Fisher, Management Science 27(1), 1981). A second pass from the last bucket back gives, for every state
of a message, the best that everything else can add: the bound of a label there.

Glossary
    y       price vectors, (R, M)
    value   best worth of what a message holds, (R, one axis per variable)
    outside best worth of everything else, per state of a message, (R, one axis per variable)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.generate.elimination import Bucket, Scope, plan
from hwnas.generate.problem import Floats, Ints
from hwnas.generate.time_limit import TimeLimit

_WIDE, _POINTS, _ROUNDS = 24, 12, 3
_KEPT = 8
_AT_ONCE = 1 << 20  # states times price vectors that are worked out at once


@dataclass(frozen=True)
class Model:
    """A graph of choices with dense factors.

    Attributes:
        sizes: options per variable.
        buckets: as `elimination.plan` gives them.
        scopes: per factor.
        worth: utilities per factor, -inf where masked, one axis per variable.
        ticks: per factor, one axis per variable and one per cost.
        limits: (M,).
        groups: variables that count as one each where choices are to differ; every variable is in one.
        apart: the last costs are how many groups agree with choices taken before; how many must not, per choice.
        counting: the factors that count this, of the first of these choices.
    """

    sizes: tuple[int, ...]
    buckets: tuple[Bucket, ...]
    scopes: tuple[Scope, ...]
    worth: tuple[Floats, ...]
    ticks: tuple[Ints, ...]
    limits: Ints
    groups: tuple[Scope, ...]
    apart: tuple[int, ...] = ()
    counting: range = range(0)

    @property
    def ranked(self) -> int:
        """How many of the costs, the first ones, break ties between choices."""
        return len(self.limits) - len(self.apart)

    def far_from(self, choice: Sequence[int], distance: int) -> Model:
        """The same graph for choices that differ from one in at least `distance` groups."""
        shapes = [tuple(self.sizes[v] for v in group) for group in self.groups]
        old = [np.concatenate([ticks, np.zeros((*ticks.shape[:-1], 1), np.int64)], axis=-1) for ticks in self.ticks]
        new = [np.zeros((*shape, len(self.limits) + 1), np.int64) for shape in shapes]
        for group, ticks in zip(self.groups, new, strict=True):
            ticks[(*(choice[v] for v in group), -1)] = 1
        scopes = (*self.scopes, *self.groups)
        return replace(
            self, buckets=tuple(plan(self.sizes, scopes)), scopes=scopes, ticks=(*old, *new),
            worth=(*self.worth, *(np.zeros(shape) for shape in shapes)), apart=(*self.apart, distance),
            counting=self.counting or range(len(self.scopes), len(scopes)),
            limits=np.append(self.limits, len(self.groups) - distance),
        )

    def priced(self, y: Floats) -> list[Floats]:
        """Every factor at every price vector, (R, ...)."""
        found = []
        for worth, ticks in zip(self.worth, self.ticks, strict=True):
            spent = y @ ticks.reshape(worth.size, len(self.limits)).T.astype(np.float64)
            found.append(worth - spent.reshape(len(y), *worth.shape))
        return found


@dataclass(frozen=True)
class Prices:
    """Price vectors and what they prove.

    Attributes:
        y: (R, M), the best first.
        bounds: (R,), upper bounds on the utility of any choice within the limits.
        outside: per bucket, for its message.
        choices: the best choice at every price vector, budgets or not, (R, V).
        limits: (M,).
    """

    y: Floats
    bounds: Floats
    outside: list[Floats]
    choices: Ints
    limits: Ints

    def upper(self, bucket: int, states: Sequence[NDArray[np.integer[Any]]], ticks: Ints, utility: Floats) -> Floats:
        """Bound on the final utility of labels of a message, (n,)."""
        places: tuple[Any, ...] = (slice(None), *states)
        rest = self.outside[bucket][places].reshape(len(self.y), -1)
        best: Floats = (rest + self.y @ (self.limits - ticks).T.astype(np.float64)).min(axis=0)
        return best + utility


def prices(model: Model, clock: TimeLimit) -> Prices:
    """Good price vectors, by points around the best in ever smaller steps; each is evaluated exactly."""
    y = _searched(model, clock) if len(model.limits) else np.zeros((1, 0))
    priced = model.priced(y)
    values = _upward(model, priced)
    bounds = values[-1] + y @ model.limits
    return Prices(y, bounds, _downward(model, priced, values), _decoded(model, priced, values), model.limits)


def _searched(model: Model, clock: TimeLimit) -> Floats:
    """The price vectors of the least bounds found, the best first, (R, M)."""
    gain = sum(float(np.ptp(worth[np.isfinite(worth)])) for worth in model.worth) or 1.0
    spans = np.sum([ticks.reshape(-1, len(model.limits)).max(axis=0) for ticks in model.ticks], axis=0)
    unit = gain / np.maximum(spans, 1).astype(np.float64)
    around = _bracketed if len(unit) == 1 else _sampled
    y, bounds = around(model, unit, clock)
    return y[np.argsort(bounds, kind="stable")[: 1 if clock.over else _KEPT]]


def cheapest(model: Model, cost: int) -> Ints:
    """The choice that spends least of one cost, (V,)."""
    priced = [np.where(np.isfinite(worth), -ticks[..., cost].astype(np.float64), -np.inf)[None]
              for worth, ticks in zip(model.worth, model.ticks, strict=True)]
    choice: Ints = _decoded(model, priced, _upward(model, priced))[0]
    return choice


def _bracketed(model: Model, unit: Floats, clock: TimeLimit) -> tuple[Floats, Floats]:
    """One price: the bound is convex in it, so its least value lies beside the best of some points."""
    points = np.append(0.0, np.geomspace(0.01, 100.0, _WIDE))
    y, bounds = np.zeros((0, 1)), np.zeros(0)
    for _ in range(_ROUNDS):
        y = np.vstack([y, points[:, None] * unit])
        bounds = np.append(bounds, _bounds(model, points[:, None] * unit, clock))
        if clock.over:
            break
        tried = np.sort(y[:, 0] / unit[0])
        i = int(np.searchsorted(tried, y[int(bounds.argmin()), 0] / unit[0]))
        points = np.linspace(tried[max(i - 1, 0)], tried[min(i + 1, len(tried) - 1)], _POINTS + 2)[1:-1]
    return y, bounds


def _sampled(model: Model, unit: Floats, clock: TimeLimit) -> tuple[Floats, Floats]:
    """Several prices: random ones around the best, ever closer."""
    generator, centre, spread = np.random.default_rng(0), np.zeros(len(unit)), 2.5
    y = np.zeros((1, len(unit)))
    bounds = _bounds(model, y, clock)
    for _ in range(2 * _ROUNDS):
        if clock.over:
            break
        tries = np.exp(centre + spread * generator.normal(size=(_WIDE, len(unit)))) * unit
        y, bounds = np.vstack([y, tries]), np.append(bounds, _bounds(model, tries, clock))
        centre, spread = np.log(np.maximum(y[int(bounds.argmin())] / unit, 1e-6)), spread * 0.55
    return y, bounds


def _bounds(model: Model, y: Floats, clock: TimeLimit) -> Floats:
    """Upper bound on the utility of any choice within the limits, at every price vector; infinite where time is up."""
    states = sum(math.prod(model.sizes[v] for v in bucket.scope) for bucket in model.buckets)
    some, found = max(_AT_ONCE // states, 1), np.full(len(y), np.inf)
    for first in range(0, len(y), some):
        part = y[first : first + some]
        found[first : first + some] = _upward(model, model.priced(part))[-1] + part @ model.limits
        if clock.over:
            break
    return found


def _aligned(array: Floats, scope: Scope, over: Scope) -> Floats:
    """An array (R, axes of `scope`) with axes of length 1 for the other variables of `over`."""
    if scope == over:
        return array
    return array[(slice(None), *(slice(None) if v in scope else None for v in over))]


def _together(model: Model, bucket: Bucket, priced: Sequence[Floats], values: Sequence[Floats]) -> Floats:
    """What meets in a bucket, over its scope."""
    parts = [_aligned(priced[f], model.scopes[f], bucket.scope) for f in bucket.factors]
    parts += [_aligned(values[b], model.buckets[b].message, bucket.scope) for b in bucket.children]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _upward(model: Model, priced: Sequence[Floats]) -> list[Floats]:
    """The values of all messages."""
    values: list[Floats] = []
    for bucket in model.buckets:
        total = _together(model, bucket, priced, values)
        values.append(total if bucket.variable < 0 else total.max(axis=bucket.scope.index(bucket.variable) + 1))
    return values


def _downward(model: Model, priced: Sequence[Floats], values: Sequence[Floats]) -> list[Floats]:
    """`outside` of every bucket."""
    count = len(values[-1])
    outside = [np.zeros(count)] * len(model.buckets)
    for number in range(len(model.buckets) - 1, -1, -1):
        bucket = model.buckets[number]
        full = (count, *(model.sizes[v] for v in bucket.scope))
        around = _aligned(outside[number], bucket.message, bucket.scope)
        for b in bucket.children:
            others = replace(bucket, children=tuple(other for other in bucket.children if other != b))
            rest = around
            if others.children or others.factors:
                rest = rest + _together(model, others, priced, values)
            gone = tuple(i + 1 for i, v in enumerate(bucket.scope) if v not in model.buckets[b].message)
            outside[b] = np.broadcast_to(rest, full).max(axis=gone)
    return outside


def _decoded(model: Model, priced: Sequence[Floats], values: Sequence[Floats]) -> Ints:
    """The best choice at every price vector, from the last bucket back, (R, V)."""
    rows = np.arange(len(values[-1]))
    choices = np.zeros((len(rows), len(model.sizes)), dtype=np.int64)
    for bucket in reversed(model.buckets[:-1]):
        place = bucket.scope.index(bucket.variable) + 1
        full = (len(rows), *(model.sizes[v] for v in bucket.scope))
        total = np.moveaxis(np.broadcast_to(_together(model, bucket, priced, values), full), place, -1)
        choices[:, bucket.variable] = total[(rows, *(choices[:, v] for v in bucket.message))].argmax(axis=-1)
    return choices
