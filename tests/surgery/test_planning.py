"""Plans within a limit: equal to brute force over all of them, with every change of precision between units."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hwnas.errors import BudgetInfeasible
from hwnas.generate.graph import Factor, solve_graph
from hwnas.surgery import Cut
from hwnas.surgery.plan import AS_IT_IS, FLOAT, SPANNED, Option, Places, is_joint, spans
from hwnas.surgery.planning import Losses, plans_within
from hwnas.surgery.unit_costs import BOTH, UnitCosts, effects_of
from tests.surgery.networks import Drawing, chain
from tests.surgery.test_plan import jointed

EXHAUSTIVE = [pytest.mark.slow, pytest.mark.exhaustive, pytest.mark.timeout(1200)]
FORMS, PRECISIONS = ("teacher", "thin 1/2", "thin 1/4", "identity"), ("float", "int8", "fp16")


def options(forms: int, precisions: int) -> tuple[Option, ...]:
    return tuple(Option(f, p) for f in FORMS[:forms] for p in PRECISIONS[:precisions])


def places_for(kind: str, rng: np.random.Generator) -> Places:
    """Up to six units of up to four forms and three precisions; joints as they are, in all precisions."""
    if kind == "chain":
        cut = Cut.of(chain(int(rng.integers(1, 14))))
    elif kind == "joint":
        cut = Cut.of(jointed(tap=bool(rng.random() < 0.5)))
    else:
        cut = Cut.of(branched())
    forms = int(rng.integers(1, 5)) if kind == "chain" and len(cut.units) <= 4 else int(rng.integers(1, 3))
    precisions = int(rng.integers(1 if forms > 1 else 2, 4))
    base = Places.of(cut, PRECISIONS[:precisions])
    found = {place: options(1 if is_joint(place) else forms, precisions) for place in base.options}
    if kind == "chain" and len(cut.units) <= 4 and rng.random() < 0.8:
        for second, first in cut.spans.items():
            found[first] += tuple(Option(SPANNED, p) for p in PRECISIONS[:precisions])
            found[second] += tuple(Option("span3", p) for p in PRECISIONS[:precisions])
    for place in list(found):
        if rng.random() < 0.15:
            found[place] = (AS_IT_IS,)
    return Places(cut, found)


def branched() -> Any:
    """Two long branches from one tensor, an output in the middle."""
    d = Drawing((1, 3, 8, 8))
    stem = x = y = d.relu(d.conv("image", 8, 3))
    for _ in range(5):
        x = d.relu(d.conv(x, 8, 3))
    y = d.relu(d.conv(y, 8, 3))
    joined = d.node("Concat", x, y, stem, axis=1, channels=24)
    return d.shaped(d.head(d.relu(d.conv(joined, 8, 3))), x)


def drawn_costs(places: Places, rng: np.random.Generator) -> UnitCosts:
    base = UnitCosts.believed(places, 10.0, {}, dict.fromkeys(PRECISIONS, 1e-6))
    ranges = {"option joint": (-4, -1), "option unit": (-2, 0.5), "to": (0, 0.6), "back": (0, 0.6)}
    means = np.array([rng.uniform(*next(r for start, r in ranges.items() if name.startswith(start)))
                      - 2 * (BOTH in name) for name in base.effects])
    return UnitCosts(places, 10.0, base.effects, means, base.variance)


def drawn_losses(places: Places, rng: np.random.Generator) -> Losses:
    keys = [(place, o.key) for place, found in places.options.items() for o in found if o != AS_IT_IS]
    mean = {key: float(rng.exponential(0.1)) for key in keys}
    error = {key: float(rng.exponential(0.02)) for key in keys}
    pairs = {(*keys[i], *keys[j]): float(rng.normal(0, 0.1)) for i, j in rng.integers(0, len(keys), (6, 2))
             if keys and keys[i][0] < keys[j][0]} if keys else {}
    return Losses(mean, error, pairs)


def brute(places: Places, costs: UnitCosts, losses: Losses) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Of every combination of options that is allowed: places of the options (n, places), ns (n,), loss (n,)."""
    names = list(places.options)
    sizes = [len(places.options[name]) for name in names]
    choice = np.stack([a.reshape(-1) for a in np.meshgrid(*map(np.arange, sizes), indexing="ij")], 1)
    precision = {n: np.array([PRECISIONS.index(o.precision) for o in places.options[n]])[choice[:, i]]
                 for i, n in enumerate(names)}
    ns, loss = np.full(len(choice), costs.whole_ms * 1e6), np.zeros(len(choice))
    for i, name in enumerate(names):
        spent = [sum(costs.effect_ms(e) for e in effects_of(places, {name: o}) if e.startswith("option")) * 1e6
                 for o in places.options[name]]
        ns += np.array(spent)[choice[:, i]]
        loss += np.array([0.0 if o == AS_IT_IS else losses.of(name, o)
                                          for o in places.options[name]])[choice[:, i]]
    allowed = np.ones(len(choice), bool)
    nothing = np.zeros(len(choice), int)
    for edge in places.edges:
        made, read = precision.get(edge.maker, nothing), [precision.get(r, nothing) for r in edge.readers]
        for i, lower in enumerate(PRECISIONS[1:], 1):
            inside, outside = np.any([r == i for r in read], axis=0), np.any([r != i for r in read], axis=0)
            ns += costs.effect_ms(f"to {lower} {edge.tensor}") * 1e6 * ((made != i) & inside)
            ns += costs.effect_ms(f"back {lower} {edge.tensor}") * 1e6 * ((made == i) & outside)
        for reader, r in zip(edge.readers, read, strict=True):
            if is_joint(reader):
                allowed &= (r == 0) | (r == made)
    for second, first in places.cut.spans.items():
        one, two = ([(o.form == SPANNED if p == first else spans(o)) * (1 + PRECISIONS.index(o.precision))
                     for o in places.options[p]] for p in (first, second))
        allowed &= np.array(one)[choice[:, names.index(first)]] == np.array(two)[choice[:, names.index(second)]]
    for (a, x, b, y), value in losses.pairs.items():
        both = [choice[:, names.index(p)] == [o.key for o in places.options[p]].index(k) for p, k in ((a, x), (b, y))]
        loss += value * (both[0] & both[1])
    return choice[allowed], ns[allowed], loss[allowed]


@pytest.mark.parametrize("count", [60, pytest.param(200, marks=EXHAUSTIVE)])
def test_equals_brute_force_over_all_plans(count: int) -> None:
    infeasible = changed = joints = spanned = 0
    for seed in range(count):
        rng = np.random.default_rng(seed)
        places = places_for(("chain", "joint", "branched")[seed % 3], rng)
        costs, losses = drawn_costs(places, rng), drawn_losses(places, rng)
        _, ns, loss = brute(places, costs, losses)
        effects = 3 * len(places.options) + 4 * len(places.edges)  # each is rounded by a nanosecond at most
        limit = float(np.quantile(ns, rng.uniform(0, 0.6))) + (-10 * effects - 1 if rng.random() < 0.1 else 0)
        within = ns <= limit
        if not (ns <= limit + effects).any():
            with pytest.raises(BudgetInfeasible):
                plans_within(places, costs, losses, limit / 1e6)
            infeasible += 1
            continue
        if not (ns + effects <= limit).any():
            continue  # rounding decides
        plans = plans_within(places, costs, losses, limit / 1e6, top=3)
        plan = plans[0]
        assert places.allowed(plan), seed
        took = costs.predict([plan])[0][0] * 1e6
        assert took <= limit + 1, seed
        got = sum(losses.of(p, o) for p, o in plan.items())
        got += sum(v for (a, x, b, y), v in losses.pairs.items()
                                   if plan.get(a, AS_IT_IS).key == x and plan.get(b, AS_IT_IS).key == y)
        assert got >= loss[within].min() - 1e-9, seed
        assert got <= loss[ns + effects <= limit].min() + 1e-9, seed
        changed += any(o.precision != FLOAT for o in plan.values())
        joints += any(is_joint(p) for p in plan)
        spanned += any(map(spans, plan.values()))
    assert changed > count / 3
    assert joints >= 1
    assert spanned >= 1


def test_predicted_times_are_those_of_the_costs() -> None:
    """What the program counts is what `UnitCosts.predict` says, of every plan of a network with joints and taps."""
    rng = np.random.default_rng(3)
    places = Places.of(Cut.of(jointed()), ("int8", "fp16"))
    costs = drawn_costs(places, rng)
    losses = Losses({(p, o.key): 1.0 for p, found in places.options.items() for o in found[1:]})
    choice, ns, _ = brute(places, costs, losses)
    plans = [{n: places.options[n][int(i)] for n, i in zip(places.options, row, strict=True)} for row in choice]
    predicted = costs.predict([{p: o for p, o in plan.items() if o != AS_IT_IS} for plan in plans])[0]
    assert predicted * 1e6 == pytest.approx(ns, rel=1e-9)
    # A limit that the fastest plan meets by a hair, and then does not.
    fastest = ns.min() / 1e6
    plan = plans_within(places, costs, losses, fastest + 1e-4, top=1)[0]
    assert costs.predict([plan])[0][0] == pytest.approx(fastest, abs=1e-4)
    with pytest.raises(BudgetInfeasible) as told:
        plans_within(places, costs, losses, fastest - 1e-3)
    assert told.value.least["latency"] / 1e6 == pytest.approx(fastest, abs=1e-4)
    assert "least achievable" in str(told.value)
    assert told.value.exit_code == 3


def test_without_a_need_everything_stays_as_it_is() -> None:
    rng = np.random.default_rng(0)
    places = Places.of(Cut.of(jointed()), ("int8",))
    costs, losses = drawn_costs(places, rng), drawn_losses(places, rng)
    losses = Losses(losses.mean, losses.error)
    assert plans_within(places, costs, losses, 100.0, top=1) == [{}]


def test_plans_differ_in_as_many_places_as_asked() -> None:
    rng = np.random.default_rng(1)
    places = Places.of(Cut.of(chain(14)), ("int8", "fp16"))
    costs, losses = drawn_costs(places, rng), drawn_losses(places, rng)
    plans = plans_within(places, costs, losses, 8.0, top=6, distance=2)
    assert len(plans) == 6
    for a, b in itertools.combinations(plans, 2):
        assert sum(a.get(p, AS_IT_IS) != b.get(p, AS_IT_IS) for p in places.options) >= 2
    found = [sum(losses.of(p, o) for p, o in plan.items()) for plan in plans]
    assert losses.pairs or found == sorted(found)


def test_a_network_of_one_option() -> None:
    places = Places.of(Cut.of(chain(4)), ())
    costs = UnitCosts.believed(places, 5.0, {}, {})
    assert plans_within(places, costs, Losses({}), 6.0) == [{}]
    with pytest.raises(BudgetInfeasible):
        plans_within(places, costs, Losses({}), 4.0)


def test_pessimism_and_prediction() -> None:
    losses = Losses({("u00", "a/int8"): 0.2, ("u01", "b/float"): 0.1}, {("u00", "a/int8"): 0.05},
                    {("u00", "a/int8", "u01", "b/float"): -0.04})
    a, b = Option("a", "int8"), Option("b")
    assert losses.of("u00", a) == pytest.approx(0.25)
    assert losses.of("u00", b) == 0.0
    assert losses.predict({}) == 0.0
    assert losses.predict({"u00": a}) == pytest.approx(0.2)
    assert losses.predict({"u00": a, "u01": b}) == pytest.approx(0.2 + 0.1 - 0.04)


def test_a_tensor_that_many_places_read() -> None:
    """More than one factor holds; the plan is allowed and its time is what the costs say, or less than it."""
    d = Drawing((1, 3, 8, 8))
    stem = d.relu(d.conv("image", 8, 3))
    ends = [d.relu(d.conv(d.relu(d.conv(stem, 8, 3)), 8, 3)) for _ in range(7)]
    model = d.shaped(d.head(d.conv(d.node("Concat", *ends, axis=1, channels=56), 8)))
    places = Places.of(Cut.of(model), ("int8",))
    assert max(len(e.readers) for e in places.edges) >= 7
    rng = np.random.default_rng(2)
    costs, losses = drawn_costs(places, rng), Losses({})
    plan = plans_within(places, costs, losses, float(costs.predict([places.uniform("int8")])[0][0]) + 0.5, top=1)[0]
    assert places.allowed(plan)


# ------------------------------------------------------------------------- LANA, arXiv 2107.10624: one option a layer

COSTS = [[4, 2, 1], [5, 3, 0], [6, 4, 1]]
LOSSES = [[0, 0.10, 0.40], [0, 0.05, 0.30], [0, 0.20, 0.25]]


@pytest.mark.parametrize("budget, wanted", [
    (15, [((0, 0, 0), 0.0), ((1, 1, 0), 0.15), ((0, 1, 1), 0.25), ((1, 0, 1), 0.30)]),
    (9, [((0, 1, 2), 0.30), ((1, 0, 2), 0.35), ((1, 1, 1), 0.35), ((1, 2, 0), 0.40)]),
    (8, [((0, 1, 2), 0.30), ((1, 0, 2), 0.35), ((1, 2, 0), 0.40), ((0, 2, 1), 0.50)]),
    (6, [((1, 1, 2), 0.40), ((0, 2, 2), 0.55), ((1, 2, 1), 0.60)]),
])
def test_lists_of_diverse_solutions(budget: int, wanted: list[tuple[tuple[int, ...], float]]) -> None:
    """Any two agree in one layer at most; ties go to the lower cost. The list ends where none is left."""
    factors = [Factor((f"l{i}",), [-a for a in LOSSES[i]], {"latency": COSTS[i]}) for i in range(3)]
    found = solve_graph({f"l{i}": 3 for i in range(3)}, factors, {"latency": budget}, top=4, min_distance=2)
    every = [found, *found.others]
    assert [(s.choice, round(-s.utility, 9)) for s in every] == [(c, pytest.approx(loss)) for c, loss in wanted]
