"""Stage report: tell. Leaves report.html for people and report.json for programs."""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.pipeline.context import RunContext
from hwnas.pipeline.report.facts import write_report
from hwnas.pipeline.stages.stage import Result, Stage


class ReportStage(Stage):
    """The page and its facts."""

    name = "report"

    def run(self, context: RunContext) -> Result:
        write_report(context.run)
        return {}

    def leaves(self, found: Result) -> Sequence[str]:
        return "report.html", "report.json"
