"""One search, a network for every budget: the stages of a run for several budgets, in their order.

Data, tables, reference and search are made once, in the run itself. Each budget then has a run of its own below it,
which goes through the rest as any run does. One that cannot be met takes nothing from the others: it is told in the
table of all, and again when the others are made.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hwnas.errors import BudgetInfeasible, SomeBudgetsFailed, TrainingDiverged, VerificationFailed
from hwnas.pipeline.engine import HookOf, StageHook, carry_out
from hwnas.pipeline.report.overview_files import FILES, write_overview
from hwnas.pipeline.run.branches import Branch
from hwnas.pipeline.run.folder import SEARCHED, STAGES, RunFolder
from hwnas.pipeline.run.result_parts import BranchResult
from hwnas.pipeline.run.results import ReportResult
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.queries import feasible
from hwnas.pipeline.stages.stage import Stage

if TYPE_CHECKING:
    from hwnas.pipeline.context import RunContext

OWN = (BudgetInfeasible, VerificationFailed, TrainingDiverged)  # of one budget; any other error ends the whole


def carry_out_branches(context: RunContext, stages: Sequence[Stage[Any]], hook_of: HookOf) -> None:
    """Do every stage of a run for several budgets that is not done.

    Args:
        stages: the first ones, in order.

    Raises:
        SomeBudgetsFailed: not all budgets have a network; those of the others were made.
        BudgetInfeasible: none of them can be met.
        HwnasError: as `hwnas.pipeline.engine.carry_out`; the run can be resumed.
    """
    run = context.run
    carry_out(context, [stage for stage in stages if stage.name in SEARCHED], hook_of(run))
    last = stages[-1].name
    if last in SEARCHED:
        return
    with run.locked():
        found = [_made(context, branch, stages, hook_of) for branch in run.branches]
        if last == STAGES[-1]:
            began = time.monotonic()
            write_overview(run, found)
            run.finish(last, ReportResult(branches=found), FILES, time.monotonic() - began)
    _check(run, found)


def _check(run: RunFolder, found: Sequence[BranchResult]) -> None:
    """Raises SomeBudgetsFailed unless every budget was made."""
    failed = {branch.told: made for branch, made in zip(run.branches, found, strict=True) if made.error is not None}
    if not failed:
        return
    raise SomeBudgetsFailed.of({told: made.error or "" for told, made in failed.items()}, len(found),
                               max(made.exit_code for made in failed.values()))


def _made(context: RunContext, branch: Branch, stages: Sequence[Stage[Any]], hook_of: HookOf) -> BranchResult:
    """Bring one budget as far as the stages go; what became of it."""
    try:
        run = _run_of(context.run, branch)
        carry_out(replace(context, run=run, parent=context), stages, _of_its_own(hook_of(run)))
    except OWN as err:
        return BranchResult(name=branch.name, budgets=branch.texts, error=str(err), exit_code=err.exit_code)
    return BranchResult(name=branch.name, budgets=branch.texts)


def _run_of(parent: RunFolder, branch: Branch) -> RunFolder:
    """The run of a budget, begun where it is not there yet and can be met."""
    if (branch.path / "run.json").is_file():
        return RunFolder.open(branch.path)
    feasible([ArchitectureSolver.all_of_run(parent, precision) for precision in parent.precisions], branch.wanted)
    return parent.branch(branch.path, parent.state.config.replaced(budgets=branch.texts))


def _of_its_own(hook: StageHook) -> StageHook:
    """A hook that is not told again of what all budgets share."""
    def told(stage: str, event: str, seconds: float) -> None:
        if stage not in SEARCHED:
            hook(stage, event, seconds)

    return told
