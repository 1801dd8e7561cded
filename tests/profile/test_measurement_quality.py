import json
from typing import Any

import numpy as np
import pytest

from hwnas.profile.measurement_quality import Conditions, conditions_of
from hwnas.profile.sweeps import times_of
from hwnas.runtime import Sweep, SweepPlan

PLAN = SweepPlan(("large", "small"))


def sweeps(
    *, n: int = 24, speed: Any = 1.0, kernel: Any = None, memory: Any = 1.0, waiting: float = 1.3,
    state: dict[str, Any] | None = None, first: float = 1.8,
) -> list[Sweep]:
    """Factors are numbers or functions of the sweep's number; the kernel follows the speed unless it is given."""
    made = []
    for i in range(n):
        f, q = (v(i) if callable(v) else v for v in (speed, memory))
        k = f if kernel is None else kernel
        times = {"large": [5 * f * q] * 2, "small": [f] * 2, "a": [2 * f] * 2, "b": [3 * f] * 2}
        seconds = {name: 5 * t[0] * waiting / 1e3 for name, t in times.items()}
        made.append(Sweep(i, times, [(5 * f * q, f)] * 4, first, [0.35 * k] * 4, seconds, state or {},
                          dict.fromkeys(times, 0.35 * k)))
    return made


def found(made: list[Sweep], processor_clock: bool = True) -> Conditions:
    return conditions_of(made, PLAN, times_of(made), processor_clock=processor_clock)


def test_a_quiet_machine_has_no_warning() -> None:
    quiet = found(sweeps(state={"others": 0.02, "stolen": 0.0, "load": 1.0, "celsius": 50.0}))
    assert not quiet.noisy
    assert (quiet.others, quiet.celsius) == (0.02, 50.0)
    assert json.loads(json.dumps(quiet.to_json()))["warnings"] == []


def test_a_machine_that_tells_nothing_is_not_called_noisy() -> None:
    assert not found(sweeps()).noisy
    assert found(sweeps()).others is None


@pytest.mark.parametrize("made, words", [
    (sweeps(state={"others": 1.0}), "other work kept 1.0 cores busy"),
    (sweeps(state={"stolen": 0.7}), "hypervisor withheld 0.7"),
    (sweeps(waiting=2.8), "had the core for 52 % of the time"),
    (sweeps(speed=lambda i: 1.0 + 0.13 * (i % 2)), "processor's speed varied by"),
    (sweeps(speed=lambda i: 1.0 + 0.4 * (i % 3 > 0)), "in 67 % of the visits a neighbour held the core's units"),
    (sweeps(speed=lambda i: 1 + i / 180), "slowed down by"),
    (sweeps(state={"throttled": True}), "held its processor back"),
    (sweeps(speed=lambda i: 1.0 + 0.3 * (i % 2), kernel=1.0), "memory's speed varied"),
    (sweeps(memory=lambda i: 1.0 + 0.15 * (i % 2)), "memory's speed varied"),
    (sweeps(first=8.0), "first runs took 8.0 times"),
    (sweeps(memory=lambda i: 1.5 if i % 3 == 0 else 1.0), "33 % of the sweeps were left out"),
])
def test_everything_is_told(made: list[Sweep], words: str) -> None:
    assert any(words in warning for warning in found(made).warnings)


def test_the_clock_and_the_memory_are_told_apart() -> None:
    clock = found(sweeps(speed=lambda i: 1.0 + 0.13 * (i % 2)))
    memory = found(sweeps(speed=lambda i: 1.0 + 0.3 * (i % 2), kernel=1.0))
    assert clock.clock_spread > 0.1 > 0.01 > clock.memory_spread
    assert memory.memory_spread > 0.2 > 0.01 > memory.clock_spread


def test_waiting_shows_on_processor_time_only() -> None:
    made = sweeps(waiting=2.8)
    assert found(made, processor_clock=False).waiting is None
    assert found(made).waiting == pytest.approx(1 - 1.35 / 2.8)


def test_few_sweeps_have_no_trend() -> None:
    assert found(sweeps(n=2, speed=lambda i: 1.0 + i)).clock_trend == 0
    assert np.isfinite(found(sweeps(n=1)).clock_spread)
