"""All networks that a run for several budgets or targets made of a user's own network, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hwnas.pipeline.report.budget_rows import BudgetRow, MadeNetwork, Overview
from hwnas.pipeline.run.branches import TARGETS, Branch
from hwnas.pipeline.run.cautions import warnings_of
from hwnas.pipeline.run.folder import OWN_SHARED, RunFolder
from hwnas.pipeline.run.own_results import PlanResult, ReadResult, ShipResult, UnitsResult
from hwnas.pipeline.run.results import ReportResult

RESULT = "model"  # its row in stage ship


def own_overview(run: RunFolder, errors: Mapping[str, str | None]) -> Overview:
    """What became of every budget or target.

    Args:
        errors: name of a branch -> why it has no network.

    Raises:
        RunError: a file was changed, or the units are not scored yet.
    """
    read, units = run.found(ReadResult), run.found(UnitsResult)
    metric = "accuracy" if "accuracy" in read.scores else "agreement"
    return Overview(
        run=run.path, report=run.path / "report.html", kind=run.branches[0].kind,
        data=f"{read.network} on {sum(read.images):,} images",
        target=read.target, origin=_origin(read), metric=metric, title=metric.capitalize(),
        source="one network", base="the network as given", reference_score=read.scores[metric],
        reference={"latency_ms": units.whole_ms, "basis": "measured"},
        networks=[_row(run, branch, metric, errors.get(branch.name)) for branch in run.branches],
        search_seconds=sum(run.state.stages[stage].own_seconds for stage in OWN_SHARED), created=run.state.created,
        versions=run.state.versions, seed=run.state.config.seed)


def _origin(read: ReadResult) -> str:
    return f"measured on {read.target['name']}"


def _row(parent: RunFolder, branch: Branch, metric: str, error: str | None) -> BudgetRow:
    run = RunFolder.open(branch.path) if (branch.path / "run.json").is_file() else None
    elsewhere = branch.target != parent.state.config.target.first
    timed = parent if not elsewhere else run
    units = timed.found_if_done(UnitsResult) if timed is not None else None
    limit = branch.wanted["latency"]
    limits = {"latency": f"{limit.absolute(units.whole_ms * 1e6) / 1e6:.3f} ms"} if units is not None else {}
    row = BudgetRow(branch.name, branch.path, branch.told, branch.texts, limits, error=error)
    if branch.kind == TARGETS and run is not None:
        read = run.found(ReadResult)
        row = replace(row, target=read.target, origin=_origin(read))
    if run is None or not run.done(ShipResult.stage):
        return row
    shared = (*parent.taken_over(elsewhere), ReportResult.stage)
    own = [stage for stage in run.state.stages if stage not in shared]
    return replace(row, made=_made(run, metric), seconds=sum(run.state.stages[stage].own_seconds for stage in own))


def _made(run: RunFolder, metric: str) -> MadeNetwork:
    found, plan = run.found(ShipResult), run.found(PlanResult)
    row = next(row for row in found.rows if row.name == RESULT)
    chosen = next(tried for tried in plan.rows if tried.name == plan.name)
    precisions = {key.rpartition("/")[2] for key in plan.chosen.values()}
    page = run.path / "report.html"
    return MadeNetwork(
        model=run.path / row.file, report=page if page.is_file() else run.path / "report.json",
        met=[row.latency.median_ms <= found.limit_ms], kind="measured", latency_ms=row.latency.median_ms,
        predicted_ms=chosen.predicted_ms, share=found.ratio, score=row.scores[metric],
        precision="mixed" if precisions - {"float"} else "fp32", size_bytes=row.size_bytes, warnings=warnings_of(run))
