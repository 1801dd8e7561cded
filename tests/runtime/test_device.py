from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.runtime import Sweep, SweepPlan
from hwnas.runtime.device import check_sweep

ms = st.floats(1e-6, 1e4)
times = st.lists(ms, min_size=1, max_size=3)
names = st.text(min_size=1, max_size=20)
sweeps = st.builds(
    Sweep, number=st.integers(0, 10**6), times_ms=st.dictionaries(names, times, max_size=4),
    sentinels_ms=st.lists(st.tuples(ms, ms), min_size=1, max_size=3), first_run_ratio=st.floats(0, 9),
    kernel_ms=times, seconds=st.dictionaries(names, st.floats(0, 99), max_size=4),
    state=st.dictionaries(st.sampled_from(["load", "mhz"]), st.floats(0, 1e4)),
)


@settings(max_examples=40)
@given(sweeps)
def test_a_sweep_survives_a_line_of_json(sweep: Sweep) -> None:
    line = json.dumps(sweep.to_json(), allow_nan=False)
    back = Sweep.from_json(json.loads(line))
    assert back.to_json() == sweep.to_json()
    for name, found in sweep.times_ms.items():
        assert back.times_ms[name] == pytest.approx(found, abs=1e-6)


def test_a_plan_survives_json() -> None:
    plan = SweepPlan(("a", "b"), warmup=2, timed=5, sentinel_visits=1, seed=7, max_sweeps=3, max_seconds=1.5,
                     every={"a": 4})
    assert SweepPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_models_that_take_turns_are_all_visited_as_often_and_spread_over_the_sweeps() -> None:
    names = [f"net {i}" for i in range(50)]
    plan = SweepPlan(("large", "small"), every=dict.fromkeys(names, 4))
    visits = [plan.visited(["large", *names, "small"], number) for number in range(8)]
    assert all(v[0] == "large" and v[-1] == "small" for v in visits)
    assert {sum(name in v for v in visits) for name in names} == {2}
    assert {len(v) for v in visits} <= {14, 15}
    assert plan.visited(["small", *reversed(names), "large"], 3)[::-1] == visits[3], "whatever order they come in"


def test_a_sweep_of_others_than_those_whose_turn_it_is_is_refused() -> None:
    plan = SweepPlan(("a", "a"), timed=1, sentinel_visits=1, every={"n": 2, "m": 2})
    models = dict.fromkeys(("a", "n", "m"), "")
    for number, due in ((0, "m"), (1, "n")):
        told = {name: [1.0] for name in ("a", due)}
        one = Sweep(number, told, [(1.0, 1.0)], 1.0, [1.0], dict.fromkeys(told, 1.0), {}, dict.fromkeys(told, 1.0))
        check_sweep(one, models, plan)
        with pytest.raises(InputError, match="lacks models, or has others than the 2 whose turn it is"):
            check_sweep(replace(one, number=number + 1), models, plan)


@pytest.mark.parametrize("change", [
    {"sentinels": ["a"]}, {"sentinels": None}, {"timed": 0}, {"timed": True}, {"warmup": -1}, {"warmup": "3"},
    {"sentinel_visits": 0}, {"max_sweeps": 0}, {"max_seconds": -1}, {"more": 1},
    {"every": []}, {"every": {"a": 0}}, {"every": {"a": 5}}, {"every": {"a": True}},
])
def test_plans_that_are_none(change) -> None:
    with pytest.raises(InputError, match="not a sweep plan"):
        SweepPlan.from_json({**SweepPlan(("a", "b")).to_json(), **change})


@pytest.mark.parametrize("change", [
    {"times_ms": {"a": [-1.0]}}, {"times_ms": {"a": [math.nan]}}, {"times_ms": {"a": [math.inf]}}, {"times_ms": []},
    {"kernel_ms": [-1.0]}, {"sentinels_ms": [[1.0]]}, {"number": None}, {"seconds": None},
])
def test_sweeps_that_are_none(change) -> None:
    good = Sweep(0, {"a": [1.0]}, [(1.0, 1.0)], 1.0, [1.0], {"a": 1.0}, {}, {"a": 1.0}).to_json()
    Sweep.from_json(good)
    with pytest.raises(InputError, match="not a sweep"):
        Sweep.from_json({**good, **change})
