"""Is an exported model right, and is it fast enough? Through the runtime that will serve it; no torch.

Three questions: does it give torch's logits (parity), does it give torch's answers (agreement), does it run within
the budget on this device (latency).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.errors import InputError, VerificationFailed
from hwnas.export.samples import Samples, to_pixels
from hwnas.runtime import Measurement, Session, measure_latency, runtime_for
from hwnas.target import Target

METADATA_KEY = "hwnas"
PARITY = 1e-4
BATCH = 64


@dataclass(frozen=True)
class Verdict:
    """What the check found.

    Args:
        max_difference: largest absolute difference from torch's logits.
        agreement: share of images whose top-1 answer is torch's, percent.
        accuracy: top-1 accuracy through the runtime, percent, over `images` images.
        latency: measured on the target.
        budget_ms: the budget, if there is one.
    """

    max_difference: float
    agreement: float
    accuracy: float
    images: int
    latency: Measurement
    budget_ms: float | None

    @property
    def within_budget(self) -> bool:
        return self.budget_ms is None or self.latency.median_ms <= self.budget_ms

    def failures(self) -> list[str]:
        """What is wrong, one sentence each; empty if all is well."""
        found = []
        if not self.max_difference <= PARITY:
            found.append(f"logits differ from torch's by {self.max_difference:.2e}, more than {PARITY:.0e}")
        if self.agreement < 100:
            found.append(f"top-1 answers agree with torch's on {self.agreement:.2f} % of the images, not on all")
        if not self.within_budget:
            median = self.latency.median_ms
            found.append(f"median latency is {median:.3f} ms, over the budget of {self.budget_ms:.3f} ms")
        return found

    def check(self) -> None:
        """Raise VerificationFailed with every failure, if there is one."""
        if failures := self.failures():
            raise VerificationFailed("the exported model failed its check: " + "; ".join(failures))

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "within_budget": self.within_budget, "failures": self.failures()}


def read_metadata(model: bytes) -> dict[str, Any]:
    """The provenance that `to_onnx` stored in a model.

    Raises:
        InputError: not an ONNX model, or not one of ours.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        proto = onnx.load_model_from_string(model)
    except DecodeError as err:
        raise InputError(f"not an ONNX model: {err}") from err
    stored = {p.key: p.value for p in proto.metadata_props}
    if METADATA_KEY not in stored:
        raise InputError("the model has no 'hwnas' metadata: it was not exported by hwnas")
    try:
        values = json.loads(stored[METADATA_KEY])
    except ValueError as err:
        raise InputError(f"the model's 'hwnas' metadata is not JSON: {err}") from err
    if not isinstance(values, dict):
        raise InputError("the model's 'hwnas' metadata is not a JSON object")
    return values


def predict(session: Session, images: np.ndarray, batch: int = BATCH) -> np.ndarray:
    """Logits (N, classes) for uint8 images (N, H, W, C)."""
    parts = [
        session.run({session.input_name: to_pixels(images[i : i + batch])})[0] for i in range(0, len(images), batch)
    ]
    return np.concatenate(parts)


def verify(model: Path, samples: Samples, target: Target, *, budget_ms: float | None = None,
           evaluation: tuple[np.ndarray, np.ndarray] | None = None,
           latency: Measurement | None = None) -> Verdict:
    """Check an exported model against torch's stored logits and against the budget.

    Args:
        model: the ONNX file.
        samples: images with torch's logits.
        target: where and how it runs; the latency is measured with its batch and threads.
        budget_ms: largest median latency.
        evaluation: uint8 images and labels for the accuracy; None takes those of `samples`.
        latency: a measurement made already (interleaved with the reference, say); None measures now.

    Raises:
        InputError: the file is missing or not a model.
    """
    try:
        data = model.read_bytes()
    except OSError as err:
        raise InputError(f"cannot read {model}: {err.strerror or err}") from err
    session = runtime_for(target).load(data)
    ours = predict(session, samples.images)
    if ours.shape != samples.logits.shape:
        raise InputError(f"{model} gives {ours.shape[1]} logits an image, the samples hold {samples.logits.shape[1]}: "
                         "they are not of one export")
    images, labels = evaluation if evaluation is not None else (samples.images, samples.labels)
    answers = predict(session, images) if evaluation is not None else ours
    measured = latency or measure_latency(session, batch=target.batch)
    return Verdict(
        max_difference=float(np.abs(ours - samples.logits).max()),
        agreement=float((ours.argmax(1) == samples.logits.argmax(1)).mean() * 100),
        accuracy=float((answers.argmax(1) == labels).mean() * 100),
        images=len(labels),
        latency=measured,
        budget_ms=budget_ms,
    )
