"""What an exported model says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.pipeline.run.limits import reference_of
from hwnas.pipeline.run.result_parts import as_json
from hwnas.pipeline.run.results import GenerateResult, described
from hwnas.space import Architecture
from hwnas.target import MIXED, Target

if TYPE_CHECKING:
    from hwnas.pipeline.context import RunContext


def provenance(context: RunContext, arch: Architecture, role: str, target: Target) -> dict[str, Any]:
    """The JSON under the metadata key 'hwnas'.

    Args:
        role: 'reference' or 'model'.
        target: in the precision of the file; latencies are of this precision, and null where the run knows none.
    """
    source = context.config.data.source
    run, generated = context.run, context.run.found(GenerateResult)
    model = context.latency(target.precision, arch)
    predicted = model.predict(arch) if model else None
    if predicted and role != "reference" and target.precision == generated.precision:
        predicted = generated.corrected(predicted)
    own = {} if role == "reference" or target.precision != MIXED else {
        "precisions": generated.precisions, "latency_source": generated.latency_source,
        "predicted_latency_ms": generated.predicted["latency"] / 1e6, "predicted_low_ms": generated.predicted_low_ms,
        "predicted_high_ms": generated.predicted_high_ms}
    if role == "reference":
        measured = generated.reference_in(target.precision)
    else:
        measured = generated.measured_ms if target.precision == generated.precision else None
    workload = context.workload_of(arch.space)
    of_task = {"task": workload.task.name, "metric": workload.metric.name,
               **workload.task.model_facts(workload.data, workload.layout)}
    return {
        "hwnas": run.state.versions.get("hwnas", ""), "role": "compressed" if role == "model" else role,
        "classes": list(context.dataset.classes), **of_task,
        "precision": target.precision,
        "input": "float32 pixels in 0..1, NCHW; normalisation is inside", "architecture": arch.to_json(),
        "target": described(target), "table_hash": model.table_hash if model else None,
        "predicted_latency_ms": predicted.latency_ms if predicted else None,
        "predicted_low_ms": predicted.low_ms if predicted else None,
        "predicted_high_ms": predicted.high_ms if predicted else None,
        "latency_source": model.source if model else None, "measured_ms": as_json(measured),
        "data": source if source == "digits" else Path(source).name,
        "seed": context.config.seed, "reference": reference_of(run).model_dump(exclude={"derived"}), **own,
    }
