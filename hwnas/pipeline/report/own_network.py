"""report.json of a run on a user's own network: the same run gives the same bytes, however often it is written."""

from __future__ import annotations

from typing import Any

from hwnas.files import write_json
from hwnas.pipeline.run.cautions import warnings_of
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.own_results import OWN_RESULTS
from hwnas.pipeline.run.results import ReportResult

FILES = ("report.json",)


def write_own_report(run: RunFolder) -> None:
    """Write report.json into a run folder.

    Raises:
        RunError: a stage is not finished.
        InputError: the folder cannot be written.
    """
    write_json(run.path / "report.json", own_report_json(run))


def own_report_json(run: RunFolder) -> dict[str, Any]:
    """What all stages found, under their names; the warnings of all."""
    found = {result.stage: run.found(result).to_json() for result in OWN_RESULTS if result is not ReportResult}
    return {"hwnas_own_report": 1, **found, "warnings": warnings_of(run)}
