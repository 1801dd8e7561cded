"""The end of a run in figures: the reference and the compressed network side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas.documents import read_json
from hwnas.latency import LatencyModel, Prediction
from hwnas.pipeline.latencies.origin import origin
from hwnas.pipeline.report.reached import Reached, reached
from hwnas.pipeline.run.cautions import no_success, warnings_of
from hwnas.pipeline.run.details import read_details
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.limits import reference_of
from hwnas.pipeline.run.moments import Moment, moments_of
from hwnas.pipeline.run.reference import Reference
from hwnas.pipeline.run.result_parts import DifferenceResult, SpentResult, StandingResult, TimedResult, VerdictResult
from hwnas.pipeline.run.results import DataResult, ExportResult, GenerateResult, ReportResult
from hwnas.pipeline.selection.answers import told_positions
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.candidates import Configuration
from hwnas.pipeline.selection.precision_solver import solver_of
from hwnas.space import Architecture, Variant
from hwnas.target import MIXED, VALUE_BYTES, Target


@dataclass(frozen=True)
class NetworkSummary:
    """One network: the reference, in fp32, or the result, as it ships.

    Args:
        score: percent, over `images` validation images; `standing` says what it is worth, None in runs of hwnas 0.1.
        predicted_ms, predicted_low_ms, predicted_high_ms: with the interval that holds 90 % of networks.
        measured: None where the device was not at hand.
        memory_bytes: most activations alive at once.
        size_bytes: of the ONNX file.
        spent: what was measured besides: budget -> ms, mJ or bytes.
    """

    score: float
    images: int
    standing: StandingResult | None
    precision: str
    predicted_ms: float
    predicted_low_ms: float
    predicted_high_ms: float
    measured: TimedResult | None
    flops: int
    params: int
    memory_bytes: int
    size_bytes: int
    spent: Mapping[str, float]


@dataclass(frozen=True)
class VariantFacts:
    """What networks have of the reference's channels and pixels.

    Args:
        width: share of the channels.
        imgsz: height of the input, px.
        told: both for people; empty where they have all.
    """

    width: float
    imgsz: int
    told: str


@dataclass(frozen=True)
class PrecisionRow:
    """A network in a precision: its score in percent, its latency where it was measured, whether it ships."""

    name: str
    precision: str
    score: float
    measured: TimedResult | None
    ships: bool


@dataclass(frozen=True)
class FinalistRow:
    """The best finalist of a precision and variant: percent after a short trial, and what it measured."""

    kind: str
    trial: float
    measured_ms: float | None


@dataclass(frozen=True)
class Summary:
    """What was reached.

    Args:
        run, model, report: where they are.
        data: the data set in a line.
        target: as run.json describes it, in the precision that ships.
        latency_source, origin: what predictions are made of, in a word and for people.
        here: whether this machine is the device.
        next: the command that has the target measured; None where it was.
        ratio: latency of the result over that of the reference beside it.
        out: what does not compete -> why.
        parity, agreement: largest difference to torch of the result in fp32, and answers alike in percent.
        loss: of the precision that ships.
        details: of both networks the figures of every class and what is taken for what; None in runs of hwnas 0.1.
        seconds: of all stages.
        no_success: why the result is none although budgets may be met; None where it is one.
        positions: what has which precision, of a result that has several.
    """

    run: Path
    model: Path
    report: Path
    data: str
    target: Mapping[str, Any]
    latency_source: str
    origin: str
    here: bool
    warnings: Sequence[str]
    next: str | None
    choice: tuple[int, ...]
    variant: VariantFacts
    metric: str
    reference: NetworkSummary
    compressed: NetworkSummary
    ratio: float | None
    precisions: Sequence[PrecisionRow]
    finalists: Sequence[FinalistRow]
    out: Mapping[str, str]
    budgets: Sequence[Reached]
    reference_of_budgets: Reference
    moments: Sequence[Moment]
    parity: float
    agreement: float
    loss: Mapping[str, Any] | None
    difference: DifferenceResult | None
    details: Mapping[str, Any] | None
    seconds: float
    no_success: str | None
    positions: str = ""


def is_finished(run: RunFolder) -> bool:
    """Whether every stage is done and its files are as it left them; for several budgets: of each of them.

    Raises:
        RunError: a file is missing or was changed.
    """
    if run.branches:
        paths = [branch.path for branch in run.branches]
        return (all(run.done(stage) for stage in (*run.shared, ReportResult.stage))
                and all((path / "run.json").is_file() and is_finished(RunFolder.open(path)) for path in paths))
    return all(run.done(stage) for stage in run.stages)


def summary(run: RunFolder) -> Summary:
    """What was reached; as JSON: `hwnas.pipeline.report.documents.summary_json`.

    Raises:
        RunError: the model of the run is not exported yet.
    """
    exported, chosen, data = run.found(ExportResult), run.found(GenerateResult), run.found(DataResult)
    lane = run.lane()
    solver = solver_of(run)
    winner = solver.space.architecture(chosen.choice)
    return Summary(
        run=run.path, model=run.path / "model.onnx", report=run.path / "report.html", data=data.summary,
        target={**data.target, "precision": exported.precision}, latency_source=solver.latency.source,
        origin=origin_of(run), here=lane.here, warnings=warnings_of(run), next=exported.next, choice=winner.choice,
        variant=variant_facts(solver), metric=exported.verdict.metric,
        reference=_network(solver, solver.reference, exported.reference, exported.reference_size_bytes,
                           exported.reference_spent),
        compressed=_network(solver, winner, exported.verdict, exported.size_bytes, exported.spent, chosen),
        ratio=exported.ratio,
        precisions=precisions(run), finalists=finalists(run), out=chosen.out, budgets=reached(run, solver, winner),
        reference_of_budgets=reference_of(run), moments=moments_of(run), parity=exported.in_fp32.max_difference,
        agreement=exported.in_fp32.agreement, loss=exported.verdict.loss, difference=exported.difference,
        positions=told_positions(chosen.precisions), details=details_of(run),
        seconds=sum(record.own_seconds for record in run.state.stages.values()),
        no_success=no_success(exported.verdict.standing),
    )


def details_of(run: RunFolder) -> dict[str, Any] | None:
    """Of both networks the figures of every class and what is taken for what; None in runs of hwnas 0.1.

    Raises:
        RunError: as `read_details`.
    """
    found = read_details(run)
    return None if found is None else {who: found[who] for who in ("classes", "reference", "compressed")}


def origin_of(run: RunFolder) -> str:
    """Where the latencies of a run come from, for people."""
    lane, target = run.lane(), Target.model_validate(run.found(DataResult).target)
    source = lane.source or LatencyModel.from_json(read_json(run.path / lane.file)).source
    return origin(source, target, lane.device, here=lane.here)


def variant_facts(solver: ArchitectureSolver) -> VariantFacts:
    """What networks of a solver have of the reference's channels and pixels."""
    return VariantFacts(solver.variant.width, solver.space.config.imgsz, solver.variant.told)


def precisions(run: RunFolder) -> list[PrecisionRow]:
    """The reference and the result in every precision that was exported; empty if that was fp32 alone."""
    exported = run.found(ExportResult)
    if not exported.references:
        return []
    rows: list[tuple[str, str, VerdictResult, bool]] = [
        ("reference", "fp32", exported.reference, False),
        *(("reference", precision, verdict, False) for precision, verdict in exported.references.items())]
    if exported.exact is not None:
        rows.append(("compressed", "fp32", exported.exact, False))
    rows.append(("compressed", exported.precision, exported.verdict, True))
    return [PrecisionRow(name, precision, verdict.score, verdict.latency, ships)
            for name, precision, verdict, ships in rows]


def finalists(run: RunFolder) -> list[FinalistRow]:
    """The best finalist of every precision and variant, where several competed.

    Trials are short and judged on a part of the training images: they compare with each other, not with the result.
    """
    tried = sorted((c for c in run.found(GenerateResult).candidates if c.trial), key=lambda c: c.trial or 0.0)
    best = {Configuration(c.precision, Variant.read(c.variant)): c for c in tried}  # of a kind the best stays
    if len(best) < 2:
        return []
    return [FinalistRow(str(kind), c.trial or 0.0, c.measured_ms) for kind, c in sorted(best.items())]


def _network(solver: ArchitectureSolver, arch: Architecture, verdict: VerdictResult,
             size_bytes: int, spent: SpentResult | None, chosen: GenerateResult | None = None) -> NetworkSummary:
    """One column; the reference is in fp32, so its prediction is that of its precision times the measured ratio.

    Args:
        chosen: of the result: its prediction is as the other candidates have corrected it.
    """
    precision = verdict.precision
    predicted: Prediction = solver.predict(arch) if chosen is None else chosen.corrected(solver.predict(arch))
    factor = solver.reference_ratio if precision not in (solver.latency.precision, solver.precision) else 1.0
    return NetworkSummary(
        score=verdict.score, images=verdict.images, standing=verdict.standing, precision=precision,
        predicted_ms=factor * predicted.latency_ms, predicted_low_ms=factor * predicted.low_ms,
        predicted_high_ms=factor * predicted.high_ms, measured=verdict.latency, flops=arch.flops, params=arch.params,
        memory_bytes=int(solver.cost("memory", arch)) if precision == MIXED else arch.memory_bytes(
            VALUE_BYTES[precision]), size_bytes=size_bytes, spent=spent.figures if spent else {},
    )
