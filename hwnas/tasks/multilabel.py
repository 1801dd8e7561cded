"""The task multilabel: everything that an image shows, any number of classes.

Its metric is the mean average precision over the classes (`hwnas.tasks.average_precision`), which needs no threshold;
recall and precision of a class are those of an answer above `THRESHOLD`. The answer that needs no network is a random
order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hwnas.data.augment import policy_for
from hwnas.data.feed import WHOLE, Share
from hwnas.data.multilabel import LabelFeed, MultiLabelData, load_multilabel
from hwnas.data.recipe import Recipe
from hwnas.errors import InputError
from hwnas.progress import Progress, silent
from hwnas.space import SpaceConfig
from hwnas.tasks.average_precision import Floats, by_class, mean_ap, of_chance, resampled_means
from hwnas.tasks.breakdown import Breakdown, by_resampling, class_rows, never_found, percent
from hwnas.tasks.metric import Arrays, Metric, Outputs, array_of, require
from hwnas.tasks.readout import LABELS
from hwnas.tasks.standing import Standing, level_above
from hwnas.tasks.task import FEW, Batch, Column, Task, Words, require_classes

THRESHOLD = 0.5  # of a probability, above which a class is answered
RESAMPLES, LEAST_RESAMPLES, MOST_SORTED = 200, 50, 4e7  # draws, and scores that are gone through for all of them
Truth = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class MeanAveragePrecision(Metric):
    """uint8 labels of 0 and 1, (N, K)."""

    labels: Truth
    task: ClassVar[str] = "multilabel"
    name: ClassVar[str] = "mAP"
    relative: ClassVar[bool] = False

    def score(self, batches: Iterable[Outputs]) -> float:
        return mean_ap(by_class(self._logits(batches), self.labels))

    def breakdown(self, batches: Iterable[Outputs], classes: Sequence[str]) -> Breakdown:
        logits = self._logits(batches)
        each, truth, answers = by_class(logits, self.labels), self.labels != 0, logits > 0  # a probability of a half
        shown, right = truth.sum(axis=0), (truth & answers).sum(axis=0)
        rows = class_rows(classes, shown, ap=100 * each, recall=percent(right, shown),
                          precision=percent(right, answers.sum(axis=0)))
        score, chance = mean_ap(each), mean_ap(of_chance(len(self), shown))
        level = level_above(score, chance)
        told = f"a random order: {chance:.2f} %"
        verdict = "" if level == "better" else f"is no better than a random order: mAP {score:.2f} against {chance:.2f}"
        standing = Standing(self.name, score, len(self), majority_score=chance, level=level, against="a random order",
                            told=told, verdict=verdict, never=never_found(classes, shown, right))
        return Breakdown(standing, tuple(classes), rows, "images", more={"threshold": THRESHOLD},
                         each=np.stack([logits, self.labels.astype(logits.dtype)], axis=1), compare=compared)

    def _logits(self, batches: Iterable[Outputs]) -> npt.NDArray[np.float32]:
        return np.concatenate([outputs[0] for outputs in batches])

    def first(self, count: int) -> MeanAveragePrecision:
        return MeanAveragePrecision(self.labels[:count])

    def arrays(self) -> Arrays:
        return {"labels": self.labels}

    def __len__(self) -> int:
        return len(self.labels)


def compared(points: float, before: npt.NDArray[Any], after: npt.NDArray[Any]) -> dict[str, Any]:
    """By the 95 % interval of the points over images that are drawn again and again; both (N, 2, K): logits, labels."""
    rng, images = np.random.default_rng(0), len(after)
    count = int(np.clip(MOST_SORTED / after[:, 0].size, LEAST_RESAMPLES, RESAMPLES))
    draws: Floats = rng.multinomial(images, np.full(images, 1 / images), size=count).astype(np.float64)
    one, other = (resampled_means(each[:, 0], each[:, 1], draws) for each in (before, after))
    low, high = np.quantile(other - one, [0.025, 0.975])
    return by_resampling(points, images, (float(low), float(high)))


class MultiLabel(Task):
    """All classes that an image shows; binary cross entropy of each (`hwnas.train.multilabel`)."""

    name = "multilabel"
    metric_name = "mAP"
    answers = "every class above its threshold, with its probability"
    data_type = MultiLabelData
    class_weights = True
    fit = "letterbox"
    columns = (Column("reference", "ap", "AP, reference"), Column("compressed", "ap", "AP"),
               Column("compressed", "recall", "recall"), Column("compressed", "precision", "precision"))
    words = Words("mAP", "mAP ", "the mean over the classes",
                  "AP: average precision of the order in which a class puts the images, percent. Recall and precision: "
                  f"of the answers above a probability of {THRESHOLD:g}.")
    model_keys = ("thresholds",)

    def load(self, source: str | Path, *, size: tuple[int, int] | None = None, seed: int = 0, limit: int | None = None,
             memory: int | None = None, progress: Progress = silent) -> MultiLabelData:
        """A table of labels, or a folder of boxes: `hwnas.data.multilabel.load_multilabel`."""
        return load_multilabel(source, size=size, seed=seed, limit=limit, memory=memory, progress=progress)

    def epoch(self, data: MultiLabelData, batch: int, rng: np.random.Generator, share: Share = WHOLE,
              recipe: Recipe | None = None) -> Iterator[Batch]:
        return LabelFeed(data.train, policy_for(data), recipe).epoch(batch, rng, share)

    def metric(self, data: MultiLabelData, layout: Any = None) -> MeanAveragePrecision:
        return MeanAveragePrecision(data.val.targets)

    def metric_from(self, arrays: Mapping[str, npt.NDArray[Any]], classes: int, layout: Any,
                    images: tuple[int, ...]) -> MeanAveragePrecision:
        labels = array_of(arrays, "labels", np.uint8, 2)
        require(labels.shape == (images[0], classes),
                f"{images[0]} images need labels of the shape ({images[0]}, {classes}), not {labels.shape}")
        require(int(labels.max(initial=0)) <= 1, "labels must be 0 or 1")
        return MeanAveragePrecision(labels)

    def data_warnings(self, told: Mapping[str, Any]) -> list[str]:
        rare = [name for name, count in told["classes"].items() if 0 < count["val"] < 5]
        found = super().data_warnings(told) if int(told["val"]) < FEW else []
        return [*found, *([f"{len(rare)} classes, like {rare[0]!r}, are shown by fewer than 5 validation images: their "
                           "average precision says little"] if rare else [])]

    def model_facts(self, data: MultiLabelData, layout: Any) -> dict[str, Any]:
        return {"thresholds": [THRESHOLD] * len(data.classes)}

    def check_facts(self, facts: Mapping[str, Any], space: SpaceConfig) -> None:
        require_classes(len(facts["classes"]), space.classes)
        thresholds = facts.get("thresholds")
        if (not isinstance(thresholds, list) or len(thresholds) != space.classes
                or not all(isinstance(t, int | float) and 0 <= t <= 1 for t in thresholds)):
            raise InputError(f"a model of {space.classes} classes needs as many thresholds from 0 to 1")

    def postprocessing(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"kind": LABELS, "thresholds": list(facts["thresholds"])}
