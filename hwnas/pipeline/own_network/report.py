"""Stage report of a run on a user's own network: report.html for people, report.json for programs."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.pipeline.own_network.context import OwnContext
from hwnas.pipeline.report.own_network import FILES, write_own_report
from hwnas.pipeline.run.results import ReportResult
from hwnas.pipeline.stages.stage import Stage


class OwnReportStage(Stage[ReportResult]):
    """The page and its facts."""

    name = ReportResult.stage

    def run(self, context: OwnContext) -> ReportResult:
        """Write both."""
        write_own_report(context.run)
        return ReportResult()

    def leaves(self, found: ReportResult) -> Sequence[str]:
        return FILES
