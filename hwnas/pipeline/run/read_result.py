"""A result as a stage left it in run.json, of whichever kind of run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwnas.errors import RunError
from hwnas.pipeline.run.own_results import OWN_RESULTS
from hwnas.pipeline.run.results import RESULTS, DataResult, StageResult
from hwnas.space import SpaceConfig
from hwnas.target import Target
from hwnas.validation import checked

EVERY_RESULT = (*RESULTS, *OWN_RESULTS)
"""What stages leave: of a search, then of a user's own network."""


def read_result(stage: str, result: Mapping[str, Any], where: str) -> StageResult:
    """A result as a stage left it in run.json.

    Raises:
        RunError: no such stage, or a key is missing, of another type or out of range.
    """
    schema = next((found for found in EVERY_RESULT if found.stage == stage), None)
    if schema is None:
        raise RunError(f"{where} knows a stage {stage[:40]!r} that this version has not: use a newer one")
    place = f"{where}: stages.{stage}.result"
    found = checked(schema, result, place, RunError, "restore the file or start a new run")
    if isinstance(found, DataResult):
        SpaceConfig.from_json(found.space, f"{place}: space")
        checked(Target, found.target, f"{place}: target", RunError)
    return found
