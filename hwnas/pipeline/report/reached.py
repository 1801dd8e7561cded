"""The budgets of a finished run with what was reached: for the end of a run and for its report alike."""

from __future__ import annotations

from dataclasses import dataclass

from hwnas.errors import RunError
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.limits import limits_of, promise_of
from hwnas.pipeline.run.moments import APART
from hwnas.pipeline.run.reference import Limit
from hwnas.pipeline.run.results import ExportResult, GenerateResult
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.runtime.promise import MEASURED, judge
from hwnas.space import Architecture

UNIT = {"latency": "ms", "memory": "bytes"}


@dataclass(frozen=True)
class Reached:
    """One budget.

    Args:
        name, asked: as the user wrote it.
        told: the budget with its number and what that is of, e.g. '50 % of 0.252 ms measured = 0.126 ms'.
        unit: 'ms', 'bytes' or ''.
        limit: what was allowed, in that unit.
        value: what was reached, in that unit; a latency that measured over the limit, at the speed that is meant by it.
        kind: of `value`: 'measured', 'predicted', 'estimated', or 'exact' where it follows from the architecture.
        met: None where nothing was measured, so that nothing can tell.
        sentence: how a measured latency was judged; empty elsewhere.
        speed: how many times as long everything took when it was measured as when the budget was fixed; None where
            that is not known.
    """

    name: str
    asked: str
    told: str
    unit: str
    limit: float
    value: float
    kind: str
    met: bool | None
    sentence: str = ""
    speed: float | None = None

    @property
    def moved(self) -> bool:
        """Whether the machine had another speed, so that value and limit cannot be held against each other."""
        return self.speed is not None and max(self.speed, 1 / self.speed) > 1 + APART


def reached(run: RunFolder, solver: ArchitectureSolver, winner: Architecture) -> list[Reached]:
    """Every budget of a run in its order.

    Args:
        solver: of the variant that ships.
        winner: the result.

    Raises:
        RunError: the model of the run is not exported yet.
    """
    return [_latency(run, limit, solver, winner) if name == "latency" else _exact(run, limit, solver, winner)
            for name, limit in limits_of(run).items()]


def _exact(run: RunFolder, limit: Limit, solver: ArchitectureSolver, winner: Architecture) -> Reached:
    name, value = limit.budget.name, solver.cost(limit.budget.name, winner)
    bound = run.found(GenerateResult).bounds.get(name)
    if bound is None:
        raise RunError(f"{run.path / 'run.json'} has no bound for the budget {name}, which stage generate keeps: "
                       f"restore it, or begin again with `hwnas compress --from {run.path}`")
    return Reached(name, limit.budget.text, limit.text(), UNIT.get(name, ""), bound, value, "exact", value <= bound)


def _latency(run: RunFolder, limit: Limit, solver: ArchitectureSolver, winner: Architecture) -> Reached:
    exported = run.found(ExportResult)
    asked, told, timed = limit.budget.text, limit.text(), exported.verdict.latency
    if not timed:
        kind = "estimated" if solver.latency.source == "estimated" else "predicted"
        return Reached("latency", asked, told, "ms", limit.value / 1e6, solver.predict(winner).latency_ms, kind, None)
    value, promise = timed.median_ms, promise_of(run)
    if exported.promise is None or promise is None:  # hwnas 0.1 judged by the reference in the same run
        limit_ms = exported.budget_ms or 0.0
        return Reached("latency", asked, told, "ms", limit_ms, value, MEASURED, value <= limit_ms)
    beside = exported.reference.latency
    found = judge(promise, value, beside.median_ms if beside else None)
    return Reached("latency", asked, told, "ms", promise.latency_ms,
                   found.corrected_ms if found.corrected_ms is not None and value > promise.latency_ms else value,
                   MEASURED, not found.failed, found.sentence, found.speed)
