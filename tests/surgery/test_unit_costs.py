"""What a plan takes: in a world whose times are sums of effects, a few whole plans are enough to predict the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from hwnas.surgery import Cut
from hwnas.surgery.plan import AS_IT_IS, Option, Places, Plan, is_joint, precision_of
from hwnas.surgery.unit_costs import (
    TIMING_ERROR,
    UnitCosts,
    effects_of,
    option_effect,
    random_plans,
)
from tests.surgery.networks import chain
from tests.surgery.test_plan import jointed

WHOLE = 10.0
PER_VALUE = {"int8": 2e-5, "fp16": 1e-5}  # ms


def places() -> Places:
    """Of a network with a joint, an output in the middle, and one more form of every unit that keeps its shape."""
    cut = Cut.of(jointed())
    base = Places.of(cut, ("int8",))
    more = {u.name: (*base.options[u.name], Option("thin"), Option("thin", "int8")) for u in cut.units if u.keeps_shape}
    return Places(cut, {**base.options, **more})


class World:
    """True effects, drawn about what units alone say as far off as real ones are; times with the error of timing."""

    def __init__(self, found: Places, seed: int) -> None:
        self.places, self.rng = found, np.random.default_rng(seed)
        share = WHOLE / len(found.cut.units)
        self.alone = {(u.signature, o.key): share * self.rng.uniform(0.3, 1.2)
                      for u in found.cut.units for o in found.options[u.name]}
        self.belief = UnitCosts.believed(found, WHOLE, self.alone, PER_VALUE)
        drawn = self.rng.multivariate_normal(self.belief.mean_ms, self.belief.variance)  # errors are shared
        self.effects = dict(zip(self.belief.effects, drawn, strict=True))

    def true_ms(self, plans: Sequence[Plan]) -> NDArray[np.float64]:
        return np.array([WHOLE + sum(self.effects[e] for e in effects_of(self.places, p)) for p in plans])

    def timed_ms(self, plans: Sequence[Plan]) -> NDArray[np.float64]:
        return self.true_ms(plans) * (1 + self.rng.normal(0, TIMING_ERROR, len(plans)))


@pytest.mark.parametrize("seed", range(4))
def test_plans_that_were_not_timed_are_predicted(seed: int) -> None:
    world = World(places(), seed)
    plans = random_plans(world.places, 60, seed)
    learned, others = plans[:35], plans[35:]
    after = world.belief.after(learned, list(world.timed_ms(learned)))
    truth = world.true_ms(others)
    errors = [np.abs(c.predict(others)[0] / truth - 1).mean() for c in (world.belief, after)]
    assert errors[1] < 0.02
    assert errors[1] < errors[0] / 2


def test_the_variance_is_what_errors_are() -> None:
    """Over many worlds squared errors over predicted variances have a mean of 1; about one in 20 is beyond two."""
    ratios, before = [], []
    for seed in range(40):
        world = World(places(), seed)
        plans = random_plans(world.places, 30, seed)
        learned, others = plans[:15], plans[15:]
        for costs, kept in ((world.belief, before), (
                world.belief.after(learned, list(world.timed_ms(learned))), ratios)):
            mean, spread = costs.predict(others)
            kept += list((mean - world.true_ms(others)) / spread)
    for found in (np.array(before), np.array(ratios)):
        assert 0.7 < np.square(found).mean() < 1.4
        assert 0.01 < (np.abs(found) > 2).mean() < 0.1


def test_more_plans_leave_less_doubt_and_their_order_does_not_matter() -> None:
    world = World(places(), 0)
    plans = random_plans(world.places, 20, 0)
    times = list(world.timed_ms(plans))
    spreads = [world.belief.after(plans[:n], times[:n]).predict(plans)[1].mean() for n in (0, 5, 20)]
    assert spreads[0] > spreads[1] > spreads[2]
    at_once = world.belief.after(plans, times)
    in_turn = world.belief.after(plans[12:], times[12:]).after(plans[:12], times[:12])
    assert np.allclose(at_once.mean_ms, in_turn.mean_ms)
    assert np.allclose(at_once.variance, in_turn.variance, atol=1e-9)
    assert np.allclose(at_once.variance, at_once.variance.T)
    assert np.linalg.eigvalsh(at_once.variance).min() > -1e-12


def test_belief_before_any_plan() -> None:
    found = Places.of(Cut.of(chain(10)), ("int8",))
    unit = found.cut.units[1]
    alone = {(u.signature, o.key): 2.0 if o == AS_IT_IS else 1.0
             for u in found.cut.units for o in found.options[u.name]}
    belief = UnitCosts.believed(found, WHOLE, alone, PER_VALUE)
    size = float(np.prod(unit.source_shape) + np.prod(unit.target_shape))
    # What a unit alone takes has both changes in it.
    assert belief.effect_ms(option_effect(found, unit.name, "teacher/int8")) == pytest.approx(-1 - 2e-5 * size)
    assert belief.effect_ms(f"to int8 {unit.source}") == pytest.approx(2e-5 * np.prod(unit.source_shape))
    assert belief.effect_ms("to nothing") == 0.0
    assert belief.predict([{}])[0][0] == WHOLE
    assert belief.predict([{}])[1][0] == 0.0
    together = belief.predict([{unit.name: Option(precision="int8")}])[0][0]
    assert together == pytest.approx(WHOLE - 1)
    assert belief.after([], []) is belief


def test_units_that_were_not_timed_alone_are_learned_from_plans() -> None:
    """As joints are; and forms that leave a unit out."""
    found = places()
    belief = UnitCosts.believed(found, WHOLE, {}, PER_VALUE)
    assert belief.effect_ms(option_effect(found, "u01", "thin/float")) == 0.0
    plan = {"u01": Option("thin")}
    after = belief.after([plan], [WHOLE - 0.02])
    assert WHOLE - 0.02 < after.predict([plan])[0][0] < WHOLE


def test_every_effect_of_every_plan_is_known() -> None:
    for found in (places(), *(Places.of(Cut.of(m), ("fp16", "int8")) for m in (chain(12), jointed()))):
        belief = UnitCosts.believed(found, WHOLE, {}, PER_VALUE)
        plans = found.every_choice() if len(found.options) < 7 else random_plans(found, 200, 1)
        assert {e for plan in plans if found.allowed(plan) for e in effects_of(found, plan)} <= set(belief.effects)
        assert len(set(belief.effects)) == len(belief.effects)


def test_random_plans_are_different_allowed_and_repeatable() -> None:
    found = places()
    plans = random_plans(found, 40, seed=3)
    assert len(plans) == 40
    assert len({tuple(sorted((p, o.key) for p, o in plan.items())) for plan in plans}) == 40
    assert all(found.allowed(plan) for plan in plans)
    assert all(o in found.options[p] and o != AS_IT_IS for plan in plans for p, o in plan.items())
    assert random_plans(found, 40, seed=3) == plans
    assert random_plans(found, 40, seed=4) != plans
    lowered = [np.mean([precision_of(plan, u.name) != "float" for u in found.cut.units]) for plan in plans]
    assert min(lowered) < 0.3
    assert max(lowered) > 0.7
    assert any(is_joint(p) for plan in plans for p in plan)
    assert {o.form for plan in plans for o in plan.values()} == {"teacher", "thin"}


def test_few_plans_where_there_are_few() -> None:
    found = Places.of(Cut.of(chain(1)), ("int8",))
    plans = random_plans(found, 40)
    assert 1 <= len(plans) <= 2 ** len(found.options) - 1
    assert random_plans(Places.of(Cut.of(chain(1)), ()), 40) == []
