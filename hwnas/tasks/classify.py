"""The task classify: the class of an image.

Its metric is the accuracy: images whose largest logit is their class. The answer that needs no network is always the
commonest class.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hwnas.data import ClassFeed, Dataset, load, policy_for
from hwnas.data.feed import WHOLE, Share
from hwnas.data.recipe import Recipe
from hwnas.progress import Progress, silent
from hwnas.tasks.breakdown import Breakdown, by_answers, class_rows, named, never_found, percent
from hwnas.tasks.chance import LEVEL, exceeds, informed, mean_recall, wilson
from hwnas.tasks.mean_iou import Matrix, confusion
from hwnas.tasks.metric import Arrays, Batches, Metric, Outputs, array_of, require
from hwnas.tasks.standing import Level, Standing, short
from hwnas.tasks.task import FEW, Batch, Column, Task, Words

UNEQUAL = 5.0  # times as many training images as the smallest class has


@dataclass(frozen=True, eq=False)
class AccuracyMetric(Metric):
    """int64 labels, (N,)."""

    labels: npt.NDArray[np.int64]
    task: ClassVar[str] = "classify"
    name: ClassVar[str] = "accuracy"
    relative: ClassVar[bool] = False
    least_agreement: ClassVar[float] = 100.0

    def score(self, batches: Iterable[Outputs]) -> float:
        return float((self._answers(batches) == self.labels).mean() * 100)

    def breakdown(self, batches: Iterable[Outputs], classes: Sequence[str]) -> Breakdown:
        answers = self._answers(batches)
        found, right = confusion(answers, self.labels, len(classes)), answers == self.labels
        rows = class_rows(classes, found.sum(axis=1), recall=percent(np.diag(found), found.sum(axis=1)),
                          precision=percent(np.diag(found), found.sum(axis=0)))
        return Breakdown(standing_of(found, classes), tuple(classes), rows, "images", found, each=right,
                         compare=by_answers)

    def _answers(self, batches: Iterable[Outputs]) -> npt.NDArray[np.int64]:
        return np.concatenate([outputs[0].argmax(1) for outputs in batches])

    def lost(self, exact: Batches, rounded: Batches) -> tuple[float, float, float]:
        """The standard error is that of paired answers (McNemar 1947): 100 sqrt(a + b) / n."""
        right, still = self._answers(exact) == self.labels, self._answers(rounded) == self.labels
        a, b, n = int((right & ~still).sum()), int((still & ~right).sum()), len(self.labels)
        return 100 * float(right.mean()), 100 * (a - b) / n, float(100 * np.sqrt(a + b) / n)

    def agreement(self, exact: Batches, found: Batches) -> float:
        """Images with the same answer, percent."""
        return float((self._answers(exact) == self._answers(found)).mean() * 100)

    def first(self, count: int) -> AccuracyMetric:
        return AccuracyMetric(self.labels[:count])

    def arrays(self) -> Arrays:
        return {"labels": self.labels}

    def __len__(self) -> int:
        return len(self.labels)


def standing_of(found: Matrix, classes: Sequence[str]) -> Standing:
    """From C of the images, (K, K): images of class i that were called j."""
    images, sizes, right = int(found.sum()), found.sum(axis=1), np.diag(found)
    common = int(sizes.argmax())
    # Only the network is right about the images of other classes that it finds; always the commonest, about its own.
    gained, lost = int(right.sum() - right[common]), int(sizes[common] - right[common])
    p = exceeds(gained, lost)
    p_recall = None if p < LEVEL else informed(found)
    level: Level = "better" if p < LEVEL else "unclear" if p_recall is not None and p_recall < LEVEL else "nothing"
    score, least, mean = 100 * int(right.sum()) / images, 100 * int(sizes[common]) / images, mean_recall(found)
    against = f"always {short(classes[common])}"
    told = f"{against}: {least:.2f} %"
    verdict = {
        "better": "",
        "unclear": f"is right on {score:.2f} % of {images:,} images, {told}: no more than chance (p {p:.2g}); only "
                   f"the recall of each class shows what it knows (mean {mean:.1f} %)",
        "nothing": f"is no better than always answering {classes[common]!r}: {score:.2f} % against {least:.2f} % of "
                   f"{images:,} images (p {p:.2g}, mean recall {mean:.1f} %)",
    }[level]
    return Standing("accuracy", score, images, classes[common], least, wilson(int(right.sum()), images), mean, p,
                    p_recall, never_found(classes, sizes, right), level, against, told, verdict, 100 / images)


class Classify(Task):
    """The class of an image; cross entropy with label smoothing (`hwnas.train.objective`)."""

    name = "classify"
    metric_name = "accuracy"
    answers = "the five likeliest classes with their scores"
    data_type = Dataset
    one_class = True
    class_weights = True
    photographs = "photo"
    columns = (Column("reference", "recall", "recall, reference"), Column("compressed", "recall", "recall"),
               Column("compressed", "precision", "precision"))
    words = Words("Accuracy", figures="Recall: of the images of a class, percent that were called so. Precision: of "
                                      "the images that were called so, percent that are.")

    def load(self, source: str | Path, *, size: tuple[int, int] | None = None, seed: int = 0, limit: int | None = None,
             memory: int | None = None, progress: Progress = silent) -> Dataset:
        """A folder a class, a .npz, a .parquet or a known name: `hwnas.data.load`. Images are square."""
        return load(source, imgsz=size[0] if size else None, seed=seed, limit=limit, memory=memory,
                    progress=progress)

    def epoch(self, data: Dataset, batch: int, rng: np.random.Generator, share: Share = WHOLE,
              recipe: Recipe | None = None) -> Iterator[Batch]:
        return ClassFeed(data.train, policy_for(data), recipe, len(data.classes)).epoch(batch, rng, share)

    def metric(self, data: Dataset, layout: Any = None) -> AccuracyMetric:
        return AccuracyMetric(data.val.labels)

    def metric_from(self, arrays: Mapping[str, npt.NDArray[Any]], classes: int, layout: Any,
                    images: tuple[int, ...]) -> AccuracyMetric:
        labels = checked_labels(arrays, classes)
        require(len(labels) == images[0], f"{images[0]} images need as many labels, not {len(labels)}")
        return AccuracyMetric(labels)

    def data_warnings(self, told: Mapping[str, Any]) -> list[str]:
        classes: Mapping[str, Mapping[str, int]] = told["classes"]
        return [*_unequal(classes), *_few(int(told["val"])), *_unseen(classes)]


def checked_labels(arrays: Mapping[str, npt.NDArray[Any]], classes: int) -> npt.NDArray[np.int64]:
    """The labels of a file, int64 (N,), all of 0..classes-1.

    Raises:
        InputError: they are not.
    """
    labels = array_of(arrays, "labels", np.int64, 1)
    low, high = (int(labels.min()), int(labels.max())) if labels.size else (0, 0)
    require(0 <= low <= high < classes, f"labels must be from 0 to {classes - 1}, not {low} to {high}")
    return labels


def _unequal(classes: Mapping[str, Mapping[str, int]]) -> list[str]:
    counts = {name: count["train"] for name, count in classes.items()}
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[most] < UNEQUAL * counts[least]:
        return []
    return [f"the classes are very unequal: {most!r} has {counts[most]:,} training images, {least!r} "
            f"{counts[least]:,}, {counts[most] / counts[least]:.0f} times fewer; an accuracy says little of the rare "
            "ones: look at the recall of each class"]


def _few(images: int) -> list[str]:
    if images >= FEW:
        return []
    low, high = wilson(images // 2, images)
    return [f"{images} validation images cannot tell small differences: one image is {100 / images:.2f} points, and an "
            f"accuracy of {100 * (images // 2) / images:.0f} % is known only as {low:.0f} to {high:.0f} %"]


def _unseen(classes: Mapping[str, Mapping[str, int]]) -> list[str]:
    found = [name for name, count in classes.items() if not count["val"]]
    return [f"{named(found)} without a validation image: nothing tells how well "
            f"{'it is' if len(found) == 1 else 'they are'} recognised"] if found else []
