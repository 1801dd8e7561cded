"""One search, a network for every budget and target: the stages of a run for several, in their order.

What all networks share is made once, in the run itself: data, tables, reference and search, or of a user's own network
its units with their forms, times and losses. Each network then has a run of its own below it, which goes through the
rest as any run does; for another target than the first that begins with stage profile, or units. One that cannot be
met takes nothing from the others: it is told in the table of all, and again when the others are made.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol

from hwnas.errors import BudgetInfeasible, SomeBudgetsFailed, TrainingDiverged, VerificationFailed
from hwnas.pipeline.config.budget import Wanted
from hwnas.pipeline.engine import HookOf, StageHook, carry_out
from hwnas.pipeline.latencies.unit_precisions import target_of
from hwnas.pipeline.report.overview_files import FILES, write_overview
from hwnas.pipeline.run.branches import Branch
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.result_parts import BranchResult
from hwnas.pipeline.run.results import ProfileResult, ReportResult, described
from hwnas.pipeline.selection.one_model import AFTER, disagreeing
from hwnas.pipeline.stages.stage import Stage, StageContext

OWN = (BudgetInfeasible, VerificationFailed, TrainingDiverged)  # of one budget; any other error ends the whole


class BranchedContext(StageContext, Protocol):
    """A context whose run may be for several budgets."""

    def of_branch(self, run: RunFolder) -> StageContext:
        """The same for the run of one of them."""

    def check_wanted(self, wanted: Wanted) -> None:
        """Raises BudgetInfeasible where it is known already that some budgets cannot be met."""


def carry_out_branches(context: BranchedContext, stages: Sequence[Stage[Any]], hook_of: HookOf) -> None:
    """Do every stage of a run for several budgets that is not done.

    Args:
        stages: the first ones, in order.

    Raises:
        SomeBudgetsFailed: not all budgets have a network; those of the others were made.
        BudgetInfeasible: none of them can be met.
        HwnasError: as `hwnas.pipeline.engine.carry_out`; the run can be resumed.
    """
    run = context.run
    carry_out(context, [stage for stage in stages if stage.name in run.shared], hook_of(run))
    last = stages[-1].name
    if last in run.shared:
        return
    with run.locked():
        found = (_one_network(context, stages, hook_of) if run.state.config.target.one_model else
                 [_made(context, branch, stages, hook_of) for branch in run.branches])
        if last == run.stages[-1]:
            began = time.monotonic()
            write_overview(run, found)
            run.finish(ReportResult.stage, ReportResult(branches=found), FILES, time.monotonic() - began)
    _check(run, found)


def _check(run: RunFolder, found: Sequence[BranchResult]) -> None:
    """Raises SomeBudgetsFailed unless every budget was made."""
    failed = {branch.told: made for branch, made in zip(run.branches, found, strict=True) if made.error is not None}
    if not failed:
        return
    raise SomeBudgetsFailed.of({told: made.error or "" for told, made in failed.items()}, len(found),
                               max(made.exit_code for made in failed.values()), run.branches[0].kind)


def _made(context: BranchedContext, branch: Branch, stages: Sequence[Stage[Any]], hook_of: HookOf) -> BranchResult:
    """Bring one budget as far as the stages go; what became of it."""
    try:
        run = _run_of(context, branch)
        carry_out(context.of_branch(run), stages, _of_its_own(hook_of(run), _shared(context.run, branch)))
    except OWN as err:
        return BranchResult(name=branch.name, budgets=branch.texts, error=str(err), exit_code=err.exit_code)
    return BranchResult(name=branch.name, budgets=branch.texts)


def _one_network(context: BranchedContext, stages: Sequence[Stage[Any]], hook_of: HookOf) -> list[BranchResult]:
    """Bring all targets as far as the stages go with the same network; a target that is this machine chooses it.

    Raises:
        BudgetInfeasible, VerificationFailed, TrainingDiverged: of one of them; says of which.
    """
    branches, names = context.run.branches, [stage.name for stage in stages]
    runs = {branch.name: _run_of(context, branch) for branch in branches}
    for run in runs.values():
        if not run.state.one_for_all:
            run.state.one_for_all = True
            run.save()
    profiled = stages[: names.index(ProfileResult.stage) + 1]
    for branch in branches:
        _with_name(context, branch, runs[branch.name], profiled, _of_its_own(hook_of(runs[branch.name]),
                                                                             _shared(context.run, branch)))
    order = sorted(branches, key=lambda branch: not runs[branch.name].lane().here)
    while True:
        for branch in order:
            run = runs[branch.name]
            _with_name(context, branch, run, stages, _of_its_own(hook_of(run), context.run.shared))
        changed = disagreeing(list(runs.values()))
        if not changed:
            return [BranchResult(name=branch.name, budgets=branch.texts) for branch in branches]
        for run in changed:  # ends, as every change has tightened a budget, which is done a few times at most
            run.reopen(*(stage for stage in AFTER if stage in run.state.stages))


def _with_name(context: BranchedContext, branch: Branch, run: RunFolder, stages: Sequence[Stage[Any]],
               hook: StageHook) -> None:
    """Carry out stages for one of several targets; what fails says for which."""
    try:
        carry_out(context.of_branch(run), stages, hook)
    except BudgetInfeasible as err:
        raise BudgetInfeasible(f"{branch.told}: {err}", err.least, err.budgets) from err
    except (VerificationFailed, TrainingDiverged) as err:
        raise type(err)(f"{branch.told}: {err}") from err


def _run_of(context: BranchedContext, branch: Branch) -> RunFolder:
    """The run of a budget, begun where it is not there yet and can be met."""
    if (branch.path / "run.json").is_file():
        return RunFolder.open(branch.path)
    whole = context.run.state.config
    config = whole.replaced(budgets=branch.texts, target=branch.target, device=whole.device_on(branch.target),
                            one_model=False, give_up=0.0)
    if branch.target == whole.target.first:
        if not whole.target.one_model:  # else it is asked within the budgets of all
            context.check_wanted(branch.wanted)
        return context.run.branch(branch.path, config)
    return context.run.branch(branch.path, config, described(target_of(config)))


def _shared(run: RunFolder, branch: Branch) -> Sequence[str]:
    """Stages that a branch has from the run above it."""
    return run.taken_over(branch.target != run.state.config.target.first)


def _of_its_own(hook: StageHook, shared: Sequence[str]) -> StageHook:
    """A hook that is not told again of what all budgets share."""
    def told(stage: str, event: str, seconds: float) -> None:
        if stage not in shared:
            hook(stage, event, seconds)

    return told
