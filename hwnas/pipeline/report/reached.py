"""The budgets of a finished run with what was reached: for the end of a run and for its report alike."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hwnas.errors import RunError
from hwnas.pipeline.commands import branch_command
from hwnas.pipeline.config.budget import MEASURED_AT_THE_END, THROUGHPUT, called
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.limits import batch_of, limits_of, promise_of
from hwnas.pipeline.run.moments import APART
from hwnas.pipeline.run.reference import Limit
from hwnas.pipeline.run.results import ExportResult, GenerateResult
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.runtime.promise import GOOD, MEASURED, OPEN, SLOW, judge
from hwnas.runtime.spending import ENERGY, FILE_SIZE, P99, PEAK_MEMORY
from hwnas.space import Architecture

UNIT = {"latency": "ms", "memory": "bytes", THROUGHPUT: "images/s", P99: "ms", ENERGY: "mJ", PEAK_MEMORY: "bytes",
        FILE_SIZE: "bytes"}
IN_UNIT = {P99: 1e-6, ENERGY: 1e-3}
"""Budget -> its unit in the unit inside."""


@dataclass(frozen=True)
class Reached:
    """One budget.

    Args:
        name, asked: as the user wrote it.
        told: the budget with its number and what that is of, e.g. '50 % of 0.252 ms measured = 0.126 ms'.
        unit: 'ms', 'bytes', 'images/s', 'mJ' or ''.
        limit: what was allowed, in that unit; of images a second at least, else at most.
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
    found = []
    for name, limit in limits_of(run).items():
        if name in (THROUGHPUT, *MEASURED_AT_THE_END):
            found.append(_throughput(run, limit, solver, winner) if name == THROUGHPUT else _spent(run, limit))
        else:
            found.append((_latency if name == "latency" else _exact)(run, limit, solver, winner))
    return found


def _throughput(run: RunFolder, limit: Limit, solver: ArchitectureSolver, winner: Architecture) -> Reached:
    """As a latency of the call, told in images a second."""
    batch = batch_of(run)
    found = _latency(run, limit.as_latency(batch), solver, winner)
    limit_ms, value_ms = limit.value * batch / 1e6, max(found.value, 1e-9)
    return replace(found, name=THROUGHPUT, asked=limit.budget.text, told=limit.text(), unit=UNIT[THROUGHPUT],
                   limit=1e3 * batch / limit_ms, value=1e3 * batch / value_ms)


def _spent(run: RunFolder, limit: Limit) -> Reached:
    """What was measured of the exported model."""
    name, spent = limit.budget.name, run.found(ExportResult).spent
    value, most = spent.amount(name) if spent is not None else None, limit.value * IN_UNIT.get(name, 1.0)
    asked, told = limit.budget.text, limit.text()
    if value is None or spent is None:
        raise RunError(f"{run.path / 'run.json'} does not say what the result takes of {called(name)}: restore it, or "
                       f"begin again with `hwnas compress --from {run.path}`")
    found = spent.kept(name, limit.value, again=False)
    met = {GOOD: True, SLOW: False, OPEN: None}[found.verdict]
    return Reached(name, asked, told, UNIT[name], most, found.value or 0.0, MEASURED, met, found.sentence)


def _exact(run: RunFolder, limit: Limit, solver: ArchitectureSolver, winner: Architecture) -> Reached:
    name, value = limit.budget.name, solver.cost(limit.budget.name, winner)
    bound = run.found(GenerateResult).bounds.get(name)
    if bound is None:
        raise RunError(f"{run.path / 'run.json'} has no bound for the budget {name}, which stage generate keeps: "
                       "restore it, or begin again with "
                       f"`{branch_command(run.path, budgets=run.state.config.budgets)}`")
    if {PEAK_MEMORY, FILE_SIZE} & {*run.state.config.budgets}:
        bound = limit.value  # that of stage generate may be what those left
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
