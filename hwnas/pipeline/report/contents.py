"""What a report says of a run, typed; `hwnas.pipeline.report.facts` gathers it, `documents` writes it as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hwnas.generate.explain import Explanation
from hwnas.latency import Prediction
from hwnas.latency.calibrate import Calibration
from hwnas.pipeline.report.reached import Reached
from hwnas.pipeline.report.summary import FinalistRow, PrecisionRow, VariantFacts
from hwnas.pipeline.run.moments import Moment
from hwnas.pipeline.run.reference import Reference
from hwnas.pipeline.run.result_parts import DifferenceResult, EpochResult, StandingResult, TimedResult
from hwnas.search.log import Evaluation, Failure
from hwnas.tasks import Column, Words

T = TypeVar("T")


@dataclass(frozen=True)
class Both(Generic[T]):
    """One thing of both networks."""

    reference: T
    compressed: T


@dataclass(frozen=True)
class Row(Both[T]):
    """A row of the comparison.

    Args:
        kind: 'measured', 'predicted' or 'exact'.
        unit: '%', 'ms', 'bytes' or ''.
        ratio: of the compressed network to the reference; None where there is none.
    """

    kind: str
    unit: str
    ratio: float | None = None


@dataclass(frozen=True)
class Parity:
    """How an exported network differs from torch: the largest difference of an output, and answers alike in percent."""

    max_difference: float
    agreement: float


@dataclass(frozen=True)
class Comparison:
    """The reference beside the compressed network; `latency` is None where nothing was measured on the device.

    Args:
        spent: what was measured besides: 99th percentile (ms), energy (mJ), memory of a process (bytes).
    """

    score: Row[float]
    latency: Row[TimedResult] | None
    predicted_latency: Row[Prediction]
    flops: Row[int]
    params: Row[int]
    memory: Row[int]
    spent: Mapping[str, Row[float]]
    file_size: Row[int]
    parity: Row[Parity]

    def rows(self) -> Iterator[tuple[str, Row[Any]]]:
        """Name and row, in the order of the page."""
        rows = {"score": self.score, "latency": self.latency, "predicted_latency": self.predicted_latency,
                "flops": self.flops, "params": self.params, "memory": self.memory, **self.spent,
                "file_size": self.file_size, "parity": self.parity}
        yield from ((name, row) for name, row in rows.items() if row is not None)


@dataclass(frozen=True)
class PrecisionTable:
    """The networks in every precision that was looked at.

    Args:
        rows: with the share of the fp32 reference's latency that each takes; None where it was not measured.
        losses: precision -> what it costs the reference, in points.
        loss: of the precision that ships, measured on the validation images.
        ships: that precision.
        positions: what has which, where positions differ.
    """

    rows: Sequence[tuple[PrecisionRow, float | None]]
    losses: Mapping[str, float]
    loss: Mapping[str, Any] | None
    ships: str
    positions: str = ""


@dataclass(frozen=True)
class FrontPoint:
    """An architecture as predicted: milliseconds, percent, op index per choice."""

    latency_ms: float
    score: float
    choice: tuple[int, ...]


@dataclass(frozen=True)
class FrontFacts:
    """The front of a run.

    Args:
        exact: whether none is left out, but for rounding.
        architectures: how many the search kept.
    """

    exact: bool
    architectures: int
    points: Sequence[FrontPoint]
    reference: FrontPoint
    chosen: FrontPoint


@dataclass(frozen=True)
class CandidateFacts:
    """An architecture that was considered; `measured_ms` is None where it was not timed on the target."""

    choice: tuple[int, ...]
    predicted_ms: float
    measured_ms: float | None
    predicted_score: float
    shared_weights_score: float
    chosen: bool


@dataclass(frozen=True)
class LatencyModelFacts:
    """What predicts the latencies, and how far it was off on held-out networks.

    Args:
        times: 90 % of networks are expected between 1/times and times of an estimate.
        correction: 'factor' on the prediction of the result that the other candidates measured, and how many
            'networks' they are; None where too few were timed.
    """

    source: str
    precision: str
    calibration: Calibration
    times: float
    held_out: Mapping[str, Any] | None
    held_out_isolated_sum: Mapping[str, Any] | None
    held_out_pairs: Sequence[Mapping[str, float]]
    correction: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class OpFacts:
    """A candidate of a choice: its probability, its effect in points with the standard error."""

    label: str
    signature: str
    probability: float
    effect: float
    stderr: float
    live: bool
    chosen: bool


@dataclass(frozen=True)
class ChoiceFacts:
    """A choice and its candidates."""

    position: str
    ops: Sequence[OpFacts]


@dataclass(frozen=True)
class SearchFacts:
    """Who searched, the mean score that effects are around, entropy in nats, and of how many architectures."""

    mode: str
    baseline: float
    entropy: float
    architectures: int
    evaluations: Sequence[Evaluation]
    failures: Sequence[Failure]
    strategy: str
    evaluator: str


@dataclass(frozen=True)
class LayerCost:
    """What an op is predicted to cost."""

    label: str
    signature: str
    latency_ms: float
    flops: int


@dataclass(frozen=True)
class LayerFacts(Both[LayerCost]):
    """The op of both networks at a position; of the last row, what a call costs whatever the network is."""

    position: str


@dataclass(frozen=True)
class StageTime:
    """A stage and the seconds that it took, `beside` of them at the same time as another."""

    name: str
    seconds: float
    beside: float = 0.0


@dataclass(frozen=True)
class Provenance:
    """Where it all comes from; of paths only the last part, so that a report can be passed on.

    Args:
        config: every option by its name.
        images, runs: that scores and latencies are over.
        tightened: how often an exported network measured over its budget.
        files: name -> SHA-256.
    """

    created: str
    versions: Mapping[str, str]
    seed: int
    config: Mapping[str, Any]
    target: Mapping[str, Any]
    device: Mapping[str, Any] | None
    table_hash: str
    data: Mapping[str, Any]
    space: Mapping[str, Any]
    images: int
    runs: int
    tightened: int
    files: Mapping[str, str]


@dataclass(frozen=True)
class Report:
    """Everything a report says.

    Args:
        standing: what both scores are worth; None in runs of hwnas 0.1.
        no_success: why the result is none; None where it is one.
        words, class_columns: how the task has its score spoken of, and the columns of its table of classes.
        word: what a latency is that was not measured.
        details: the content of details.json with the pictures under `src`; None in runs of hwnas 0.1.
        explanation: what the budgets do to the best predicted architecture, and in sentences; None without a budget.
    """

    headline: str
    standing: Both[StandingResult | None]
    difference: DifferenceResult | None
    no_success: str | None
    metric: str
    words: Words
    class_columns: Sequence[Column]
    word: str
    origin: str
    warnings: Sequence[str]
    next: str | None
    budgets: Sequence[Reached]
    reference: Reference
    moments: Sequence[Moment]
    comparison: Comparison
    precisions: PrecisionTable | None
    variant: VariantFacts
    finalists: Sequence[FinalistRow]
    close: str | None
    out: Mapping[str, str]
    details: Mapping[str, Any] | None
    front: FrontFacts
    explanation: tuple[Explanation, Sequence[str]] | None
    candidates: Sequence[CandidateFacts]
    latency_model: LatencyModelFacts
    distribution: Sequence[ChoiceFacts]
    search: SearchFacts
    training: Both[Sequence[EpochResult]]
    layers: Sequence[LayerFacts]
    stages: Sequence[StageTime]
    provenance: Provenance

    @property
    def measured_here(self) -> bool:
        """Whether latencies were measured on the device."""
        return self.comparison.latency is not None
