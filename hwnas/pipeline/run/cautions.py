"""What a person must be told before the numbers of a run are believed: the one channel of its warnings.

Every stage may leave a list `warnings` in its result, and stage profile one in the lane of every precision. They are
joined here with those about the speed of the machine, and only here: report.json, the report page, the end of a run
and `summary` say the same.
"""

from __future__ import annotations

from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.moments import apart
from hwnas.pipeline.run.read_result import EVERY_RESULT
from hwnas.pipeline.run.result_parts import StandingResult
from hwnas.pipeline.run.results import ProfileResult
from hwnas.tasks.breakdown import named
from hwnas.tasks.standing import Standing

WAY_OUT = "train longer (--epochs), check the labels, or add images"


def warnings_of(run: RunFolder) -> list[str]:
    """The warnings of all finished stages in order, each once; of profile those of the precision that ships."""
    found: list[str] = []
    for result in EVERY_RESULT:
        if done := run.found_if_done(result):
            found += done.warnings
            found += run.lane().warnings if isinstance(done, ProfileResult) else []
    found += apart(run)
    return list(dict.fromkeys(found))


def no_success(standing: StandingResult | None) -> str | None:
    """A few words where the budgets may be met and the result is still none; None if it is one.

    Args:
        standing: of the score of the compressed network; None in runs of hwnas 0.1.
    """
    if standing is None or standing.level != "nothing":
        return None
    against = against_of(standing)
    return f"no better than {against}" if against else "finds next to nothing"


def against_of(standing: StandingResult) -> str:
    """The answer that needs no network; empty where there is none. Earlier runs say it only beside the score."""
    return standing.against or standing.told.rsplit(":", 1)[0]


def of_standing(who: str, standing: Standing) -> list[str]:
    """Of a score: that it is no better than an answer that needs no network, and the classes that are never found.

    Args:
        who: e.g. 'the reference network'.
    """
    found = []
    if standing.level == "nothing":
        found.append(f"{who} {standing.verdict}; {WAY_OUT}")
    elif standing.level == "unclear":
        found.append(f"{who} {standing.verdict}")
    if standing.never and standing.level != "nothing":
        found.append(f"{who} never finds {named(standing.never)} on the {standing.images:,} validation images")
    return found
