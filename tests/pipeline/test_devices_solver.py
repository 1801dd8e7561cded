"""One architecture for several devices, against every architecture of a small space."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.latency.estimate import estimate
from hwnas.pipeline.config.budget import Budget, parse, parse_all
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.devices_solver import DevicesSolver, for_devices
from hwnas.search.distribution import Distribution
from hwnas.space import FULL, SpaceConfig, build
from hwnas.target import load

SPACE = build(SpaceConfig("mobile", 16, classes=10, depth=1, width_mult=0.5))
EVERY = list(product(*(range(n) for n in SPACE.sizes)))
DEVICES = ("raspberry-pi-4", "x86-avx2", "jetson-nano")


def solver(device: str, effects: list[np.ndarray], confidence: float = 0.5) -> ArchitectureSolver:
    alive, none = [np.ones(len(row), bool) for row in effects], [np.zeros(len(row)) for row in effects]
    law = Distribution([np.full(len(row), 1 / len(row)) for row in effects], alive, effects, none)
    return ArchitectureSolver(SPACE, law, estimate(SPACE, load(device)), 50.0, confidence)


def joint(seed: int, budgets: dict[str, dict[str, Budget]], give_up: float = 0.0) -> DevicesSolver:
    rng = np.random.default_rng(seed)
    effects = [rng.normal(size=n) for n in SPACE.sizes]
    solvers = {device: {FULL: solver(device, effects)} for device in budgets}
    return for_devices(solvers, next(iter(budgets)), budgets, give_up=give_up)[FULL]


def latency_of(made: DevicesSolver, device: str, choice: tuple[int, ...]) -> float:
    """In ns, as a sum over ops rounded up, which is how budgets are held."""
    fixed, rows = made.others.get(device, made).costs(("latency",))
    return fixed["latency"] + sum(int(row[k]) for row, k in zip(rows["latency"], choice, strict=True))


def worth(made: DevicesSolver, choice: tuple[int, ...]) -> float:
    return sum(float(row[k]) for row, k in zip(made.utilities(), choice, strict=True))


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(45, 120), min_size=3, max_size=3))
def test_the_best_within_the_budgets_of_all_is_exact(seed: int, percents: list[int]) -> None:
    budgets = {device: {"latency": parse("latency", f"{p}%")} for device, p in zip(DEVICES, percents, strict=True)}
    made = joint(seed, budgets)
    bounds = {device: made.others.get(device, made).limits(budgets[device])["latency"].value for device in DEVICES}
    fitting = [c for c in EVERY if all(latency_of(made, device, c) <= bounds[device] for device in DEVICES)]
    asked = made.absolute(budgets[DEVICES[0]])
    if not fitting:
        with pytest.raises(BudgetInfeasible):
            made.answers(asked)
        return
    [answer] = made.answers(asked)
    assert worth(made, answer.architecture.choice) == pytest.approx(max(worth(made, c) for c in fitting))
    assert made.within(answer.architecture.choice, asked)
    assert all(made.within(c, asked) == (c in fitting) for c in EVERY[::7])


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.3, 1.0, 3.0]))
def test_score_is_given_up_for_the_largest_least_room(seed: int, give_up: float) -> None:
    budgets = {device: parse_all({"latency": "90%"}) for device in DEVICES}
    plain, made = joint(seed, budgets), joint(seed, budgets, give_up)
    bounds = {device: made.others.get(device, made).limits(budgets[device])["latency"].value for device in DEVICES}

    def room(choice: tuple[int, ...]) -> float:
        return min(1 - latency_of(made, device, choice) / bounds[device] for device in DEVICES)

    best = worth(plain, plain.answers(plain.absolute(budgets[DEVICES[0]]))[0].architecture.choice)
    wanted = max(room(c) for c in EVERY if worth(made, c) >= best - give_up - 1e-9)
    [answer] = made.answers(made.absolute(budgets[DEVICES[0]]))
    assert room(answer.architecture.choice) == pytest.approx(wanted, abs=1e-6)
    assert worth(made, answer.architecture.choice) >= best - give_up - 1e-9
    told = made.rooms(answer.architecture.choice)
    assert min(told.values()) == pytest.approx(wanted, abs=1e-3)
    assert list(told) == list(DEVICES)


def test_a_budget_that_one_device_cannot_meet_is_named_with_what_it_takes() -> None:
    made = joint(0, {"raspberry-pi-4": parse_all({"latency": "90%"}), "x86-avx2": parse_all({"latency": "1us"})})
    with pytest.raises(BudgetInfeasible, match=r"latency on x86-avx2 0\.001 ms asked, at least 0\.\d+ ms") as err:
        made.answers(made.absolute(parse_all({"latency": "90%"})))
    assert "latency on raspberry-pi-4" in str(err.value)
    assert set(err.value.least) == {"latency on raspberry-pi-4", "latency on x86-avx2"}


def test_what_is_the_same_on_every_device_is_held_to_the_smallest_budget() -> None:
    budgets = {"raspberry-pi-4": parse_all({"flops": "90%", "latency": "2s"}),
               "x86-avx2": parse_all({"flops": "60%", "memory": "80%"}), "jetson-nano": parse_all({"memory": "90%"})}
    made = joint(0, budgets)
    bounds = made.absolute(budgets["raspberry-pi-4"])
    assert bounds["flops"] == made.limits(budgets["x86-avx2"])["flops"].value
    assert set(bounds) == {"flops", "latency", "memory", "memory on jetson-nano"}  # fp16 there
    [answer] = made.answers(bounds)
    assert answer.architecture.flops <= bounds["flops"]
    assert made.others["jetson-nano"].cost("memory", answer.architecture) <= bounds["memory on jetson-nano"]


def test_where_a_result_was_over_its_budget_that_device_alone_is_tightened() -> None:
    budgets = {device: parse_all({"latency": "90%"}) for device in DEVICES}
    effects = [np.zeros(n) for n in SPACE.sizes]
    solvers = {device: {FULL: solver(device, effects)} for device in DEVICES}
    plain = for_devices(solvers, DEVICES[0], budgets)[FULL].absolute(budgets[DEVICES[0]])
    found = for_devices(solvers, DEVICES[0], budgets, {DEVICES[0]: 0.9, DEVICES[1]: 1.0, DEVICES[2]: 0.8})[FULL]
    bounds = found.absolute(budgets[DEVICES[0]], 0.9)
    assert {name: bounds[name] / plain[name] for name in plain} == pytest.approx(
        {"latency": 0.9, "latency on x86-avx2": 1.0, "latency on jetson-nano": 0.8})


def test_room_is_of_budgets_of_latency() -> None:
    with pytest.raises(UsageError, match="give --latency as well"):
        joint(0, {device: parse_all({"flops": "90%"}) for device in DEVICES}, give_up=1.0)
