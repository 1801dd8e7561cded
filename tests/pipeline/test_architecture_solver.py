"""Costs that a solver keeps are those it would compute anew."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hwnas.generate import solve
from hwnas.latency import Calibration
from hwnas.latency.estimate import estimate
from hwnas.latency.model import LatencyModel
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.search import create
from hwnas.space import SpaceConfig, build
from hwnas.target import load

SPACE = build(SpaceConfig("mobile", 32, classes=10))
NAMES = ("latency", "flops", "params", "memory")


def solver(confidence: float = 0.9) -> ArchitectureSolver:
    law = create("random", SPACE.sizes, seed=0, evaluations=1).distribution()
    return ArchitectureSolver(SPACE, law, estimate(SPACE, load("jetson")), 50.0, confidence)


def test_within_asks_for_costs_once_and_says_what_the_totals_say(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    computed = LatencyModel.costs_ns

    def counted(self: LatencyModel, *args: Any, **kwargs: Any) -> Any:
        asked.append(args)
        return computed(self, *args, **kwargs)

    monkeypatch.setattr(LatencyModel, "costs_ns", counted)
    made, rng = solver(), np.random.default_rng(0)
    choices = [tuple(int(rng.integers(n)) for n in SPACE.sizes) for _ in range(40)]
    fixed, rows = made.costs(NAMES)
    parts = {n: [[fixed[n], *(r[k] for r, k in zip(rows[n], c, strict=True))] for c in choices] for n in NAMES}
    totals = {n: [(max if n == "memory" else sum)(own) for own in parts[n]] for n in NAMES}
    bounds = {name: float(np.median(values)) for name, values in totals.items()}
    found = [made.within(choice, bounds) for choice in choices]
    assert found == [all(totals[n][i] <= bounds[n] for n in NAMES) for i in range(40)]
    assert 0 < sum(found) < 40
    assert len(asked) == 1


def test_a_solver_that_is_changed_knows_nothing_of_the_old_costs() -> None:
    made = solver()
    made.costs(NAMES)
    surer = replace(made, confidence=0.99)
    assert surer.costs(("latency",))[0]["latency"] == solver(0.99).costs(("latency",))[0]["latency"]
    assert [r.tolist() for r in surer.costs(("latency",))[1]["latency"]] != [
        r.tolist() for r in made.costs(("latency",))[1]["latency"]]


def test_what_is_given_out_cannot_change_what_is_kept() -> None:
    made = solver()
    rows = made.costs(("flops",))[1]["flops"]
    rows.clear()
    with pytest.raises(ValueError, match="read-only"):
        made.costs(("flops",))[1]["flops"][0][0] = 0
    assert len(made.costs(("flops",))[1]["flops"]) == len(SPACE.sizes)


def solve_by_sum(made: ArchitectureSolver, budgets: dict[str, float]) -> tuple[int, ...]:
    fixed, costs = made.costs(("latency",))
    return solve(made.utilities(), costs, budgets, fixed=fixed).choice


def test_confidence_is_kept_exactly() -> None:
    """Mean plus margin within the budget; no worse than what a sum allows, and better where that is too strict."""
    entries = dict(estimate(SPACE, load("jetson")).entries_ms)
    model = LatencyModel("local", "measured", entries, Calibration(log_spread=0.05, log_sd=0.03, freedom=52),
                         errors_ms={signature: 0.4 * entry for signature, entry in entries.items()})
    law = create("random", SPACE.sizes, seed=0, evaluations=1).distribution()
    rng = np.random.default_rng(1)
    law = replace(law, effects=tuple(tuple(rng.normal(size=n).tolist()) for n in SPACE.sizes))
    made = ArchitectureSolver(SPACE, law, model, 50.0, 0.9)
    least = sum(min(row) for row in made.costs(("latency",))[1]["latency"]) + made.costs(("latency",))[0]["latency"]
    better = 0
    for factor in (1.05, 1.2, 1.3, 1.4, 1.5):
        budgets = {"latency": factor * least}
        (found,) = made.answers(budgets)
        by_sum = made.answer(solve_by_sum(made, budgets))
        assert made.latency.upper_ms(found.architecture, 0.9) <= budgets["latency"] / 1e6 + 1e-9
        assert made.within(found.architecture.choice, budgets)
        assert found.predicted_score >= by_sum.predicted_score - 1e-9
        better += found.predicted_score > by_sum.predicted_score + 1e-9
        several = made.answers(budgets, top=4, min_distance=2)
        assert several[0].architecture.choice == found.architecture.choice
        assert len(several) == 4 or factor < 1.5
    assert better
