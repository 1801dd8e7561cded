"""Which option every place gets: an exact program over measured times and scores, then the truth about the best.

Utility is the loss that an option adds alone, and one standard error: an optimiser otherwise picks what was judged too
kindly. Losses of several replacements add up roughly, so the program gives many plans that differ, the best of them are
assembled, judged and timed, and what that says beyond the sum goes into the next round.

The formulation is LANA's (arXiv 2107.10624): one option a layer, replace-one losses, several diverse solutions,
re-ranked by truth. Ours: precisions and changes between them as options and factors of one exact program, standard
errors, and the residual that rounds of truth teach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwnas.generate.graph import Factor, solve_graph
from hwnas.surgery.plan import AS_IT_IS, FLOAT, Edge, Option, Places, Plan, fit_as_span, is_joint, spans
from hwnas.surgery.unit_costs import UnitCosts, change_effect, option_effect

Floats = NDArray[np.float64]

DIVERSE, DISTANCE = 32, 2
TOGETHER = 5  # places that meet at a tensor, at most, in one factor
NS = 1e6  # of a millisecond


@dataclass(frozen=True)
class Losses:
    """What options add to the loss.

    Args:
        mean, error: (place, key of an option) -> mean over images and standard error; an option that is missing adds
            nothing.
        pairs: (place, key, place, key) -> what two of them add beyond their sum.
    """

    mean: Mapping[tuple[str, str], float]
    error: Mapping[tuple[str, str], float] = field(default_factory=dict)
    pairs: Mapping[tuple[str, str, str, str], float] = field(default_factory=dict)

    def of(self, place: str, option: Option) -> float:
        """One option alone, pessimistically."""
        key = place, option.key
        return self.mean.get(key, 0.0) + self.error.get(key, 0.0)

    def predict(self, plan: Plan) -> float:
        """The expected loss of a plan."""
        known = {place: option.key for place, option in plan.items()}
        alone = sum(self.mean.get((place, key), 0.0) for place, key in known.items())
        both = sum(value for (a, x, b, y), value in self.pairs.items() if known.get(a) == x and known.get(b) == y)
        return alone + both


def plans_within(places: Places, costs: UnitCosts, losses: Losses, limit_ms: float, *, top: int = DIVERSE,
                 distance: int = DISTANCE) -> list[dict[str, Option]]:
    """The plans of least loss that are predicted to take at most so long, different from each other.

    Raises:
        BudgetInfeasible: no plan is that fast; says what the fastest takes.
    """
    names = {place: options for place, options in places.options.items() if len(options) > 1}
    if not names:
        names = {next(iter(places.options), "none"): (AS_IT_IS,)}
    factors, fixed = _factors(places, costs, losses, names)
    solution = solve_graph({place: len(options) for place, options in names.items()}, factors,
                           {"latency": float(np.floor(limit_ms * NS))}, fixed={"latency": fixed},
                           top=top, min_distance=min(distance, len(names)))
    choices = [solution.choice, *(other.choice for other in solution.others)]
    return [{place: options[i] for (place, options), i in zip(names.items(), choice, strict=True)
             if options[i] != AS_IT_IS} for choice in choices]


def _factors(places: Places, costs: UnitCosts, losses: Losses, names: Mapping[str, tuple[Option, ...]]
             ) -> tuple[list[Factor], float]:
    """One factor a place, one a tensor between them, and what every plan takes, ns."""
    factors, fixed = [], costs.whole_ms * NS
    for place, options in names.items():
        utility = np.array([-losses.of(place, option) for option in options])
        spent = np.array([costs.effect_ms(option_effect(places, place, o.key)) * NS if o != AS_IT_IS else 0.0
                          for o in options])
        factors.append(Factor((place,), utility, {"latency": np.ceil(spent - spent.min())}))
        fixed += float(np.floor(spent.min()))
    for edge in places.edges:
        factors += _changes(costs, edge, names)
    factors += [_one_span(first, second, names) for second, first in places.cut.spans.items()
                if any(spans(option) for option in names.get(second, ()))]
    for (a, x, b, y), value in losses.pairs.items():
        if a in names and b in names:
            utility = np.zeros((len(names[a]), len(names[b])))
            for i, first in enumerate(names[a]):
                for j, second in enumerate(names[b]):
                    if (first.key, second.key) == (x, y):
                        utility[i, j] = -value
            factors.append(Factor((a, b), utility))
    return factors, fixed


def _one_span(first: str, second: str, names: Mapping[str, tuple[Option, ...]]) -> Factor:
    """Two neighbours are one span, or neither is of one; a first that has no choice stays as it is."""
    firsts = names.get(first, (AS_IT_IS,))
    utility = np.array([[0.0 if fit_as_span(a, b) else -np.inf for b in names[second]] for a in firsts])
    return Factor((first, second), utility) if first in names else Factor((second,), utility[0])


def _changes(costs: UnitCosts, edge: Edge, names: Mapping[str, tuple[Option, ...]]) -> list[Factor]:
    """What changes of precision cost at a tensor, once a precision whoever reads it, and which joints are not fed.

    Of a tensor that very many places read the first few decide about the costs: exact work grows with their product.
    """
    readers = [reader for reader in edge.readers if reader in names]
    places = ([edge.maker] if edge.maker in names else []) + readers
    if not places:
        return []
    met = places[:TOGETHER]
    spent = np.zeros([len(names[place]) for place in met])
    for precision in sorted({o.precision for place in met for o in names[place]} - {FLOAT}):
        own = {place: _along(i, len(met), [o.precision == precision for o in names[place]])
               for i, place in enumerate(met)}
        made = own.get(edge.maker, np.bool_(False))
        read = [own[place] for place in met if place != edge.maker]
        inside = np.any(np.broadcast_arrays(*read, np.bool_(False)), axis=0)
        outside = np.any(np.broadcast_arrays(*(~r for r in read), np.bool_(len(readers) < len(edge.readers))), axis=0)
        to, back = (float(np.ceil(max(0.0, costs.effect_ms(change_effect(word, precision, edge.tensor))) * NS))
                    for word in ("to", "back"))
        spent = spent + to * (~made & inside) + back * (made & outside)
    found = [Factor(tuple(met), costs={"latency": spent})]
    return found + [_fed(edge.maker, reader, names) for reader in readers if is_joint(reader)]


def _along(axis: int, axes: int, values: Sequence[bool]) -> NDArray[np.bool_]:
    return np.array(values).reshape([-1 if a == axis else 1 for a in range(axes)])


def _fed(maker: str, joint: str, names: Mapping[str, tuple[Option, ...]]) -> Factor:
    """A joint of a lower precision wants all that it reads in it."""
    made, read = names.get(maker, (AS_IT_IS,)), names[joint]
    utility = np.array([[0.0 if b.precision in (FLOAT, a.precision) else -np.inf for b in read] for a in made])
    return Factor((maker, joint), utility) if maker in names else Factor((joint,), utility[0])
