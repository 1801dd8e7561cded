"""What a plan takes on the device: measured units, corrected by measured whole networks.

Units timed alone give sums that are 9 to 17 % too high, each by its own share: a runtime reorders maps at the two ends
of a model, and fuses over boundaries. So times alone are where the belief starts, and a few dozen random plans, timed
whole in the same sweeps, correct it: a linear model with a Gaussian belief about every effect, updated exactly.

    t(plan) = T0 + sum over places of d[signature, option] + sum over tensors and precisions of q and e

symbol  meaning                                                                          shape
T0      the network as it is, ms
d       what an option takes more than the unit as it is, ms; one for all equal units
q, e    what it takes to leave floats for a precision at a tensor, and to come back, ms; from one lower precision to
        another it is both: that is what is executed
m, v    mean and variance of the belief about the effects (d, q, e)                      (p,), (p, p)
F       how often each effect is in each plan that was timed                             (n, p)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from hwnas.surgery.belief import updated
from hwnas.surgery.plan import (
    AS_IT_IS,
    FLOAT,
    SPANNED,
    TEACHER,
    Option,
    Places,
    Plan,
    is_joint,
    precision_of,
    spans,
    with_span,
)
from hwnas.surgery.unit import Cut

Floats = NDArray[np.float64]

ALONE_ERROR = 0.15  # standard deviation of units' times alone, relative, as what they take inside: shared by causes
ALONE_OWN = 0.05  # ... of each by itself
ALONE_LEAST = 0.002  # ... of the whole network's time, at least
CHANGE_ERROR, CHANGE_OWN = 1.0, 0.4  # of what a change takes: all in one direction, each by itself
ENDS = 0.3  # chance that a run of lowered places ends at the next
BOTH = " and "  # between the signatures of a span
TIMING_ERROR = 0.005  # of a whole network's median, at least


@dataclass(frozen=True)
class UnitCosts:
    """A belief about what every option and every change takes.

    Args:
        places: of the network.
        whole_ms: T0.
        effects: names of the effects; see `effects_of`.
        mean_ms, variance: m and v.
    """

    places: Places
    whole_ms: float
    effects: tuple[str, ...]
    mean_ms: Floats
    variance: Floats

    @classmethod
    def believed(cls, places: Places, whole_ms: float, alone_ms: Mapping[tuple[str, str], float],
                 change_ms_per_value: Mapping[str, float]) -> UnitCosts:
        """Before any whole plan was timed.

        Args:
            alone_ms: (signature, key of an option) -> time of the unit alone, floats in and out.
            change_ms_per_value: precision -> what it takes to turn one value of a map from floats into it, or back.
        """
        names = list(dict.fromkeys(e for plan in _single(places) for e in effects_of(places, plan)))
        found = [_first_belief(places, name, whole_ms, alone_ms, change_ms_per_value) for name in names]
        variance = np.diag([one.own_ms**2 for one in found])
        shared = sorted({cause for one in found for cause in one.shared_ms})
        for cause in shared:  # what is off for one of them is off for all
            column = np.array([one.shared_ms.get(cause, 0.0) for one in found])
            variance += np.outer(column, column)
        return cls(places, whole_ms, tuple(names), np.array([one.mean_ms for one in found]), variance)

    def after(self, plans: Sequence[Plan], times_ms: Sequence[float], error: float = TIMING_ERROR) -> UnitCosts:
        """The belief once some whole plans were timed at the speed of T0.

        Args:
            error: standard deviation of a time, relative.
        """
        if not plans:
            return self
        f = self._rows(plans)
        noise = np.square(max(error, TIMING_ERROR) * np.asarray(times_ms))
        mean, variance = updated(self.mean_ms, self.variance, f, np.asarray(times_ms) - self.whole_ms, noise)
        return UnitCosts(self.places, self.whole_ms, self.effects, mean, variance)

    def predict(self, plans: Sequence[Plan]) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the times of some plans, ms, (n,) each."""
        f = self._rows(plans)
        spread = np.sqrt(np.maximum(np.einsum("ip,pq,iq->i", f, self.variance, f), 0.0))
        return self.whole_ms + f @ self.mean_ms, spread

    def effect_ms(self, name: str) -> float:
        """Mean of the belief about one effect; 0 for none that is known."""
        place = self._places.get(name)
        return 0.0 if place is None else float(self.mean_ms[place])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.effects)}

    def _rows(self, plans: Sequence[Plan]) -> Floats:
        places, rows = self._places, np.zeros((len(plans), len(self.effects)))
        for row, plan in zip(rows, plans, strict=True):
            for name in effects_of(self.places, plan):
                row[places[name]] += 1
        return rows


@dataclass(frozen=True)
class _Belief:
    """About one effect, before any whole plan was timed.

    Args:
        mean_ms: what it is expected to be.
        own_ms: standard deviation of what is its own.
        shared_ms: cause of an error that it shares with others -> standard deviation.
    """

    mean_ms: float
    own_ms: float
    shared_ms: Mapping[str, float]


def _first_belief(places: Places, effect: str, whole_ms: float, alone_ms: Mapping[tuple[str, str], float],
                  change_ms_per_value: Mapping[str, float]) -> _Belief:
    """From units timed alone.

    Times alone are off in ways that units share: whatever is computed in a precision, every form of one unit in it, all
    changes in one direction. So one plan teaches about many effects.
    """
    kind, _, rest = effect.partition(" ")
    if kind != "option":
        precision, _, tensor = rest.partition(" ")
        mean = change_ms_per_value[precision] * prod(places.cut.flow.shapes[tensor])
        return _Belief(mean, CHANGE_OWN * mean + ALONE_LEAST * whole_ms,
                       {f"{kind} {precision}": CHANGE_ERROR * mean + ALONE_LEAST / 2 * whole_ms})
    signature, _, key = rest.rpartition(" ")
    precision = Option.read(key).precision
    parts = [alone_ms.get((part, AS_IT_IS.key)) for part in signature.split(BOTH)]
    base, other = sum(ms for ms in parts if ms is not None), alone_ms.get((signature, key))
    if None in parts or other is None:
        return _Belief(0.0, 5 * ALONE_LEAST * whole_ms, {})
    mean = other - base
    if other and precision != FLOAT:  # nothing at all changes no precision either
        first, last = (next(u for u in places.cut.units if u.signature == part)
                       for part in (signature.split(BOTH)[0], signature.split(BOTH)[-1]))
        mean -= change_ms_per_value[precision] * (prod(first.source_shape) + prod(last.target_shape))
    own = ALONE_OWN * (base + other) + ALONE_LEAST * whole_ms
    if precision == FLOAT:
        return _Belief(mean, own, {"forms": ALONE_ERROR * abs(other - base)})
    return _Belief(mean, own, {precision: ALONE_ERROR * other, f"{precision} {signature}": ALONE_ERROR * other})


def effects_of(places: Places, plan: Plan) -> list[str]:
    """Names of what a plan changes: `option SIGNATURE FORM/PRECISION`, `to PRECISION TENSOR`, `back ...`; with repeats.

    A tensor that goes from one lower precision to another comes back to floats between the two.
    """
    found = [option_effect(places, place, option.key) for place, option in plan.items()
             if option != AS_IT_IS and option.form != SPANNED]  # the next unit's says what both take
    for edge in places.edges:
        made = precision_of(plan, edge.maker)
        read = {precision_of(plan, reader) for reader in edge.readers}
        if made != FLOAT and read - {made}:
            found.append(change_effect("back", made, edge.tensor))
        found += [change_effect("to", precision, edge.tensor) for precision in sorted(read - {FLOAT, made})]
    return found


def option_effect(places: Places, place: str, key: str) -> str:
    """The effect of an option of a place: one for all units that cost the same."""
    signature = f"joint-{place}" if is_joint(place) else signature_in(places.cut, place, key)
    return f"option {signature} {key}"


def signature_in(cut: Cut, unit: str, key: str) -> str:
    """What decides what an option takes more than what it stands for: signatures of one unit, or of both of a span."""
    own = cut[unit].signature
    return f"{cut[cut.spans[unit]].signature}{BOTH}{own}" if spans(Option.read(key)) else own


def change_effect(direction: str, precision: str, tensor: str) -> str:
    """The effect of a change: `to` a precision from floats, or `back` from it."""
    return f"{direction} {precision} {tensor}"


def _single(places: Places) -> Iterable[Plan]:
    """Plans in which every effect occurs at least once."""
    for place, options in places.options.items():
        for option in options:
            yield {place: option}
    for precision in {o.precision for options in places.options.values() for o in options} - {FLOAT}:
        yield places.uniform(precision)
        for tensor_maker in dict.fromkeys(edge.maker for edge in places.edges):
            others = places.uniform(precision)
            others.pop(tensor_maker, None)
            yield others


def random_plans(places: Places, count: int, seed: int = 0) -> list[Plan]:
    """Different plans to learn from: any share of places lowered, alone and in runs, any form."""
    rng = np.random.default_rng(seed)
    found: list[Plan] = []
    seen: set[tuple[tuple[str, str], ...]] = set()
    names = [place for place in places.options if not is_joint(place)]
    for _ in range(50 * count):
        if len(found) == count:
            break
        plan = _drawn(places, names, rng)
        key = tuple((place, option.key) for place, option in sorted(plan.items()))
        if plan and key not in seen:
            seen.add(key)
            found.append(plan)
    return found


def _drawn(places: Places, names: Sequence[str], rng: np.random.Generator) -> Plan:
    lower = sorted({o.precision for options in places.options.values() for o in options} - {FLOAT})
    share, runs = rng.random(), rng.random() < 0.5
    plan: dict[str, Option] = {}
    precision = _precision(lower, share, rng)
    for name in names:
        if not runs or rng.random() < ENDS:
            precision = _precision(lower, share, rng)
        options = places.options[name]
        forms = sorted({o.form for o in options} - {SPANNED})
        form = TEACHER if rng.random() < 0.5 else forms[int(rng.integers(len(forms)))]
        suited = [o for o in options if o.form == form and o.precision == precision] \
            or [o for o in options if o.form == form] or [AS_IT_IS]
        option = suited[int(rng.integers(len(suited)))]
        if spans(option) and spans(plan.get(places.cut.spans[name], AS_IT_IS)):
            continue  # the unit before stands for another one itself
        if option != AS_IT_IS:
            plan |= with_span(places.cut, name, option)
    return with_joints(places, plan)


def _precision(lower: Sequence[str], share: float, rng: np.random.Generator) -> str:
    """A lower one by chance, in a share of all cases."""
    if rng.random() >= share or not lower:
        return FLOAT
    return lower[int(rng.integers(len(lower)))] if len(lower) > 1 else lower[0]


def with_joints(places: Places, plan: Plan) -> Plan:
    """A plan of units with every joint in the precision of all that feeds it, where that is one."""
    found = dict(plan)
    for place, options in places.options.items():
        if not is_joint(place):
            continue
        fed = {precision_of(found, edge.maker) for edge in places.edges if place in edge.readers}
        wanted = next(iter(fed)) if len(fed) == 1 else FLOAT
        option = next((o for o in options if o.precision == wanted), AS_IT_IS)
        if option != AS_IT_IS:
            found[place] = option
    return found
