"""All networks of a run for several in one table: what became of each, from the summaries of their own runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hwnas.pipeline.config.budget import Asked
from hwnas.pipeline.own_code import score_words
from hwnas.pipeline.report.budget_rows import BudgetRow, MadeNetwork, Overview
from hwnas.pipeline.report.own_overview import own_overview
from hwnas.pipeline.report.summary import Summary, origin_of, summary
from hwnas.pipeline.run.branches import TARGETS, Branch
from hwnas.pipeline.run.folder import SEARCHED, RunFolder
from hwnas.pipeline.run.result_parts import BranchResult
from hwnas.pipeline.run.results import (
    DataResult,
    FinetuneResult,
    GenerateResult,
    ProfileResult,
    ReferenceResult,
    ReportResult,
)

_TRAINED = tuple(stage for stage in SEARCHED if stage != ProfileResult.stage)  # what another target has no own of


def overview(run: RunFolder, outcomes: Sequence[BranchResult] | None = None) -> Overview:
    """What became of every budget or target of a run.

    Args:
        outcomes: of the budgets in their order; None takes what the run's own report says.

    Raises:
        RunError: a file was changed, or what all budgets share is not finished.
    """
    if outcomes is None:
        told = run.found_if_done(ReportResult)
        outcomes = told.branches if told is not None else []
    errors = {outcome.name: outcome.error for outcome in outcomes}
    if run.state.config.model.source is not None:
        return own_overview(run, errors)
    data, reference = run.found(DataResult), run.found(ReferenceResult)
    costs = run.state.reference
    return Overview(
        run=run.path, report=run.path / "report.html", kind=run.branches[0].kind, data=data.summary,
        target=data.target, origin=origin_of(run), metric=reference.metric,
        title=score_words(run.state.config).title, source="one search", base="the reference",
        reference_score=reference.score, reference=costs.model_dump() if costs is not None else {},
        networks=[_row(run, branch, errors.get(branch.name)) for branch in run.branches],
        search_seconds=sum(run.state.stages[stage].own_seconds for stage in SEARCHED), created=run.state.created,
        versions=run.state.versions, seed=run.state.config.seed, together=_together(run),
    )


def _row(parent: RunFolder, branch: Branch, error: str | None) -> BudgetRow:
    run = RunFolder.open(branch.path) if (branch.path / "run.json").is_file() else None
    here = branch.target == parent.state.config.target.first
    reference = parent.state.reference if here else run.state.reference if run is not None else None
    row = BudgetRow(branch.name, branch.path, branch.told, branch.texts,
                    {} if reference is None else reference.told([Asked(branch.target, branch.wanted)]), error=error)
    if branch.kind == TARGETS and run is not None and run.done(ProfileResult.stage):
        row = replace(row, target=run.found(DataResult).target, origin=origin_of(run))
    if run is None or not run.done("export"):
        return row
    shared = (*SEARCHED, ReportResult.stage) if here else (*_TRAINED, ReportResult.stage)
    own = [stage for stage in run.state.stages if stage not in shared]
    return replace(row, made=_made(summary(run)), same_as=run.found(FinetuneResult).same_as,
                   seconds=sum(run.state.stages[stage].own_seconds for stage in own))


def _together(run: RunFolder) -> str:
    """What is said of one network for all targets."""
    first = RunFolder.open(run.branches[0].path) if (run.branches[0].path / "run.json").is_file() else None
    found = None if first is None else first.found_if_done(GenerateResult)
    if not run.state.config.target.one_model or found is None:
        return ""
    told = f"one network for all {len(run.branches)} targets"
    if not found.rooms:
        return told
    least = min(found.rooms, key=found.rooms.__getitem__)
    return (f"{told}; of its budgets of latency least is left on {Path(least).stem}: "
            f"{100 * found.rooms[least]:.1f} % by prediction")


def _made(found: Summary) -> MadeNetwork:
    new, timed = found.compressed, found.compressed.measured
    kind = "measured" if timed else "estimated" if found.latency_source == "estimated" else "predicted"
    return MadeNetwork(
        model=found.model, report=found.report, met=[budget.met for budget in found.budgets], kind=kind,
        latency_ms=new.predicted_ms if timed is None else timed.median_ms, predicted_ms=new.predicted_ms,
        share=found.ratio if timed else new.predicted_ms / found.reference.predicted_ms, score=new.score,
        precision=new.precision, size_bytes=new.size_bytes, flops=new.flops, params=new.params,
        warnings=found.warnings, no_success=found.no_success, next=found.next)
