"""report.html and report.json of a run for several budgets, from the same facts.

Paths in them are relative to the run, so that its folder can be passed on. The same run gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.files import write_bytes, write_json
from hwnas.pipeline.report import page
from hwnas.pipeline.report.documents import OVERVIEW_SCHEMA, overview_json
from hwnas.pipeline.report.overview import overview
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.result_parts import BranchResult

FILES = ("report.html", "report.json")


def write_overview(run: RunFolder, outcomes: Sequence[BranchResult]) -> None:
    """Write report.html (one file, needs no network) and report.json.

    Args:
        outcomes: what became of every budget, in their order.

    Raises:
        RunError: a file was changed, or the search is not finished.
        InputError: the folder cannot be written.
    """
    found = overview_json(overview(run, outcomes), run.path)
    html = page.render_overview(found)
    write_json(run.path / "report.json", {"hwnas_overview": OVERVIEW_SCHEMA, **found})
    write_bytes(run.path / "report.html", html.encode())
