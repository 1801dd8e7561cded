"""Is an exported model right, and is it fast enough? Through the runtime that will serve it; no torch.

In fp32 the model must give torch's outputs (parity) and answers (agreement). In a lower precision it cannot: there,
what counts is how much of its score it loses against the same network in fp32, on the same images. In either, its
latency must be within the budget on this device. The score is that of its task (`hwnas.tasks`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.data.views import AnyImages
from hwnas.documents import read_bytes
from hwnas.errors import InputError, VerificationFailed
from hwnas.export.samples import Samples
from hwnas.imaging.fitting import to_input
from hwnas.runtime import Measurement, Session, measure_latency, runtime_for
from hwnas.runtime.onnx_file import LARGEST_MODEL
from hwnas.runtime.parity import PARITY
from hwnas.runtime.promise import Judgement, Promise, judge
from hwnas.target import Target
from hwnas.tasks.breakdown import Breakdown
from hwnas.tasks.classify import AccuracyMetric
from hwnas.tasks.metric import Batches, Metric

BATCH = 64
BATCH_PIXELS = 1 << 22  # so that the outputs and activations of large images fit into memory
KEPT = 1 << 28  # bytes of outputs, 65,000 images of 1,000 classes
MOST_LOST = 1.0  # points that a lower precision may cost
SURE = 1.645  # standard errors: a loss counts where it is above the limit with 95 % probability


@dataclass(frozen=True)
class Loss:
    """What a lower precision costs a network, on the same images.

    Args:
        fp32_score: the score in fp32, percent.
        drop: points that are lost; negative if it gains.
        error: standard error of the drop, points; 0 where it is not known.
    """

    fp32_score: float
    drop: float
    error: float

    @classmethod
    def of(cls, exact: np.ndarray, rounded: np.ndarray, labels: np.ndarray) -> Loss:
        """From the logits (N, classes) of a classifier in both and the labels (N,)."""
        return cls.between(AccuracyMetric(labels), [[exact]], [[rounded]])

    @classmethod
    def between(cls, metric: Metric, exact: Batches, rounded: Batches) -> Loss:
        """From the outputs for all images in both."""
        return cls(*metric.lost(exact, rounded))

    @property
    def fp32_accuracy(self) -> float:
        """`fp32_score` under its name of 0.1, for one version more."""
        warnings.warn("Loss.fp32_accuracy is now Loss.fp32_score", DeprecationWarning, stacklevel=2)
        return self.fp32_score

    @property
    def too_much(self) -> bool:
        """Whether more than `MOST_LOST` is lost, beyond chance."""
        return self.drop - SURE * self.error > MOST_LOST


@dataclass(frozen=True)
class Verdict:
    """What the check found.

    Args:
        max_difference: largest difference from torch's outputs: absolute of logits, of maps relative above 1.
        agreement: share of a classifier's images whose top-1 answer is torch's, percent; else 100 less the points
            between the scores of both.
        score: through the runtime, percent, over `images` images.
        latency: measured on the target; None where that is not at hand.
        budget_ms: the budget, if there is one.
        judgement: whether `latency` keeps what was promised; None where there was nothing to judge, or to judge by.
        precision: of the model.
        loss: what a precision other than fp32 costs; None for fp32.
        metric: name of the score.
        least_agreement: percent that the task asks for; 100 where images are counted.
        breakdown: what the score is worth and made of.
    """

    max_difference: float
    agreement: float
    score: float
    images: int
    latency: Measurement | None
    budget_ms: float | None
    precision: str = "fp32"
    loss: Loss | None = None
    metric: str = "accuracy"
    breakdown: Breakdown | None = field(default=None, compare=False, repr=False)
    judgement: Judgement | None = None
    least_agreement: float = field(default=100.0, compare=False, repr=False)

    @property
    def accuracy(self) -> float:
        """`score` under its name of 0.1, for one version more."""
        warnings.warn("Verdict.accuracy is now Verdict.score", DeprecationWarning, stacklevel=2)
        return self.score

    @property
    def counts_images(self) -> bool:
        """Whether the agreement is a share of the images; else it is 100 less the points between two scores."""
        return self.least_agreement == 100

    @property
    def within_budget(self) -> bool:
        """False only if a measurement says so."""
        if self.judgement is not None:
            return not self.judgement.failed
        return self.budget_ms is None or self.latency is None or self.latency.median_ms <= self.budget_ms

    def failures(self) -> list[str]:
        """What is wrong, one sentence each; empty if all is well."""
        found = self._inexact() if self.loss is None else self._lossy(self.loss)
        if not self.within_budget and self.latency is not None:
            why = f": {self.judgement.sentence}" if self.judgement is not None else ""
            found.append(f"median latency is {self.latency.median_ms:.3f} ms, over the budget of {self.budget_ms:.3f} "
                         f"ms{why}")
        return found

    def _inexact(self) -> list[str]:
        found = []
        if not self.max_difference <= PARITY:
            found.append(f"logits differ from torch's by {self.max_difference:.2e}, more than {PARITY:.0e}")
        if self.agreement < self.least_agreement:
            found.append(f"top-1 answers agree with torch's on {self.agreement:.2f} % of the images, not on all"
                         if self.counts_images else
                         f"{self.metric} differs from torch's by {100 - self.agreement:.2f} points, more than "
                         f"{100 - self.least_agreement:.2g}")
        return found

    def _lossy(self, loss: Loss) -> list[str]:
        if not loss.too_much:
            return []
        return [f"{self.precision} costs {loss.drop:.2f} points of {self.metric} (standard error {loss.error:.2f}), "
                f"more than {MOST_LOST:.0f}: ship another precision with --precision fp32 or --precision auto"]

    def check(self) -> None:
        """Raise VerificationFailed with every failure, if there is one."""
        if failures := self.failures():
            raise VerificationFailed("the exported model failed its check: " + "; ".join(failures))

    def to_json(self) -> dict[str, Any]:
        """The fields, but of the breakdown only the `standing` of the score; keys are those of 0.1."""
        told = asdict(replace(self, breakdown=None))
        del told["breakdown"]
        told["accuracy"] = told.pop("score")
        if told["loss"]:
            told["loss"]["fp32_accuracy"] = told["loss"].pop("fp32_score")
        standing = self.breakdown.standing.to_json() if self.breakdown else None
        return {**told, "standing": standing, "within_budget": self.within_budget, "failures": self.failures()}


def answers(session: Session, images: AnyImages, batch: int = BATCH) -> Iterator[list[np.ndarray]]:
    """All outputs for uint8 images (N, H, W, C), in order, at most `batch` images at a time."""
    size = min(batch, max(1, BATCH_PIXELS // (images.shape[1] * images.shape[2])))
    for i in range(0, len(images), size):
        yield list(session.run({session.input_name: to_input(np.asarray(images[i : i + size]))}))


class Answers(Iterable[list[np.ndarray]]):
    """`answers` that may be gone through again: kept as long as they are few bytes, given by the model anew if not.

    Args:
        session, images: as of `answers`.
        most_bytes: that are kept; the masks of thousands of images take more than there is.
    """

    def __init__(self, session: Session, images: AnyImages, most_bytes: int = KEPT) -> None:
        self._session, self._images, self._room = session, images, most_bytes
        self._kept: list[list[np.ndarray]] | None = None

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        if self._kept is not None:
            yield from self._kept
            return
        kept, room = list[list[np.ndarray]](), self._room
        for outputs in answers(self._session, self._images):
            room -= sum(output.nbytes for output in outputs)
            if room >= 0:
                kept.append(outputs)
            else:
                kept.clear()
            yield outputs
        if room >= 0:
            self._kept = kept


def predict(session: Session, images: np.ndarray, batch: int = BATCH) -> np.ndarray:
    """Logits (N, classes) of a classifier for uint8 images (N, H, W, C)."""
    return np.concatenate([outputs[0] for outputs in answers(session, images, batch)])


def verify(model: Path, samples: Samples, target: Target, *, budget_ms: float | None = None,
           promise: Promise | None = None, evaluation: tuple[AnyImages, Metric] | None = None,
           exact: Batches | None = None, latency: Measurement | None = None, reference: Measurement | None = None,
           session: Session | None = None, timing: bool = True, classes: Sequence[str] | None = None) -> Verdict:
    """Check an exported model against torch's stored outputs and against the budget.

    Args:
        model: the ONNX file, in the precision of the target.
        samples: images with torch's outputs.
        target: where and how it runs; the latency is measured with its batch and threads.
        budget_ms: largest median latency, whatever the speed of the device.
        promise: largest median latency at the speed of a reference; in place of `budget_ms`.
        evaluation: uint8 images and the truth about them for the score; None takes those of `samples`.
        exact: outputs of the network in fp32 on the images of `evaluation`, for the loss of a lower precision; None
            takes torch's on those of `samples`.
        latency: a measurement made already (interleaved with the reference, say); None measures now.
        reference: latency of the promise's reference in the same run; None where it was not timed.
        session: the model loaded already; None loads it on the target's runtime.
        timing: whether to measure if there is no `latency`.
        classes: names, for the breakdown of the score; None takes their numbers.

    Raises:
        InputError: the file is missing or not a model, or the truth names classes that it does not have.
    """
    loaded = session or runtime_for(target).load(_read(model))
    ours = list(answers(loaded, samples.images))
    joined = [np.concatenate(parts) for parts in zip(*ours, strict=True)]
    _check_shapes(model, joined, samples.outputs)
    images, truth = evaluation if evaluation is not None else (samples.images, samples.metric)
    found = Answers(loaded, images) if evaluation is not None else ours
    breakdown = truth.breakdown(found, classes or [str(i) for i in range(samples.classes)])
    asked = promise or (Promise(budget_ms, noise=0.0) if budget_ms is not None else None)
    timed = latency or (measure_latency(loaded, batch=target.batch) if timing else None)
    return Verdict(
        max_difference=_difference(joined, samples),
        agreement=samples.metric.agreement([samples.outputs], ours),
        score=breakdown.standing.score,
        images=len(images),
        latency=timed,
        budget_ms=asked.latency_ms if asked else None,
        precision=target.precision,
        loss=_loss(truth, exact, found, samples, ours) if target.precision != "fp32" else None,
        metric=truth.name,
        least_agreement=truth.least_agreement,
        judgement=_judged(asked, timed, reference),
        breakdown=breakdown,
    )


def _judged(promise: Promise | None, latency: Measurement | None, reference: Measurement | None) -> Judgement | None:
    if promise is None or latency is None:
        return None
    return judge(promise, latency.median_ms, reference.median_ms if reference else None)


def _loss(metric: Metric, exact: Batches | None, found: Batches, samples: Samples, ours: Batches) -> Loss:
    if exact is not None:
        return Loss.between(metric, exact, found)
    return Loss.between(samples.metric, [samples.outputs], ours)


def _check_shapes(model: Path, ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> None:
    if [a.shape for a in ours] != [b.shape for b in theirs]:
        told = [", ".join(str(a.shape[1]) if a.ndim == 2 else "x".join(map(str, a.shape[1:])) for a in outputs)
                for outputs in (ours, theirs)]
        raise InputError(f"{model} gives {told[0]} logits an image, the samples hold {told[1]}: they are not of one "
                         "export")


def _difference(ours: Sequence[np.ndarray], samples: Samples) -> float:
    parts = (np.abs(a - b) / (np.maximum(1, np.abs(b)) if samples.metric.relative else 1)
             for a, b in zip(ours, samples.outputs, strict=True))
    return float(np.max([part.max() for part in parts]))


def _read(model: Path) -> bytes:
    return read_bytes(model, LARGEST_MODEL)
