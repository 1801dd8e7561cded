"""Parts of what stages find: lanes, scores, measurements, promises, candidates, verdicts; their types and bounds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field

from hwnas.latency import Prediction
from hwnas.latency.correction import Correction
from hwnas.runtime import Measurement
from hwnas.runtime.energy import Energy
from hwnas.runtime.spending import ENERGY, FILE_SIZE, P99, PEAK_MEMORY, Kept, kept, kept_tail
from hwnas.runtime.tail import Tail
from hwnas.target import NetworkPrecision
from hwnas.validation import MOST_OPS, Count, FileName, Milliseconds, Name, Schema

if TYPE_CHECKING:
    from hwnas.export.verification import Verdict

Choice = Annotated[list[Annotated[int, Field(ge=0, le=1023)]], Field(max_length=MOST_OPS)]
VariantKey = Annotated[str, Field(pattern=r"^(0\.[0-9]{1,9}|1)(@[0-9]{1,5})?$")]
Percent = Annotated[float, Field(ge=-1e6, le=1e6)]  # a sum of effects passes 100
Amount = Annotated[float, Field(ge=0, le=1e18)]
Factor = Annotated[float, Field(gt=0, le=1e6)]
Texts = Annotated[list[Name], Field(max_length=1000)]


def written(key: str) -> Any:
    """A field whose key in files is another one than its name: what hwnas 0.1 called an accuracy is a score."""
    return Field(validation_alias=key, serialization_alias=key)


class Part(Schema):
    """A part of a result."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values, but for those that nobody set."""
        return self.model_dump(mode="json", exclude_unset=True, by_alias=True)


def as_json(part: Part | None) -> dict[str, Any] | None:
    """A part as JSON, where it is there."""
    return None if part is None else part.to_json()


class StandingResult(Part):
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
    against: Name = ""
    told: Name
    level: Literal["better", "unclear", "nothing"]


class EpochResult(Part):
    """One epoch of training."""

    epoch: Count
    loss: Percent
    val_score: Annotated[Percent, written("val_accuracy")]
    seconds: Amount


class LaneResult(Part):
    """One precision of stage profile.

    Args:
        file, table, variants: names of the latency model, of the copy of its table, and of the models of variants.
        reference_ratio: latency of the reference in fp32 over that in this precision.
        source: 'measured', 'imported' or 'estimated'; None in runs of hwnas 0.1.0, where the model tells.
        here: whether this machine is the device; `device` is its fingerprint.
        measured: blocks that were timed now.
        held_out, held_out_isolated_sum, held_out_pairs: errors on networks that were timed to check the table.
        reference_ms, reference_low_ms, reference_high_ms, smallest_ms: as predicted, with its 90 % interval.
        speed, table_reference_ms, table_kernel_ms: how many times as long everything takes as when the table was made,
            and what the reference and the reference kernel took then.
        next: the command that has the target measured; None where it was.
    """

    precision: NetworkPrecision
    file: FileName
    table: FileName | None = None
    reference_ratio: Factor
    variants: dict[VariantKey, FileName] = Field(default_factory=dict)
    source: Name | None = None
    here: bool
    warnings: Texts = Field(default_factory=list)
    device: dict[Name, Any] | None = None
    measured: Count = 0
    held_out: dict[Name, Any] | None = None
    held_out_isolated_sum: dict[Name, Any] | None = None
    held_out_pairs: list[dict[Name, Milliseconds]] = Field(default_factory=list)
    reference_ms: Milliseconds
    reference_low_ms: Milliseconds
    reference_high_ms: Milliseconds
    smallest_ms: Milliseconds
    speed: Factor | None = None
    table_reference_ms: Milliseconds | None = None
    table_kernel_ms: Milliseconds | None = None
    next: Name | None = None


class TimedResult(Part):
    """A measurement."""

    median_ms: Milliseconds
    p10_ms: Milliseconds
    p90_ms: Milliseconds
    runs: Count
    kernel_ms: Milliseconds | None = None

    @classmethod
    def of(cls, timed: Measurement | None) -> TimedResult | None:
        """As `hwnas.runtime` measured it."""
        return None if timed is None else cls.model_validate(timed.to_json())


class PromiseResult(Part):
    """A promised latency, see `hwnas.runtime.promise`."""

    latency_ms: Milliseconds
    basis: Literal["measured", "predicted", "estimated"]
    reference_ms: Milliseconds | None = None
    share: Factor | None = None
    interval: Annotated[list[Milliseconds], Field(min_length=2, max_length=2)] | None = None
    noise: Annotated[float, Field(ge=0, le=1)]


class TailResult(Part):
    """The 99th percentile of a call: `hwnas.runtime.tail.Tail`."""

    p99_ms: Milliseconds
    low_ms: Milliseconds
    high_ms: Milliseconds
    median_ms: Milliseconds
    calm_ms: Milliseconds
    busy: Annotated[float, Field(ge=0, le=1)]
    runs: Count


class EnergyResult(Part):
    """What an image takes: `hwnas.runtime.energy.Energy`."""

    millijoules: Amount
    low: Amount
    high: Amount
    watts: Amount
    meter: Name
    runs: Count


class SpentResult(Part):
    """What a network spends besides its median time; None of what was not asked for, or this machine does not tell.

    Args:
        peak_memory_bytes: of a process, beyond what the empty runtime takes.
        file_bytes: of the ONNX file.
    """

    tail: TailResult | None = None
    energy: EnergyResult | None = None
    peak_memory_bytes: Count | None = None
    file_bytes: Count

    def amount(self, name: str) -> float | None:
        """In the unit inside of a budget; of a tail what runs on a calm machine say."""
        return {P99: self.tail.calm_ms * 1e6 if self.tail else None,
                ENERGY: self.energy.millijoules * 1e3 if self.energy else None,
                PEAK_MEMORY: self.peak_memory_bytes, FILE_SIZE: self.file_bytes}[name]

    @property
    def figures(self) -> dict[str, float]:
        """What is known besides the file, as people read it: ms, mJ, bytes; the tail over all runs."""
        found = {P99: self.tail.p99_ms if self.tail else None,
                 ENERGY: self.energy.millijoules if self.energy else None, PEAK_MEMORY: self.peak_memory_bytes}
        return {name: value for name, value in found.items() if value is not None}

    def kept(self, name: str, limit: float, *, again: bool) -> Kept:
        """Whether a budget is kept.

        Args:
            limit: in the unit inside of the budget.
            again: see `hwnas.runtime.spending.kept`.
        """
        if name == P99 and self.tail is not None:
            return kept_tail(limit / 1e6, Tail(**self.tail.to_json()), again=again)
        scale, value = 1e3 if name == ENERGY else 1.0, self.amount(name)
        found = kept(name, limit / scale, None if value is None else value / scale, again=again)
        if name == ENERGY and self.energy is not None:
            return replace(found, sentence=f"{found.sentence} ({Energy(**self.energy.to_json()).words})")
        return found


class BranchResult(Part):
    """What became of one of several budgets.

    Args:
        name: of its folder.
        budgets: as they were asked for.
        error: why it has no network; None where it has one.
        exit_code: of that error.
    """

    name: FileName
    budgets: dict[Name, Name]
    error: Name | None = None
    exit_code: Annotated[int, Field(ge=0, le=255)] = 0


class CorrectionResult(Part):
    """What the other candidates of a run say of the winner's prediction: `hwnas.latency.correction.Correction`."""

    factor: Factor
    log_sd: Annotated[float, Field(gt=0, le=10)]
    networks: Annotated[int, Field(ge=1, le=100_000)]

    def applied(self, predicted: Prediction) -> Prediction:
        """The prediction as the others correct it."""
        return Correction(self.factor, self.log_sd, self.networks).applied(predicted)


class CandidateResult(Part):
    """An architecture that was looked at by stage generate.

    Args:
        predicted_score, score, trial: percent: by the effects, with the shared weights, after a short fine-tuning.
        fp32_ms: of the same network in fp32 in the same run, where several precisions compete.
        lowered: of how many positions it is in a lower precision, where they differ.
    """

    choice: Choice
    variant: VariantKey = "1"
    precision: NetworkPrecision = "fp32"
    predicted_score: Annotated[Percent, written("predicted_accuracy")]
    score: Percent
    predicted_ms: Milliseconds
    measured_ms: Milliseconds | None = None
    fp32_ms: Milliseconds | None = None
    trial: Percent | None = None
    lowered: Count | None = None


class VerdictResult(Part):
    """What the check of an exported model found: `hwnas.export.Verdict`."""

    max_difference: Amount
    agreement: Percent
    score: Annotated[Percent, written("accuracy")]
    images: Count
    latency: TimedResult | None
    budget_ms: Milliseconds | None = None
    precision: NetworkPrecision = "fp32"
    loss: dict[Name, Any] | None = None
    metric: Name = "accuracy"
    least_agreement: Percent = 100.0
    standing: StandingResult | None = None
    judgement: dict[Name, Any] | None = None
    within_budget: bool = True
    failures: list[Name] = Field(default_factory=list)

    @classmethod
    def of(cls, verdict: Verdict) -> VerdictResult:
        """As `hwnas.export.verify` found it."""
        return cls.model_validate(verdict.to_json())


class DifferenceResult(Part):
    """What the validation images tell of the points between the two networks."""

    points: Percent
    beyond_chance: bool | None = None
    p: Annotated[float, Field(ge=0, le=1)] | None = None
    interval: Annotated[list[Percent], Field(min_length=2, max_length=2)] | None = None
    told: Name
