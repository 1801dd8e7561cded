"""All networks of a run for several budgets in one table: what became of each, from the summaries of their own runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.pipeline.own_code import score_words
from hwnas.pipeline.report.summary import Summary, origin_of, summary
from hwnas.pipeline.run.branches import Branch
from hwnas.pipeline.run.folder import SEARCHED, RunFolder
from hwnas.pipeline.run.reference import Reference
from hwnas.pipeline.run.result_parts import BranchResult
from hwnas.pipeline.run.results import DataResult, FinetuneResult, ReferenceResult, ReportResult


@dataclass(frozen=True)
class BudgetRow:
    """One of several budgets.

    Args:
        name, run: of the folder of its own run, and where that is.
        budget, budgets: as it was asked for: for people, and cost -> text.
        limits: cost -> what it comes to, in words.
        made: what was reached; None where there is no network.
        error: why there is none; None where there is one, or where its turn has not come.
        same_as: folder of another budget that has the same network, which was trained there.
        seconds: of its own stages.
    """

    name: str
    run: Path
    budget: str
    budgets: Mapping[str, str]
    limits: Mapping[str, str]
    made: Summary | None = None
    error: str | None = None
    same_as: str | None = None
    seconds: float = 0.0

    @property
    def why(self) -> str:
        """Why there is no network."""
        return self.error or "its turn has not come"

    @property
    def result(self) -> str:
        """'met', 'missed', 'not measured' or 'not made'."""
        if self.made is None:
            return "not made"
        met = [budget.met for budget in self.made.budgets]
        return "missed" if False in met else "not measured" if None in met else "met"

    @property
    def kind(self) -> str:
        """How its latency is known: 'measured', 'predicted' or 'estimated'; empty where there is no network."""
        if self.made is None:
            return ""
        if self.made.compressed.measured is not None:
            return "measured"
        return "estimated" if self.made.latency_source == "estimated" else "predicted"

    @property
    def latency_ms(self) -> float | None:
        """Median where it was measured."""
        if self.made is None:
            return None
        timed = self.made.compressed.measured
        return self.made.compressed.predicted_ms if timed is None else timed.median_ms

    @property
    def share(self) -> float | None:
        """Of the reference's latency: beside it where both were measured, else as predicted."""
        if self.made is None or self.kind == "measured":
            return self.made.ratio if self.made is not None else None
        return self.made.compressed.predicted_ms / self.made.reference.predicted_ms


@dataclass(frozen=True)
class Overview:
    """What became of every budget of a run.

    Args:
        run, report: where they are.
        data, target, origin: the data set in a line, the target as run.json describes it, where latencies come from.
        metric, title: what scores are, and as a heading.
        reference_score: percent; `reference`: what percentages are of.
        networks: in the order in which they were asked for.
        search_seconds: of what all share.
        created, versions, seed: of the run.
    """

    run: Path
    report: Path
    data: str
    target: Mapping[str, Any]
    origin: str
    metric: str
    title: str
    reference_score: float
    reference: Reference | None
    networks: Sequence[BudgetRow]
    search_seconds: float
    created: str
    versions: Mapping[str, str]
    seed: int

    @property
    def network_seconds(self) -> float:
        """Of all networks together."""
        return sum(row.seconds for row in self.networks)

    @property
    def warnings(self) -> list[tuple[str, list[str]]]:
        """Each warning once, with the budgets that it is of; none are named where it is of all networks."""
        made = [(row.budget, row.made.warnings) for row in self.networks if row.made is not None]
        texts = dict.fromkeys(text for _, warnings in made for text in warnings)
        found = [(text, [budget for budget, warnings in made if text in warnings]) for text in texts]
        return [(text, [] if len(budgets) == len(made) else budgets) for text, budgets in found]


def overview(run: RunFolder, outcomes: Sequence[BranchResult] | None = None) -> Overview:
    """What became of every budget of a run.

    Args:
        outcomes: of the budgets in their order; None takes what the run's own report says.

    Raises:
        RunError: a file was changed, or the search is not finished.
    """
    if outcomes is None:
        told = run.found_if_done(ReportResult)
        outcomes = told.branches if told is not None else []
    data, reference = run.found(DataResult), run.found(ReferenceResult)
    errors = {outcome.name: outcome.error for outcome in outcomes}
    return Overview(
        run=run.path, report=run.path / "report.html", data=data.summary, target=data.target, origin=origin_of(run),
        metric=reference.metric, title=score_words(run.state.config).title, reference_score=reference.score,
        reference=run.state.reference, networks=[_row(run, b, errors.get(b.name)) for b in run.branches],
        search_seconds=sum(run.state.stages[stage].own_seconds for stage in SEARCHED), created=run.state.created,
        versions=run.state.versions, seed=run.state.config.seed,
    )


def _row(parent: RunFolder, branch: Branch, error: str | None) -> BudgetRow:
    reference = parent.state.reference
    limits = {} if reference is None else reference.told([branch.wanted])
    run = RunFolder.open(branch.path) if (branch.path / "run.json").is_file() else None
    if run is None or not run.done("export"):
        return BudgetRow(branch.name, branch.path, branch.told, branch.texts, limits, error=error)
    own = [stage for stage in run.state.stages if stage not in (*SEARCHED, ReportResult.stage)]
    return BudgetRow(branch.name, branch.path, branch.told, branch.texts, limits, summary(run),
                     same_as=run.found(FinetuneResult).same_as,
                     seconds=sum(run.state.stages[stage].own_seconds for stage in own))
