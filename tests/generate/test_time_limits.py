"""`max_seconds` on every path: an answer in time, within its budgets, and not further from the best than it says.

The instances take seconds to hours to be solved to the end. Whether an answer is there in time is asked of the
processor time of this process, so that other processes on the machine do not count; `benchmarks/dpng_hard.py` measures
it in time.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from hwnas.generate import front, solve, time_limit
from tests.timing import least, processor_s

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
from dpng_paths import PATHS, proportional

LATE = 0.2
@pytest.mark.parametrize("seconds", [0.0, 0.3])
@pytest.mark.parametrize("path", PATHS)
def test_an_answer_is_there_in_time(path: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_limit, "time", SimpleNamespace(monotonic=time.process_time))
    found: list[object] = []
    bound = seconds + LATE + 0.1  # for making the instance
    assert least(bound, lambda: processor_s(lambda: found.append(PATHS[path](seconds)))) <= bound
    for answer in found:
        assert getattr(answer, "status", "BOUNDED") == "BOUNDED"
        assert getattr(answer, "gap", 1.0) > 0


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.2])
def test_what_is_cut_short_is_within_its_gap(seconds: float) -> None:
    """Against the whole answer, on instances that do have one."""
    for layers, width, most in ((21, 9, 10**4), (30, 9, 10**5)):
        utilities, costs = proportional(layers, width, most)
        budget = sum(int(row.max()) for row in costs) // 2
        exact, short = solve(utilities, costs, budget), solve(utilities, costs, budget, max_seconds=seconds)
        assert exact.status == "OPTIMAL"
        assert short.costs["cost"] <= budget
        assert short.utility <= exact.utility <= short.utility + short.gap + 1e-12
        points = front(utilities, costs, max_seconds=seconds)
        assert points.query(budget).utility <= exact.utility <= points.query(budget).utility + points.gap + 1e-12
