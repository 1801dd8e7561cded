"""The end of a run in figures: the reference and the compressed network side by side."""

from __future__ import annotations

from typing import Any

from hwnas.documents import read_json
from hwnas.latency import LatencyModel, Prediction
from hwnas.pipeline.latencies.origin import origin
from hwnas.pipeline.report.reached import Reached, reached
from hwnas.pipeline.run.cautions import no_success, warnings_of
from hwnas.pipeline.run.details import read_details
from hwnas.pipeline.run.folder import STAGES, RunFolder
from hwnas.pipeline.run.limits import reference_of
from hwnas.pipeline.run.moments import moments_of
from hwnas.pipeline.run.result_parts import VerdictResult, as_json
from hwnas.pipeline.run.results import DataResult, ExportResult, GenerateResult
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.candidates import Configuration
from hwnas.space import Architecture, Variant
from hwnas.target import VALUE_BYTES, Target


def is_finished(run: RunFolder) -> bool:
    """Whether every stage is done and its files are as it left them.

    Raises:
        RunError: a file is missing or was changed.
    """
    return all(run.done(stage) for stage in STAGES)


def summary(run: RunFolder) -> dict[str, Any]:
    """What was reached; latencies in ms, sizes in bytes, accuracies in percent.

    `measured_ms` is None where the device was not at hand; `latency_source` says what the predictions are made of.

    Raises:
        RunError: the model of the run is not exported yet.
    """
    exported, chosen, data = run.found(ExportResult), run.found(GenerateResult), run.found(DataResult)
    lane = run.lane()
    solver = ArchitectureSolver.of_run(run)
    winner = solver.space.architecture(chosen.choice)
    reference = _network(solver, solver.reference, exported.reference, exported.reference_size_bytes)
    compressed = _network(solver, winner, exported.verdict, exported.size_bytes)
    found = {
        "run": str(run.path), "model": str(run.path / "model.onnx"), "report": str(run.path / "report.html"),
        "data": data.summary,
        "target": {**data.target, "precision": lane.precision},
        "latency_source": solver.latency.source, "origin": origin_of(run), "here": lane.here,
        "warnings": warnings_of(run),
        "next": exported.next, "choice": list(winner.choice), "variant": variant_facts(solver),
        "metric": exported.verdict.metric,
        "reference": reference, "compressed": compressed, "ratio": exported.ratio,
        "precisions": precisions(run), "finalists": finalists(run), "out": chosen.out,
        "budgets": _budgets(reached(run, solver, winner)),
        "reference_of_budgets": reference_of(run).model_dump(),
        "moments": [m.to_json() for m in moments_of(run)],
        "parity": exported.in_fp32.max_difference,
        "agreement": exported.in_fp32.agreement, "loss": exported.verdict.loss,
        "difference": exported.difference.to_json() if exported.difference else None, "details": details_of(run),
        "seconds": sum(record.seconds for record in run.state.stages.values()),
    }
    return found | {"no_success": no_success(found)}


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


def variant_facts(solver: ArchitectureSolver) -> dict[str, Any]:
    """What networks of a solver have of the reference's channels and pixels: `width` a share, `imgsz` the height of the
    input in pixels, `told` both for people, empty where they have all."""
    return {"width": solver.variant.width, "imgsz": solver.space.config.imgsz, "told": solver.variant.told}


def precisions(run: RunFolder) -> list[dict[str, Any]]:
    """The reference and the result in every precision that was exported; empty if that was fp32 alone.

    Each: `name`, `precision`, `accuracy` in percent, `measured_ms` (None where not measured), `ships`.
    """
    exported = run.found(ExportResult)
    if not exported.references:
        return []
    rows: list[tuple[str, str, VerdictResult, bool]] = [
        ("reference", "fp32", exported.reference, False),
        *(("reference", precision, verdict, False) for precision, verdict in exported.references.items())]
    if exported.exact is not None:
        rows.append(("compressed", "fp32", exported.exact, False))
    rows.append(("compressed", exported.precision, exported.verdict, True))
    return [{"name": name, "precision": precision, "accuracy": verdict.accuracy,
             "measured_ms": as_json(verdict.latency), "ships": ships} for name, precision, verdict, ships in rows]


def finalists(run: RunFolder) -> list[dict[str, Any]]:
    """The best finalist of every precision and variant, where several competed.

    Each: `kind`, `trial` in percent, `measured_ms` or None.

    Trials are short and judged on a part of the training images: they compare with each other, not with the result.
    """
    tried = sorted((c for c in run.found(GenerateResult).candidates if c.trial), key=lambda c: c.trial or 0.0)
    best = {Configuration(c.precision, Variant.read(c.variant)): c for c in tried}  # of a kind the best stays
    if len(best) < 2:
        return []
    return [{"kind": str(kind), "trial": c.trial, "measured_ms": c.measured_ms}
            for kind, c in sorted(best.items())]


def _network(solver: ArchitectureSolver, arch: Architecture, verdict: VerdictResult,
             size_bytes: int) -> dict[str, Any]:
    """One column; the reference is in fp32, so its prediction is that of its precision times the measured ratio."""
    precision = verdict.precision
    predicted: Prediction = solver.predict(arch)
    factor = solver.reference_ratio if precision != solver.latency.precision else 1.0
    return {
        "accuracy": verdict.accuracy, "images": verdict.images, "standing": as_json(verdict.standing),
        "precision": precision,
        "predicted_ms": factor * predicted.latency_ms, "predicted_low_ms": factor * predicted.low_ms,
        "predicted_high_ms": factor * predicted.high_ms, "measured_ms": as_json(verdict.latency),
        "flops": arch.flops, "params": arch.params,
        "memory_bytes": arch.memory_bytes(VALUE_BYTES[precision]), "size_bytes": size_bytes,
    }


def _budgets(found: list[Reached]) -> list[dict[str, Any]]:
    """Every budget with its limit and what was achieved: latency as measured, or as predicted if it was not."""
    return [{"name": b.name, "asked": b.asked, "told": b.told, "limit": b.limit, "achieved": b.value, "met": b.met,
             "kind": b.kind, "judged": b.sentence,
             "speed": b.speed, "moved": b.moved} for b in found]
