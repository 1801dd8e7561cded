"""What the network that became of a user's own says of itself, so that its file can be used alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwnas.pipeline.own_network.context import OwnContext, plan_of
from hwnas.pipeline.run.own_results import PlanResult
from hwnas.pipeline.run.results import described
from hwnas.quantize.graph import parse
from hwnas.runtime import Measurement
from hwnas.surgery.dataflow import static_shape
from hwnas.surgery.judging import CLASSES, Judge
from hwnas.surgery.plan import FLOAT
from hwnas.target import MIXED, NetworkPrecision


def precision_of_result(context: OwnContext) -> NetworkPrecision:
    """`mixed` where anything is lower than floats; else what floats are computed in."""
    lowered = {option.precision for option in plan_of(context.run.found(PlanResult).chosen).values()} - {FLOAT}
    return MIXED if lowered else context.target.precision


def own_provenance(context: OwnContext, judge: Judge, model: bytes, shapes: Sequence[Sequence[int]] | None,
                   times: tuple[Measurement, Measurement], limit_ms: float | None, samples: int = 0) -> dict[str, Any]:
    """The JSON under the metadata key 'hwnas'.

    Args:
        judge: knows what the outputs are.
        model: the result, or one with every unit in one lower precision.
        shapes: of what it gives for one image; None where they change from image to image.
        times: of the user's network and of the model, in one run.
        limit_ms: of the budget; None of a model that was made for none and is there to be compared with.
        samples: images that are kept beside the model.
    """
    network, config = context.network, context.config
    precision = precision_of_result(context) if limit_ms is not None else MIXED
    graph = parse(model).graph
    known: Sequence[Sequence[int] | None] = shapes or [static_shape(value) for value in graph.output]
    outputs: list[dict[str, Any]] = [
        {"name": value.name, "kind": kind, "probabilities": likely, "shape": list(shape) if shape else None}
        for value, kind, likely, shape in zip(graph.output, judge.kinds, judge.probabilities, known, strict=True)]
    first = outputs[0]
    named = first["kind"] == CLASSES and first["shape"] is not None and first["shape"][1] == len(context.classes)
    return {
        "hwnas": context.run.state.versions.get("hwnas", ""), "network": network.name,
        "role": "compressed" if limit_ms is not None else "uniform", "sha256": network.sha256,
        "contract": network.contract.to_json(), "input": list(network.input_shape),
        "outputs": outputs, "classes": list(context.classes) if named else [], "precision": precision,
        "target": described(context.target.model_copy(update={"precision": precision})),
        "data": Path(config.data.source).name, "seed": config.seed, "samples": samples,
        "latency": {
            "limit_ms": limit_ms, "given_ms": times[0].median_ms, "measured": times[1].to_json(),
            "share": context.budget.value if context.budget.relative and limit_ms is not None else None,
            "device": context.device.fingerprint().to_json()},
    }
