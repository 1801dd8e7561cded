"""What the stages of a run leave in run.json, as far as it is read again: the types and bounds of every key.

Results stay the mappings that they are in the file; a stage may leave more than is named here. A hash in run.json
tells an accident, not an intention, so nothing of it is believed unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from hwnas.errors import RunError
from hwnas.space import SpaceConfig
from hwnas.target import Precision, Target
from hwnas.validation import MOST_OPS, Count, FileName, Milliseconds, Name, Schema, checked

Choice = Annotated[list[Annotated[int, Field(ge=0, le=1023)]], Field(max_length=MOST_OPS)]
VariantKey = Annotated[str, Field(pattern=r"^(0\.[0-9]{1,9}|1)(@[0-9]{1,5})?$")]
Percent = Annotated[float, Field(ge=-1e6, le=1e6)]  # a sum of effects passes 100
Amount = Annotated[float, Field(ge=0, le=1e18)]
Factor = Annotated[float, Field(gt=0, le=1e6)]
Texts = Annotated[list[Name], Field(max_length=1000)]


def described(target: Target) -> dict[str, Any]:
    """What run.json and the models say of a target; `Target` reads it back."""
    return target.model_dump(mode="json", exclude={"aliases", "docker"})


class DataResult(Schema):
    """Stage data; `space` is held against its own schema."""

    data: dict[Name, Any]
    fingerprint: Name
    summary: Name
    space: dict[Name, Any]
    choices: Count
    size: Name
    variants: list[VariantKey] = Field(default_factory=list)
    target: dict[Name, Any]
    budgets: dict[Name, Name] = Field(default_factory=dict)
    warnings: Texts = Field(default_factory=list)


class LaneResult(Schema):
    """One precision of stage profile."""

    precision: Precision
    file: FileName
    reference_ratio: Factor
    variants: dict[VariantKey, FileName] = Field(default_factory=dict)
    here: bool
    warnings: Texts = Field(default_factory=list)
    device: dict[Name, Any] | None = None
    measured: Count = 0
    held_out: dict[Name, Any] | None = None
    held_out_pairs: list[dict[Name, Milliseconds]] = Field(default_factory=list)
    reference_ms: Milliseconds
    reference_low_ms: Milliseconds
    reference_high_ms: Milliseconds
    smallest_ms: Milliseconds
    speed: Factor | None = None
    table_reference_ms: Milliseconds | None = None
    table_kernel_ms: Milliseconds | None = None


class ProfileResult(Schema):
    """Stage profile; runs of hwnas 0.1.0 have one lane, without a list."""

    lanes: Annotated[list[LaneResult], Field(min_length=1, max_length=16)] | None = None
    warnings: Texts = Field(default_factory=list)


class StandingResult(Schema):
    """What a score is worth: `hwnas.tasks.standing`."""

    metric: Name
    score: Percent
    images: Count
    majority: Name | None
    majority_score: Percent
    interval: Annotated[list[Percent], Field(min_length=2, max_length=2)] | None
    mean_recall: Percent | None
    p_majority: Annotated[float, Field(ge=0, le=1)] | None
    p_recall: Annotated[float, Field(ge=0, le=1)] | None
    never: list[Name]
    one_image: Percent | None
    told: Name
    level: Literal["better", "unclear", "nothing"]


class EpochResult(Schema):
    """One epoch of training."""

    epoch: Count
    loss: Percent
    val_accuracy: Percent
    seconds: Amount


class TrainedResult(Schema):
    """RunContext reference and finetune."""

    accuracy: Percent
    metric: Name = "accuracy"
    standing: StandingResult | None = None
    epochs: list[EpochResult]
    warnings: Texts = Field(default_factory=list)


class SearchedResult(Schema):
    """Stage search."""

    baseline: Percent
    evaluations: Count
    entropy: Amount
    best: Choice
    best_score: Percent
    offsets: dict[VariantKey, Percent] = Field(default_factory=dict)
    warnings: Texts = Field(default_factory=list)


class TimedResult(Schema):
    """A measurement."""

    median_ms: Milliseconds
    p10_ms: Milliseconds
    p90_ms: Milliseconds
    runs: Count
    kernel_ms: Milliseconds | None = None


class PromiseResult(Schema):
    """A promised latency, see `hwnas.runtime.promise`."""

    latency_ms: Milliseconds
    basis: Literal["measured", "predicted", "estimated"]
    reference_ms: Milliseconds | None = None
    share: Factor | None = None
    interval: Annotated[list[Milliseconds], Field(min_length=2, max_length=2)] | None = None
    noise: Annotated[float, Field(ge=0, le=1)]


class CandidateResult(Schema):
    """An architecture that was looked at by stage generate."""

    choice: Choice
    variant: VariantKey = "1"
    precision: Precision = "fp32"
    predicted_accuracy: Percent
    score: Percent
    predicted_ms: Milliseconds
    measured_ms: Milliseconds | None = None
    trial: Percent | None = None


class GeneratedResult(Schema):
    """Stage generate."""

    choice: Choice
    variant: VariantKey = "1"
    precision: Precision = "fp32"
    bounds: dict[Name, Amount]
    predicted: dict[Name, Amount]
    measured_ms: TimedResult | None = None
    reference_measured_ms: TimedResult | None = None
    references_ms: dict[Name, TimedResult | None] = Field(default_factory=dict)
    out: dict[Name, Name] = Field(default_factory=dict)
    close: Name | None = None
    candidates: Annotated[list[CandidateResult], Field(max_length=100_000)]
    warnings: Texts = Field(default_factory=list)


class VerdictResult(Schema):
    """What the check of an exported model found."""

    max_difference: Amount
    agreement: Percent
    accuracy: Percent
    images: Count
    latency: TimedResult | None
    budget_ms: Milliseconds | None = None
    precision: Precision = "fp32"
    loss: dict[Name, Any] | None = None
    metric: Name = "accuracy"
    standing: StandingResult | None = None


class DifferenceResult(Schema):
    """What the validation images tell of the points between the two networks."""

    points: Percent
    beyond_chance: bool | None = None
    p: Annotated[float, Field(ge=0, le=1)] | None = None
    interval: Annotated[list[Percent], Field(min_length=2, max_length=2)] | None = None
    told: Name


class ExportedResult(Schema):
    """Stage export."""

    precision: Precision = "fp32"
    verdict: VerdictResult
    reference: VerdictResult
    exact: VerdictResult | None = None
    references: dict[Name, VerdictResult] = Field(default_factory=dict)
    budget_ms: Milliseconds | None
    promise: PromiseResult | None = None
    ratio: Amount | None
    size_bytes: Count
    reference_size_bytes: Count
    difference: DifferenceResult | None = None
    warnings: Texts = Field(default_factory=list)


SCHEMAS: dict[str, type[Schema]] = {
    "data": DataResult, "profile": ProfileResult, "reference": TrainedResult, "search": SearchedResult,
    "generate": GeneratedResult, "finetune": TrainedResult, "export": ExportedResult, "report": Schema,
}


def check_result(stage: str, result: Mapping[str, Any], where: str) -> None:
    """Whether a result can be what a stage left.

    Raises:
        RunError: no such stage, or a key is missing, of another type or out of range.
    """
    if stage not in SCHEMAS:
        raise RunError(f"{where} knows a stage {stage[:40]!r} that this version has not: use a newer one")
    place = f"{where}: stages.{stage}.result"
    checked(SCHEMAS[stage], result, place, RunError, "restore the file or start a new run")
    if stage == "data":
        SpaceConfig.from_json(result["space"], f"{place}: space")
        checked(Target, result["target"], f"{place}: target", RunError)
