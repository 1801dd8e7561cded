"""What the stages of a run leave, with whatever a test is about; the rest is plain."""

from __future__ import annotations

from typing import Any

from hwnas.pipeline.run.result_parts import LaneResult, VerdictResult
from hwnas.pipeline.run.results import DataResult, ExportResult, GenerateResult, ProfileResult
from hwnas.space import Space


def data(of: Space | None = None, **given: Any) -> DataResult:
    target = {"name": "local", "runtime": "onnxruntime", "precision": "fp32", "batch": 1, "threads": 1}
    space = of.config.to_json() if of else {"name": "mobile", "imgsz": 16, "in_channels": 1, "classes": 2, "depth": 1}
    plain = {"data": {}, "fingerprint": "x", "summary": "s", "space": space, "choices": 1, "size": "3",
             "target": target}
    return DataResult.model_validate(plain | given)


def lane(**given: Any) -> LaneResult:
    plain = {"precision": "fp32", "file": "latency.json", "reference_ratio": 1.0, "here": True, "reference_ms": 0.25,
             "reference_low_ms": 0.24, "reference_high_ms": 0.26, "smallest_ms": 0.1}
    return LaneResult.model_validate(plain | given)


def profile(*lanes: LaneResult, **given: Any) -> ProfileResult:
    return ProfileResult(lanes=list(lanes), **given)


def generated(**given: Any) -> GenerateResult:
    return GenerateResult.model_validate({"choice": [0], "bounds": {}, "predicted": {}, "candidates": []} | given)


def verdict(**given: Any) -> VerdictResult:
    plain = {"max_difference": 0.0, "agreement": 100.0, "accuracy": 50.0, "images": 40, "latency": None}
    return VerdictResult.model_validate(plain | given)


def exported(**given: Any) -> ExportResult:
    plain = {"verdict": verdict(), "reference": verdict(), "budget_ms": None, "ratio": None, "size_bytes": 1,
             "reference_size_bytes": 2}
    return ExportResult.model_validate(plain | given)
