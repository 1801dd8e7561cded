"""What the stages of a run found, typed: what they leave in run.json and what others read of it.

A hash in run.json tells an accident, not an intention, so nothing of it is believed unseen: every value has a type and
bounds. What hwnas 0.1 did not write yet has a default; further keys are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import Field, model_validator

from hwnas.latency import Prediction
from hwnas.pipeline.run.reference import Reference
from hwnas.pipeline.run.result_parts import (
    Amount,
    BranchResult,
    CandidateResult,
    Choice,
    CorrectionResult,
    DifferenceResult,
    EpochResult,
    Factor,
    LaneResult,
    Part,
    Percent,
    PromiseResult,
    SpentResult,
    StandingResult,
    Texts,
    TimedResult,
    VariantKey,
    VerdictResult,
    written,
)
from hwnas.target import NetworkPrecision, Precision, Target
from hwnas.validation import Count, FileName, Milliseconds, Name


def described(target: Target) -> dict[str, Any]:
    """What run.json and the models say of a target; `Target` reads it back."""
    return target.model_dump(mode="json", exclude={"aliases", "docker"})


class StageResult(Part):
    """What a stage found.

    Args:
        warnings: what a person must be told before its numbers are believed.
    """

    stage: ClassVar[str]

    warnings: Texts = Field(default_factory=list)


Found = TypeVar("Found", bound=StageResult)


class PlannedResult(Part):
    """Epochs that were chosen to fit into the time that was asked for, and the seconds that they were to take."""

    epochs: Annotated[int, Field(ge=1, le=10**5)]
    warmup: Annotated[int, Field(ge=0, le=10**5)]
    epochs_per_evaluation: Annotated[float, Field(gt=0, le=1000)]
    seconds: Annotated[float, Field(ge=0)]

    @property
    def options(self) -> dict[str, Any]:
        """By their flat names."""
        return {name: value for name, value in self.model_dump().items() if name != "seconds"}


class DataResult(StageResult):
    """Stage data.

    Args:
        data: what the data set says of itself; `summary` in one line.
        space: held against its own schema; `size` says how many architectures it has.
        target: as `described` gives it, in the first precision.
        budgets: as they were asked for.
        code: 'loss NAME', 'transform NAME' and the like of the user -> SHA-256 of its file, empty where it cannot be
            read.
        recipe: all of it, so that a run goes on as it began whatever becomes of its file; empty in runs from
            before there were any, which are as `small`.
        planned: with `--time`, for how long is trained.
        shares: among how many trainings threads are divided where neither needs the other, see `hwnas.pipeline.shares`.
    """

    stage = "data"

    data: dict[Name, Any]
    fingerprint: Name
    summary: Name
    space: dict[Name, Any]
    choices: Count
    size: Name
    variants: list[VariantKey] = Field(default_factory=list)
    target: dict[Name, Any]
    budgets: dict[Name, Name] = Field(default_factory=dict)
    recipe: dict[Name, Any] = Field(default_factory=dict)
    code: dict[Name, Name] = Field(default_factory=dict)
    planned: PlannedResult | None = None
    shares: Annotated[int, Field(ge=1, le=2)] = 1


class ProfileResult(StageResult):
    """Stage profile.

    Args:
        lanes: one per precision, the first is fp32 or the only one.
        reference: what percentages are of from now on; None in runs of hwnas 0.1.
        limits: budget -> what it comes to, in words.
        infeasible: of several budgets those that no architecture meets -> why.
        mixed: variant -> file of the latency model of networks of several precisions; empty without one, and
            `mixed_out` says why where it was asked for. `changes`: how many changes of precision were timed now.
    """

    stage = "profile"

    lanes: Annotated[list[LaneResult], Field(min_length=1, max_length=16)]
    mixed: dict[VariantKey, FileName] = Field(default_factory=dict)
    mixed_out: Name | None = None
    changes: Count = 0
    reference: Reference | None = None
    limits: dict[Name, Name] = Field(default_factory=dict)
    infeasible: dict[Name, Name] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _one_lane(cls, given: Any) -> Any:
        """Runs of hwnas 0.1.0 have one lane, in fp32, whose figures stand in the result itself."""
        if not isinstance(given, Mapping) or given.get("lanes") is not None:
            return given
        known = {"reference_ms": 0.0, "smallest_ms": 0.0, **{k: v for k, v in given.items() if k != "reference"}}
        interval = dict.fromkeys(("reference_low_ms", "reference_high_ms"), known["reference_ms"])
        fixed = {"precision": "fp32", "file": "latency.json", "reference_ratio": 1.0, "here": True, "warnings": []}
        return {**given, "lanes": [{**interval, **known, **fixed}]}

    def lane(self, precision: str) -> LaneResult | None:
        """Of one precision; None where the run has none."""
        return next((lane for lane in self.lanes if lane.precision == precision), None)


class TrainedResult(StageResult):
    """A network that was trained: its score on the validation images in percent, and how it got there."""

    score: Annotated[Percent, written("accuracy")]
    metric: Name = "accuracy"
    standing: StandingResult | None = None
    epochs: list[EpochResult]


class ReferenceResult(TrainedResult):
    """Stage reference."""

    stage = "reference"


class FinetuneResult(TrainedResult):
    """Stage finetune.

    Args:
        same_as: folder of another budget of the same run whose network is the same, and was trained already.
    """

    stage = "finetune"

    same_as: FileName | None = None


class SearchResult(StageResult):
    """Stage search.

    Args:
        baseline: mean score of the architectures from which the effects were estimated, percent.
        evaluations: architectures that were scored; `failed`: those whose evaluation gave no score.
        evaluator: what scored them.
        entropy: of the distribution, in nats.
        best, best_score: of the architectures that were evaluated.
        offsets: variant -> what it adds to the scores, in points.
    """

    stage = "search"

    baseline: Percent
    metric: Name = "accuracy"
    evaluations: Count
    failed: Count = 0
    evaluator: Name = "shared"
    entropy: Amount
    best: Choice
    best_score: Percent
    offsets: dict[VariantKey, Percent] = Field(default_factory=dict)


class GenerateResult(StageResult):
    """Stage generate.

    Args:
        choice, variant, precision: of the winner.
        bounds: budget -> upper bound in the units of `hwnas.pipeline.config.budget`; `limits` in words.
        tighten: factor on the latency budget that the table was asked with; above 1 where it says too much.
        predicted_score, shared_weights_score: of the winner, percent; None where a run of 0.1.0 does not say.
        predicted: its costs, with the interval of its latency in ms, as the table says.
        correction: what the other candidates of its kind, which were timed, say of that; None where too few were.
        measured_ms, reference_measured_ms, references_ms: latencies of one run in turns: of the winner, of the
            reference, and of that in every precision; None and empty where the device was not at hand.
        losses: precision -> what it costs the reference, in points.
        out: what does not compete -> why; `close` says that chance may have chosen between the best two.
        precisions: position -> its precision, of a winner that has several.
        sensitivity: the file of what precisions cost at every place, where that was measured.
        rooms: of one network for several targets, target -> share of its latency budget that is predicted to be left.
        agreed: of such a network, target -> factor on its latency budget when it was chosen for all.
    """

    stage = "generate"

    choice: Choice
    variant: VariantKey = "1"
    precision: NetworkPrecision = "fp32"
    bounds: dict[Name, Amount]
    limits: dict[Name, Name] = Field(default_factory=dict)
    tighten: Factor = 1.0
    predicted_score: Annotated[Percent | None, written("predicted_accuracy")] = None
    shared_weights_score: Annotated[Percent | None, written("shared_weights_accuracy")] = None
    predicted: dict[Name, Amount]
    latency_source: Name = "measured"
    predicted_low_ms: Milliseconds | None = None
    predicted_high_ms: Milliseconds | None = None
    correction: CorrectionResult | None = None
    measured_ms: TimedResult | None = None
    reference_measured_ms: TimedResult | None = None
    references_ms: dict[Name, TimedResult | None] = Field(default_factory=dict)
    losses: dict[Name, Percent] = Field(default_factory=dict)
    out: dict[Name, Name] = Field(default_factory=dict)
    close: Name | None = None
    precisions: dict[Name, Precision] = Field(default_factory=dict)
    sensitivity: FileName | None = None
    rooms: dict[Name, Annotated[float, Field(ge=-1e6, le=1)]] = Field(default_factory=dict)
    agreed: dict[Name, Factor] = Field(default_factory=dict)
    candidates: Annotated[list[CandidateResult], Field(max_length=100_000)]

    @property
    def interval(self) -> tuple[float, float] | None:
        """Of the winner's predicted latency, 90 %, ms."""
        low, high = self.predicted_low_ms, self.predicted_high_ms
        return None if low is None or high is None else (low, high)

    def corrected(self, predicted: Prediction) -> Prediction:
        """What the table predicts of the winner, as far as the other candidates have corrected it."""
        return predicted if self.correction is None else self.correction.applied(predicted)

    def reference_in(self, precision: str) -> TimedResult | None:
        """What the reference took in a precision; runs of hwnas 0.1.0 know that of fp32 alone."""
        return self.references_ms.get(precision, self.reference_measured_ms if precision == "fp32" else None)


class ExportResult(StageResult):
    """Stage export.

    Args:
        verdict, reference, exact: of the result, of the reference in fp32, and of the result in fp32 where it ships in
            another precision; `references`: precision -> of the reference in it.
        here: whether this machine is the device.
        budget_ms, promise: what the latency was held against; None without a budget, and no promise in runs of 0.1.
        ratio: latency of the result over that of the reference beside it; None where nothing was timed.
        spent: of the result, and `reference_spent` of the reference, what they take besides their median time; None
            where nobody asked before hwnas 0.2.
        examples: names of the pictures for the report.
        next: the command that has the target measured; None where it was.
    """

    stage = "export"

    precision: NetworkPrecision = "fp32"
    here: bool = True
    verdict: VerdictResult
    reference: VerdictResult
    exact: VerdictResult | None = None
    references: dict[Name, VerdictResult] = Field(default_factory=dict)
    budget_ms: Milliseconds | None
    promise: PromiseResult | None = None
    ratio: Amount | None
    size_bytes: Count
    reference_size_bytes: Count
    spent: SpentResult | None = None
    reference_spent: SpentResult | None = None
    difference: DifferenceResult | None = None
    examples: list[FileName] = Field(default_factory=list)
    next: Name | None = None

    @property
    def in_fp32(self) -> VerdictResult:
        """The check of the result in fp32, which is held against torch."""
        return self.exact or self.verdict


class ReportResult(StageResult):
    """Stage report: nothing but its files; of a run for several budgets what became of each."""

    stage = "report"

    branches: Annotated[list[BranchResult], Field(max_length=1000)] = Field(default_factory=list)


RESULTS: tuple[type[StageResult], ...] = (
    DataResult, ProfileResult, ReferenceResult, SearchResult, GenerateResult, FinetuneResult, ExportResult,
    ReportResult,
)
"""What the stages leave, in their order."""
