"""What the stages of a run on a user's own network found, typed, beside those of `results`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from hwnas.pipeline.config.budget import Asked
from hwnas.pipeline.run.result_parts import Amount, Part, Percent, TimedResult
from hwnas.pipeline.run.results import ReportResult, StageResult
from hwnas.validation import Count, FileName, Milliseconds, Name

Scores = dict[Name, float]
"""Means with their standard errors: loss, agreement and accuracy, the latter two in percent."""


class ReadResult(StageResult):
    """Stage read.

    Args:
        sha256: of the network as it was given.
        contract: how an image becomes its input.
        input_shape: with the batch.
        difference: of the canonical form to the original, over the size of the outputs.
        images: that fit, score and judge.
        outputs: what they were taken for.
        scores: of the network itself on the images that judge.
        data: fingerprint of the images; `classes`: of labelled images.
    """

    stage = "read"

    network: Name
    sha256: Name
    contract: dict[Name, Any]
    input_shape: Annotated[list[Count], Field(min_length=1, max_length=8)]
    difference: Amount
    images: Annotated[list[Count], Field(min_length=3, max_length=3)]
    outputs: list[Name]
    scores: Scores
    classes: list[Name] = Field(default_factory=list)
    target: dict[Name, Any]
    budgets: dict[Name, Name]


class FitResult(StageResult):
    """Stage fit: unit -> names of its forms that have a file; on how many images they were fitted."""

    stage = "fit"

    forms: dict[Name, Annotated[list[Name], Field(max_length=100)]]
    images: Count


class UnitResult(Part):
    """One unit: what it is, what it takes alone in every option, and why it stays as it is, if it does."""

    name: Name
    label: Name
    signature: Name
    share: Percent
    alone_ms: dict[Name, Milliseconds]
    frozen: Name = ""


class UnitsResult(StageResult):
    """Stage units.

    Args:
        whole_ms: the network as it is, at the speed of the sweeps.
        limits: budget as it was asked for -> what it comes to, ms.
        kept: nodes that no unit holds, by type.
        facts: what the measurement says of itself; errors of its predictions.
    """

    stage = "units"

    units: Annotated[list[UnitResult], Field(max_length=10_000)]
    whole_ms: Milliseconds
    limits: dict[Name, Milliseconds]
    kept: dict[Name, Count]
    facts: dict[Name, float | int]


def limits_of(networks: Sequence[Asked], whole_ms: float) -> dict[str, float]:
    """Budget of latency -> what it comes to, ms, where the network as given takes `whole_ms`."""
    budgets = [asked.wanted["latency"] for asked in networks]
    return {budget.text: budget.absolute(whole_ms * 1e6) / 1e6 for budget in budgets}


class ScoresResult(StageResult):
    """Stage score: options that were scored alone, pairs of neighbours; `uniform`: precision -> all units in it."""

    stage = "score"

    options: Count
    images: Count
    uniform: dict[Name, Scores]
    pairs: Count = 0


class PlanRow(Part):
    """A plan whose truth is known.

    Args:
        tried: loss after a short tuning; None where it was not among the last few.
    """

    name: Name
    predicted_ms: Milliseconds
    predicted_loss: Amount
    loss: Amount
    loss_se: Amount
    measured_ms: Milliseconds
    within: bool
    changed: Count
    tried: Amount | None = None


class PlanResult(StageResult):
    """Stage plan.

    Args:
        chosen: place -> key of its option, of those that are not as they were.
        rows: every plan that was assembled, in the order of the rounds.
        whole_ms: the network as it is in the same sweeps.
    """

    stage = "plan"

    chosen: dict[Name, Name]
    name: Name
    rounds: Count
    rows: Annotated[list[PlanRow], Field(max_length=10_000)]
    whole_ms: Milliseconds
    limit_ms: Milliseconds


class TuneResult(StageResult):
    """Stage tune.

    Args:
        kept: whether the weights are those after tuning; `why` not.
        before, after: loss on the images that score, in the precisions that ship.
        rate, steps, images: how it was tuned.
        rounded: whether the last steps rounded as int8 does, which was better.
    """

    stage = "tune"

    kept: bool
    why: Name = ""
    before: Amount
    after: Amount
    rate: Amount | None = None
    steps: Count = 0
    images: Count = 0
    rounded: bool = False


class ShippedRow(Part):
    """A network as it was judged and timed at the end: the user's, uniform int8, the result."""

    name: Name
    file: FileName
    latency: TimedResult
    scores: Scores
    size_bytes: Count


class ShipResult(StageResult):
    """Stage ship: networks side by side on the images that judge, and in one interleaved run.

    Args:
        ratio: latency of the result over that of the user's network; `limit_ms`: what the budget came to beside it.
        samples: images that are kept with the outputs for them; 0 where the outputs cannot be.
        no_source: why there is no model.py; empty where there is.
    """

    stage = "ship"

    rows: Annotated[list[ShippedRow], Field(min_length=2, max_length=100)]
    ratio: Amount
    limit_ms: Milliseconds
    samples: Count = 0
    no_source: Name = ""


OWN_RESULTS: tuple[type[StageResult], ...] = (ReadResult, FitResult, UnitsResult, ScoresResult, PlanResult,
                                             TuneResult, ShipResult, ReportResult)
"""What the stages leave, in their order."""
