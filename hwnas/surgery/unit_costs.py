"""What a plan takes on the device: measured units, corrected by measured whole networks.

Units timed alone give sums that are 9 to 17 % too high, each by its own share: a runtime reorders maps at the two ends
of a model, and fuses over boundaries. So times alone are where the belief starts, and a few dozen random plans, timed
whole in the same sweeps, correct it: a linear model with a Gaussian belief about every effect, updated exactly.

    t(plan) = T0 + sum over places of d[signature, option] + sum over tensors of q[tensor] or e[tensor]

symbol  meaning                                                                          shape
T0      the network as it is, ms
d       what an option takes more than the unit as it is, ms; one for all equal units
q, e    what it takes to leave floats at a tensor, and to come back, ms
m, v    mean and variance of the belief about the effects (d, q, e)                      (p,), (p, p)
F       how often each effect is in each plan that was timed                             (n, p)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from hwnas.surgery.plan import AS_IT_IS, FLOAT, TEACHER, Places, Plan, is_joint, precision_of

Floats = NDArray[np.float64]

ALONE_ERROR = 0.15  # standard deviation of a unit's time alone, relative, as what it takes inside
ALONE_LEAST = 0.002  # ... of the whole network's time, at least
CHANGE_ERROR = 0.7  # of what a change takes
ENDS = 0.3  # chance that a run of lowered places ends at the next
TIMING_ERROR = 0.005  # of a whole network's median


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
                 change_ms_per_value: float) -> UnitCosts:
        """Before any whole plan was timed.

        Args:
            alone_ms: (signature, key of an option) -> time of the unit alone, floats in and out.
            change_ms_per_value: what it takes to turn one value of a map into another precision.
        """
        names, means, deviations = [], [], []
        shapes = places.cut.flow.shapes
        for name in dict.fromkeys(e for plan in _single(places) for e in effects_of(places, plan)):
            kind, _, rest = name.partition(" ")
            if kind == "option":
                signature, _, key = rest.rpartition(" ")
                base, other = alone_ms.get((signature, AS_IT_IS.key)), alone_ms.get((signature, key))
                known = base is not None and other is not None
                mean = (other - base) if known else 0.0  # type: ignore[operator]
                if known and other and not key.endswith(FLOAT):  # nothing at all changes no precision either
                    ends = (u for u in places.cut.units if u.signature == signature)
                    unit = next(ends)
                    mean -= change_ms_per_value * (prod(unit.source_shape) + prod(unit.target_shape))
                spread = ALONE_ERROR * ((base or 0.0) + (other or 0.0)) + ALONE_LEAST * whole_ms
            else:
                mean = change_ms_per_value * prod(shapes[rest])
                spread = CHANGE_ERROR * mean + ALONE_LEAST / 2 * whole_ms
            names.append(name)
            means.append(mean)
            deviations.append(spread)
        return cls(places, whole_ms, tuple(names), np.array(means), np.diag(np.square(deviations)))

    def after(self, plans: Sequence[Plan], times_ms: Sequence[float]) -> UnitCosts:
        """The belief once some whole plans were timed at the speed of T0."""
        if not plans:
            return self
        f = self._rows(plans)
        residual = np.asarray(times_ms) - self.whole_ms - f @ self.mean_ms
        noise = np.square(TIMING_ERROR * np.asarray(times_ms))
        gain = self.variance @ f.T @ np.linalg.inv(f @ self.variance @ f.T + np.diag(noise))
        kept = np.eye(len(self.mean_ms)) - gain @ f
        variance = kept @ self.variance @ kept.T + gain @ np.diag(noise) @ gain.T  # Joseph's form: stays symmetric
        return UnitCosts(self.places, self.whole_ms, self.effects, self.mean_ms + gain @ residual, variance)

    def predict(self, plans: Sequence[Plan]) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the times of some plans, ms, (n,) each."""
        f = self._rows(plans)
        spread = np.sqrt(np.maximum(np.einsum("ip,pq,iq->i", f, self.variance, f), 0.0))
        return self.whole_ms + f @ self.mean_ms, spread

    def effect_ms(self, name: str) -> float:
        """Mean of the belief about one effect; 0 for none that is known."""
        place = self._places.get(name)
        return 0.0 if place is None else float(self.mean_ms[place])

    @property
    def _places(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.effects)}

    def _rows(self, plans: Sequence[Plan]) -> Floats:
        places, rows = self._places, np.zeros((len(plans), len(self.effects)))
        for row, plan in zip(rows, plans, strict=True):
            for name in effects_of(self.places, plan):
                row[places[name]] += 1
        return rows


def effects_of(places: Places, plan: Plan) -> list[str]:
    """Names of what a plan changes: `option SIGNATURE FORM/PRECISION`, `to TENSOR`, `back TENSOR`; with repeats."""
    found = [option_effect(places, place, option.key) for place, option in plan.items() if option != AS_IT_IS]
    for edge in places.edges:
        made = precision_of(plan, edge.maker)
        read = {precision_of(plan, reader) for reader in edge.readers}
        if made == FLOAT and read - {FLOAT}:
            found.append(f"to {edge.tensor}")
        if made != FLOAT and FLOAT in read:
            found.append(f"back {edge.tensor}")
    return found


def option_effect(places: Places, place: str, key: str) -> str:
    """The effect of an option of a place: one for all units that cost the same."""
    signature = f"joint-{place}" if is_joint(place) else places.cut[place].signature
    return f"option {signature} {key}"


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
    share, runs = rng.random(), rng.random() < 0.5
    plan, lowered = {}, rng.random() < share
    for name in names:
        if not runs or rng.random() < ENDS:
            lowered = rng.random() < share
        options = places.options[name]
        forms = sorted({o.form for o in options})
        form = TEACHER if rng.random() < 0.5 else forms[int(rng.integers(len(forms)))]
        suited = [o for o in options if o.form == form and (o.precision != FLOAT) == lowered] \
            or [o for o in options if o.form == form] or [AS_IT_IS]
        option = suited[int(rng.integers(len(suited)))]
        if option != AS_IT_IS:
            plan[name] = option
    return with_joints(places, plan)


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
