"""details.json of a run: what the scores of both networks are made of (`hwnas.tasks.breakdown`), read and checked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from hwnas.documents import brief, read_json
from hwnas.errors import RunError
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.result_parts import DifferenceResult, Percent, StandingResult
from hwnas.tasks import find
from hwnas.tasks.breakdown import MOST_CLASSES, MOST_PAIRS
from hwnas.validation import Count, FileName, Name, Schema, checked

FILE = "details.json"
WAY_OUT = "restore the file or start a new run"
Figure = Annotated[float, Field(ge=0, le=100.001)] | None
MOST = 1e6  # of a figure of a class; most are percent
Share = Annotated[float, Field(ge=0, le=1.001)] | None


class ClassFigures(Schema):
    """One class; which figures it has besides depends on the task."""

    model_config = ConfigDict(extra="allow")

    count: Count

    @model_validator(mode="after")
    def _figures(self) -> ClassFigures:
        for name, value in (self.model_extra or {}).items():
            known = value is None or (isinstance(value, float | int) and not isinstance(value, bool))
            if name != "class" and not (known and abs(value or 0) <= MOST):
                raise ValueError(f"{brief(name)} must be a number within {MOST:g}, or none")
        return self


class Pair(Schema):
    """A class and what it was taken for."""

    taken: Name = Field(alias="is")
    called: Name
    count: Count
    share: Figure


class PartDetails(Schema):
    """One network."""

    standing: StandingResult
    unit: Name
    per_class: Annotated[list[ClassFigures], Field(max_length=100_000)]
    confusion: Annotated[list[Annotated[list[Count], Field(max_length=MOST_CLASSES)]],
                         Field(max_length=MOST_CLASSES)] | None
    confused: Annotated[list[Pair], Field(max_length=MOST_PAIRS)]
    recalls: Annotated[list[Share], Field(max_length=1000)] = Field(default_factory=list)
    curves: list[Annotated[list[Share], Field(max_length=1000)]] = Field(default_factory=list)


class ExampleDetails(Schema):
    """A picture of the report."""

    file: FileName
    name: Name
    score: Percent
    good: bool


class Details(Schema):
    """The file."""

    hwnas_details: Literal[2]
    classes: Annotated[list[Name], Field(max_length=100_000)]
    metric: Name
    reference: PartDetails
    compressed: PartDetails
    examples: Annotated[list[ExampleDetails], Field(max_length=100)]
    difference: DifferenceResult

    @model_validator(mode="after")
    def _as_many(self) -> Details:
        for part in (self.reference, self.compressed):
            sides = {len(self.classes), len(part.per_class), *map(len, part.confusion or []),
                     *([len(part.confusion)] if part.confusion else []), *([len(part.curves)] if part.curves else [])}
            if len(sides) != 1:
                raise ValueError(f"every class must have one row, not {sorted(sides)}")
        return self


def read_details(run: RunFolder) -> dict[str, Any] | None:
    """The content of details.json; None in runs of hwnas 0.1, which have none, or one without what a score is worth.

    Raises:
        RunError: the file is missing, was changed, or is not what it should be.
    """
    exported = run.state.stages.get("export")
    if exported is None or FILE not in exported.files:
        return None
    run.check_file("export", FILE)
    found = read_json(run.path / FILE, error=RunError)
    if isinstance(found, dict) and found.get("hwnas_details") == 1:
        return None
    told = checked(Details, found, str(run.path / FILE), RunError, WAY_OUT)
    keys = {column.key for column in find(run.state.config.task).columns}
    if any(not keys <= (row.model_extra or {}).keys() for part in (told.reference, told.compressed)
           for row in part.per_class):
        raise RunError(f"{run.path / FILE}: a class must have {', '.join(sorted(keys))}; {WAY_OUT}")
    assert isinstance(found, dict)
    return found
