"""Stage report: tell. Leaves report.html for people and report.json for programs."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.pipeline.context import RunContext
from hwnas.pipeline.report.facts import write_report
from hwnas.pipeline.run.results import ReportResult
from hwnas.pipeline.stages.stage import Stage
from hwnas.pipeline.tracked import tell_result


class ReportStage(Stage[ReportResult]):
    """The page and its facts."""

    name = ReportResult.stage

    def run(self, context: RunContext) -> ReportResult:
        write_report(context.run)
        tell_result(context.tracking, context.run)
        return ReportResult()

    def leaves(self, found: ReportResult) -> Sequence[str]:
        return "report.html", "report.json"
