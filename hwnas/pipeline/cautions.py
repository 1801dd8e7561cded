"""What a person must be told before the numbers of a run are believed: the one channel of its warnings.

Every stage may leave a list `warnings` in its result, and stage profile one in the lane of every precision. They are
joined here, and only here: report.json, the report page, the end of a run and `summary` say the same.
"""

from __future__ import annotations

from hwnas.pipeline.run import STAGES, RunFolder


def warnings_of(run: RunFolder) -> list[str]:
    """The warnings of all finished stages in order, each once; of profile those of the precision that ships."""
    found: list[str] = []
    for stage in STAGES:
        if stage in run.state.stages:
            found += run.result(stage).get("warnings", [])
            found += run.lane().get("warnings", []) if stage == "profile" else []
    return list(dict.fromkeys(found))
