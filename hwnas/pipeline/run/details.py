"""details.json of a run: what the scores of both networks are made of (`hwnas.tasks.breakdown`), read and checked."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from hwnas.documents import read_json
from hwnas.errors import RunError
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.result_parts import DifferenceResult, Percent, StandingResult
from hwnas.tasks.breakdown import MOST_CLASSES, MOST_PAIRS
from hwnas.validation import Count, FileName, Name, Schema, checked

FILE = "details.json"
FIGURES = {"accuracy": {"recall", "precision"}, "mIoU": {"iou", "recall"}, "mAP": {"ap", "ap50"}}
Figure = Annotated[float, Field(ge=0, le=100.001)] | None
Share = Annotated[float, Field(ge=0, le=1.001)] | None


class ClassFigures(Schema):
    """One class; which figures it has depends on the task."""

    count: Count
    recall: Figure = None
    precision: Figure = None
    iou: Figure = None
    ap: Figure = None
    ap50: Figure = None


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
    metric: Literal["accuracy", "mAP", "mIoU"]
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
            if any(not FIGURES[self.metric] <= row.model_fields_set for row in part.per_class):
                raise ValueError(f"a class must have {', '.join(sorted(FIGURES[self.metric]))}")
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
    checked(Details, found, str(run.path / FILE), RunError, "restore the file or start a new run")
    assert isinstance(found, dict)
    return found
