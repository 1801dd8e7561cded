"""What is proposed to be timed, where measurements have tightened a budget further than any network can go."""

from __future__ import annotations

import pytest

from hwnas.errors import BudgetInfeasible
from hwnas.pipeline import RunFolder, load_context
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.candidates import Configuration
from hwnas.pipeline.selection.fitting import CandidateFitting
from hwnas.space import FULL


def proposed(run: RunFolder, share: float, tighten: float) -> tuple[list[float], float]:
    """Predicted ms of the candidates within a share of the reference, in a run that is tightened; and the least."""
    context = load_context(run)
    solver = ArchitectureSolver.of_run(run)
    context.config.budgets.clear()
    context.config.budgets.update({"latency": f"{100 * share}%"})
    context.run.state.tighten = tighten
    fixed, rows = solver.costs(("latency",))
    least = fixed["latency"] + sum(float(row.min()) for row in rows["latency"])
    found = CandidateFitting(context, {Configuration("fp32", FULL): solver}).within_budgets()
    return [c.answer.costs["latency"] for c in found.candidates], least


@pytest.fixture
def far(detector: RunFolder) -> RunFolder:
    """Of a device that is not at hand: what is proposed is not timed."""
    return RunFolder.open(detector.path)


def test_the_fastest_is_proposed_where_only_the_tightening_asks_for_more(far: RunFolder) -> None:
    found, least = proposed(far, 0.95, 0.01)
    assert found == pytest.approx([least] * len(found), rel=1e-4)  # costs are whole ns
    assert found


def test_a_tightening_that_leaves_something_is_kept(far: RunFolder) -> None:
    loose, _ = proposed(far, 0.95, 1.0)
    tight, _ = proposed(far, 0.95, 0.5)
    assert max(tight) < max(loose)


def test_what_was_asked_for_is_not_widened(far: RunFolder) -> None:
    with pytest.raises(BudgetInfeasible):
        proposed(far, 0.01, 0.9)
