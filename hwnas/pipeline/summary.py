"""The end of a run in figures: the reference and the compressed network side by side."""

from __future__ import annotations

from typing import Any

from hwnas.latency import Prediction
from hwnas.pipeline.picking import BYTES, Picker
from hwnas.pipeline.run import STAGES, RunFolder
from hwnas.space import Architecture


def is_finished(run: RunFolder) -> bool:
    """Whether every stage is done and its files are as it left them.

    Raises:
        RunError: a file is missing or was changed.
    """
    return all(run.done(stage) for stage in STAGES)


def summary(run: RunFolder) -> dict[str, Any]:
    """What was reached; latencies in ms, sizes in bytes, accuracies in percent.

    Raises:
        RunError: the model of the run is not exported yet.
    """
    exported, chosen = run.result("export"), run.result("generate")
    picker = Picker.of_run(run)
    winner = picker.space.architecture(chosen["choice"])
    reference = _network(picker, picker.space.largest(), exported["reference"], exported["reference_size_bytes"])
    compressed = _network(picker, winner, exported["verdict"], exported["size_bytes"])
    return {
        "run": str(run.path), "model": str(run.path / "model.onnx"), "report": str(run.path / "report.html"),
        "data": run.result("data")["summary"], "target": run.result("data")["target"],
        "latency_source": picker.latency.source, "choice": list(winner.choice),
        "reference": reference, "compressed": compressed, "ratio": exported["ratio"],
        "budgets": _budgets(run, compressed), "parity": exported["verdict"]["max_difference"],
        "agreement": exported["verdict"]["agreement"],
        "seconds": sum(record.seconds for record in run.state.stages.values()),
    }


def _network(picker: Picker, arch: Architecture, verdict: dict[str, Any], size_bytes: int) -> dict[str, Any]:
    predicted: Prediction = picker.latency.predict(arch)
    return {
        "accuracy": verdict["accuracy"], "images": verdict["images"],
        "predicted_ms": predicted.latency_ms, "predicted_low_ms": predicted.low_ms,
        "predicted_high_ms": predicted.high_ms, "measured_ms": verdict["latency"],
        "flops": arch.flops, "params": arch.params,
        "memory_bytes": arch.memory_bytes(BYTES[picker.latency.precision]), "size_bytes": size_bytes,
    }


def _budgets(run: RunFolder, compressed: dict[str, Any]) -> list[dict[str, Any]]:
    """Every budget with its limit and what was achieved: latency in ms as measured, the others exact."""
    bounds, limit_ms = run.result("generate")["bounds"], run.result("export")["budget_ms"]
    found = []
    for name, text in run.state.config.budgets.items():
        if name == "latency":
            limit, achieved = limit_ms, compressed["measured_ms"]["median_ms"]
        else:
            limit = bounds[name]
            achieved = compressed["memory_bytes" if name == "memory" else name]
        found.append({"name": name, "asked": text, "limit": limit, "achieved": achieved, "met": achieved <= limit})
    return found
