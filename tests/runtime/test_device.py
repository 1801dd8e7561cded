from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.runtime import Sweep, SweepPlan

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
    plan = SweepPlan(("a", "b"), warmup=2, timed=5, sentinel_visits=1, seed=7, max_sweeps=3, max_seconds=1.5)
    assert SweepPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize("change", [
    {"sentinels": ["a"]}, {"sentinels": None}, {"timed": 0}, {"timed": True}, {"warmup": -1}, {"warmup": "3"},
    {"sentinel_visits": 0}, {"max_sweeps": 0}, {"max_seconds": -1}, {"more": 1},
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
