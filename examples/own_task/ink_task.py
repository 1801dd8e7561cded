"""A task of one's own in one file: how much ink is on an image, one number. hwnas knows no line of it.

The figure behind the score is the RMSE, where less is better. Scores are percent and more is better, so the score is
the skill: the share of the RMSE of the answer that needs no network, always the mean, that the network takes off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hwnas.data import load
from hwnas.data.arrays import ArrayData, ArrayPart
from hwnas.tasks import Breakdown, Column, Metric, Standing, Task, Words, array_of, class_rows, level_above

MIDDLE, SPREAD = 0.3, 0.05  # the network gives (ink - MIDDLE) / SPREAD, about -2 to 2
MOST = 0.2  # an image gets up to so much brighter or darker while it is learnt


def ink(images):
    """The mean brightness of every image, as the network is to give it: float32 (N, 1)."""
    return ((images.mean(axis=(1, 2, 3)) / 255 - MIDDLE) / SPREAD).astype(np.float32)[:, None]


def skill(rmse, alone):
    """Percent; below 0 where always the mean is better, since a search must tell bad from worse, too."""
    return max(-100.0, 100 * (1 - rmse / alone))


@dataclass(frozen=True, eq=False)
class SkillMetric(Metric):
    """The truth about some images: float32 (N, 1)."""

    targets: np.ndarray
    task: ClassVar[str] = "ink"
    name: ClassVar[str] = "skill"

    def rmse(self, batches):
        """In percent of an image."""
        found = np.concatenate([outputs[0] for outputs in batches])
        return float(100 * SPREAD * np.sqrt(np.mean((found - self.targets) ** 2)))

    def of_the_mean(self):
        """RMSE of the answer that needs no network."""
        return self.rmse([[np.full_like(self.targets, self.targets.mean())]])

    def score(self, batches):
        return skill(self.rmse(batches), self.of_the_mean())

    def breakdown(self, batches, classes):
        rmse, alone = self.rmse(batches), self.of_the_mean()
        score = skill(rmse, alone)
        standing = Standing(
            self.name, score, len(self), level=level_above(score, 0.0),
            against="always the mean", told=f"RMSE {rmse:.2f}; always the mean: RMSE {alone:.2f}",
            verdict=f"is no better than always the mean: RMSE {rmse:.2f} against {alone:.2f}")
        rows = class_rows(classes, np.array([len(self)]), rmse=np.array([rmse]))
        return Breakdown(standing, tuple(classes), rows, "images")

    def first(self, count):
        return SkillMetric(self.targets[:count])

    def arrays(self):
        return {"targets": self.targets}

    def __len__(self):
        return len(self.targets)


class Ink(Task):
    name = "ink"
    metric_name = "skill"
    answers = "the share of the image that is ink, in percent"
    data_type = ArrayData
    training: ClassVar[dict] = {"lr": 0.1}
    columns = (Column("reference", "rmse", "RMSE, reference", 2, better="less"),
               Column("compressed", "rmse", "RMSE", 2, better="less"))
    words = Words("Skill", "skill ", "the share of the RMSE of the mean that is taken off",
                  "Root of the mean squared error, in percent of an image.", row="number")

    def load(self, source, *, size=None, seed=0, limit=None, memory=None, progress=lambda *where: None):
        found = load(source, imgsz=size[0] if size else None, seed=seed, limit=limit, progress=progress)
        train, val = (ArrayPart(images, ink(images)) for images in (found.train_images, found.val_images))
        return ArrayData("ink", train, val, ("ink",), found.source, found.split)

    def epoch(self, data, batch, rng):
        """Mirrored, and brighter or darker: the ink changes along."""
        order = rng.permutation(len(data.train))
        for start in range(0, len(order) - 1, batch):
            images = data.train.pixels[order[start : start + batch]]
            images = np.where(rng.random((len(images), 1, 1, 1)) < 0.5, images[:, :, ::-1], images)
            factors = rng.uniform(1 - MOST, 1 + MOST, (len(images), 1, 1, 1))
            images = np.clip(images * factors, 0, 255).astype(np.uint8)
            yield images, ink(images)

    def metric(self, data, layout=None):
        return SkillMetric(data.val.targets)

    def metric_from(self, arrays, classes, layout, images):
        return SkillMetric(array_of(arrays, "targets", np.float32, 2))

    def postprocessing(self, facts):
        """Data, no code: it travels in bundles, where a number becomes a value in percent."""
        return {"kind": "values", "scale": 100 * SPREAD, "offset": 100 * MIDDLE, "decimals": 1, "unit": "%"}

    def loss(self, outputs, targets, smoothing):
        import torch

        return (outputs - torch.from_numpy(targets)).square().mean()

    def distilled(self, outputs, taught, plain, teacher):
        return (1 - teacher.weight) * plain + teacher.weight * (outputs - taught.detach()).square().mean()
