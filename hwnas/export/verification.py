"""Is an exported model right, and is it fast enough? Through the runtime that will serve it; no torch.

In fp32 the model must give torch's logits (parity) and answers (agreement). In a lower precision it cannot: there, what
counts is how much accuracy it loses against the same network in fp32, on the same images. In either, its latency must
be within the budget on this device.

Glossary
    n        images                    a, b   of them, right only in fp32, right only in the lower precision
    drop     100 (a - b) / n, points   se     100 sqrt(a + b) / n, standard error of the drop (McNemar 1947)
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.errors import InputError, VerificationFailed
from hwnas.export.samples import Samples, to_pixels
from hwnas.runtime import Measurement, Session, measure_latency, runtime_for
from hwnas.target import Target

PARITY = 1e-4
BATCH = 64
MOST_LOST = 1.0  # points that a lower precision may cost
SURE = 1.645  # standard errors: a loss counts where it is above the limit with 95 % probability


@dataclass(frozen=True)
class Loss:
    """What a lower precision costs a network, on the same images.

    Args:
        fp32_accuracy: top-1 accuracy in fp32, percent.
        drop: points that are lost; negative if it gains.
        error: standard error of the drop, points.
    """

    fp32_accuracy: float
    drop: float
    error: float

    @classmethod
    def of(cls, exact: np.ndarray, rounded: np.ndarray, labels: np.ndarray) -> Loss:
        """From the logits (N, classes) of both and the labels (N,)."""
        right, still = exact.argmax(1) == labels, rounded.argmax(1) == labels
        lost, won, n = int((right & ~still).sum()), int((still & ~right).sum()), len(labels)
        return cls(100 * float(right.mean()), 100 * (lost - won) / n, float(100 * np.sqrt(lost + won) / n))

    @property
    def too_much(self) -> bool:
        """Whether more than `MOST_LOST` is lost, beyond chance."""
        return self.drop - SURE * self.error > MOST_LOST


@dataclass(frozen=True)
class Verdict:
    """What the check found.

    Args:
        max_difference: largest absolute difference from torch's logits.
        agreement: share of images whose top-1 answer is torch's, percent.
        accuracy: top-1 accuracy through the runtime, percent, over `images` images.
        latency: measured on the target; None where that is not at hand.
        budget_ms: the budget, if there is one.
        precision: of the model.
        loss: what a precision other than fp32 costs; None for fp32.
    """

    max_difference: float
    agreement: float
    accuracy: float
    images: int
    latency: Measurement | None
    budget_ms: float | None
    precision: str = "fp32"
    loss: Loss | None = None

    @property
    def within_budget(self) -> bool:
        """False only if a measurement says so."""
        return self.budget_ms is None or self.latency is None or self.latency.median_ms <= self.budget_ms

    def failures(self) -> list[str]:
        """What is wrong, one sentence each; empty if all is well."""
        found = self._inexact() if self.loss is None else self._lossy(self.loss)
        if not self.within_budget and self.latency is not None:
            median = self.latency.median_ms
            found.append(f"median latency is {median:.3f} ms, over the budget of {self.budget_ms:.3f} ms")
        return found

    def _inexact(self) -> list[str]:
        found = []
        if not self.max_difference <= PARITY:
            found.append(f"logits differ from torch's by {self.max_difference:.2e}, more than {PARITY:.0e}")
        if self.agreement < 100:
            found.append(f"top-1 answers agree with torch's on {self.agreement:.2f} % of the images, not on all")
        return found

    def _lossy(self, loss: Loss) -> list[str]:
        if not loss.too_much:
            return []
        return [f"{self.precision} costs {loss.drop:.2f} points of accuracy (standard error {loss.error:.2f}), "
                f"more than {MOST_LOST:.0f}: ship another precision with --precision fp32 or --precision auto"]

    def check(self) -> None:
        """Raise VerificationFailed with every failure, if there is one."""
        if failures := self.failures():
            raise VerificationFailed("the exported model failed its check: " + "; ".join(failures))

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "within_budget": self.within_budget, "failures": self.failures()}


def predict(session: Session, images: np.ndarray, batch: int = BATCH) -> np.ndarray:
    """Logits (N, classes) for uint8 images (N, H, W, C)."""
    parts = [
        session.run({session.input_name: to_pixels(images[i : i + batch])})[0] for i in range(0, len(images), batch)
    ]
    return np.concatenate(parts)


def verify(model: Path, samples: Samples, target: Target, *, budget_ms: float | None = None,
           evaluation: tuple[np.ndarray, np.ndarray] | None = None, exact: np.ndarray | None = None,
           latency: Measurement | None = None, session: Session | None = None, timing: bool = True) -> Verdict:
    """Check an exported model against torch's stored logits and against the budget.

    Args:
        model: the ONNX file, in the precision of the target.
        samples: images with torch's logits.
        target: where and how it runs; the latency is measured with its batch and threads.
        budget_ms: largest median latency.
        evaluation: uint8 images and labels for the accuracy; None takes those of `samples`.
        exact: logits (N, classes) of the network in fp32 on the images of `evaluation`, for the loss of a lower
            precision; None takes torch's on those of `samples`.
        latency: a measurement made already (interleaved with the reference, say); None measures now.
        session: the model loaded already; None loads it on the target's runtime.
        timing: whether to measure if there is no `latency`.

    Raises:
        InputError: the file is missing or not a model.
    """
    loaded = session or runtime_for(target).load(_read(model))
    ours = predict(loaded, samples.images)
    if ours.shape != samples.logits.shape:
        raise InputError(f"{model} gives {ours.shape[1]} logits an image, the samples hold {samples.logits.shape[1]}: "
                         "they are not of one export")
    images, labels = evaluation if evaluation is not None else (samples.images, samples.labels)
    answers = predict(loaded, images) if evaluation is not None else ours
    lossy = target.precision != "fp32"
    loss = Loss.of(exact, answers, labels) if exact is not None else Loss.of(samples.logits, ours, samples.labels)
    return Verdict(
        max_difference=float(np.abs(ours - samples.logits).max()),
        agreement=float((ours.argmax(1) == samples.logits.argmax(1)).mean() * 100),
        accuracy=float((answers.argmax(1) == labels).mean() * 100),
        images=len(labels),
        latency=latency or (measure_latency(loaded, batch=target.batch) if timing else None),
        budget_ms=budget_ms,
        precision=target.precision,
        loss=loss if lossy else None,
    )


def _read(model: Path) -> bytes:
    try:
        return model.read_bytes()
    except OSError as err:
        raise InputError(f"cannot read {model}: {err.strerror or err}") from err
