"""The task segment: the class of every pixel.

Its metric is mIoU, the mean over the classes of intersection over union. The answer that needs no network is a mask of
the commonest class.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from hwnas.data.feed import WHOLE, Share
from hwnas.data.recipe import Recipe
from hwnas.data.segmentation import SegmentationData, SegmentationFeed, load_segmentation
from hwnas.data.views import AnyImages
from hwnas.errors import InputError
from hwnas.imaging.letterbox import IGNORE, Letterbox
from hwnas.imaging.picture import Picture
from hwnas.progress import Progress, silent
from hwnas.tasks import readout
from hwnas.tasks.answer import Answer, Cases, LoadedModel, Pixels
from hwnas.tasks.breakdown import Breakdown, by_resampling, class_rows, finite, never_found, percent
from hwnas.tasks.chance import Matrix, spread_of_miou
from hwnas.tasks.drawing import colours, draw_mask
from hwnas.tasks.mean_iou import MeanIou, confusion
from hwnas.tasks.metric import Arrays, Metric, Outputs, array_of, require
from hwnas.tasks.standing import Standing, level_above, short
from hwnas.tasks.task import Batch, Column, Shapes, Task, Words, require_classes
from hwnas.tasks.tiling import tiled_logits
from hwnas.validation import Schema, checked

if TYPE_CHECKING:
    from hwnas.space import SpaceConfig

EACH = 1 << 22  # numbers of the confusions of single images that are kept
Colour = Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=3, max_length=3)]


class FactsSchema(Schema):
    """What a model says of itself beside its classes."""

    palette: list[Colour] | None = None


@dataclass(frozen=True, eq=False)
class MeanIouMetric(Metric):
    """uint8 masks (N, H, W) of classes 0..K-1, 255 where it does not matter."""

    masks: AnyImages
    classes: int
    task: ClassVar[str] = "segment"
    name: ClassVar[str] = "mIoU"

    def score(self, batches: Iterable[Outputs]) -> float:
        return self.details(batches).miou

    def details(self, batches: Iterable[Outputs]) -> MeanIou:
        """Intersection over union of every class as well."""
        return MeanIou(self._confusions(batches, each=False)[1])

    def breakdown(self, batches: Iterable[Outputs], classes: Sequence[str]) -> Breakdown:
        each, total = self._confusions(batches, each=len(self) * self.classes**2 <= EACH)
        found, sizes, right = MeanIou(total), total.sum(axis=1), np.diag(total)
        rows = class_rows(classes, sizes, iou=found.per_class, recall=percent(right, sizes),
                          precision=percent(right, total.sum(axis=0)))
        return Breakdown(standing_of(total, len(self), classes), tuple(classes), rows, "pixels", total,
                         {"pixel_accuracy": finite(found.pixel_accuracy)}, each, _compare)

    def _confusions(self, batches: Iterable[Outputs], *, each: bool) -> tuple[npt.NDArray[np.int64] | None,
                                                                              npt.NDArray[np.int64]]:
        """Of every image if asked for, (N, K, K), and of all, (K, K)."""
        total, found, start = np.zeros((self.classes, self.classes), np.int64), [], 0
        for outputs in batches:
            answers = outputs[0].argmax(1)
            truth = np.asarray(self.masks[start : start + len(answers)])
            if each:
                found += [confusion(a, b, self.classes) for a, b in zip(answers, truth, strict=True)]
            else:
                total += confusion(answers, truth, self.classes)
            start += len(answers)
        return (np.stack(found), np.sum(found, axis=0, dtype=np.int64)) if found else (None, total)

    def first(self, count: int) -> MeanIouMetric:
        return MeanIouMetric(self.masks[:count], self.classes)

    def arrays(self) -> Arrays:
        return {"masks": np.asarray(self.masks)}

    def __len__(self) -> int:
        return len(self.masks)


def _compare(points: float, before: npt.NDArray[Any], after: npt.NDArray[Any]) -> dict[str, Any]:
    return by_resampling(points, len(after), spread_of_miou(after, before))


def standing_of(total: Matrix, images: int, classes: Sequence[str]) -> Standing:
    """From C of all pixels, (K, K)."""
    sizes = total.sum(axis=1)
    common = int(sizes.argmax())
    alone = np.zeros_like(total)
    alone[:, common] = sizes
    score, least = finite(MeanIou(total).miou) or 0.0, finite(MeanIou(alone).miou) or 0.0
    level = level_above(score, least)
    verdict = "" if level == "better" else (
        f"is no better than a mask that is {classes[common]!r} everywhere: mIoU {score:.2f} % against {least:.2f} % on "
        f"{images:,} images")
    against = f"all {short(classes[common])}"
    return Standing("mIoU", score, images, classes[common], least, never=never_found(classes, sizes, np.diag(total)),
                    level=level, against=against, told=f"{against}: {least:.2f} %", verdict=verdict)


class Segment(Task):
    """The class of every pixel; cross entropy over the pixels that matter (`hwnas.train.segment`)."""

    name = "segment"
    metric_name = "mIoU"
    answers = "the share of every class; `-o FOLDER` writes the class of every pixel as PNG"
    data_type = SegmentationData
    class_weights = True
    heads = ("lraspp", "deeplab", "fpn")
    fit = "letterbox"
    pictures = ("picture", "mask")
    tiles = True
    one_size = ("a mask is as large as the input, so a segmenter of smaller images would be judged by coarser masks; "
                "take --imgsz")
    training: ClassVar[Mapping[str, Any]] = {"lr": 0.05}
    widths = (0.75, 0.5)
    columns = (Column("reference", "iou", "IoU, reference"), Column("compressed", "iou", "IoU"),
               Column("compressed", "recall", "recall"))
    words = Words("mIoU", "mIoU ", "the mean over the classes",
                  "Intersection over union and recall of the pixels of every class, percent.")
    model_keys = ("palette",)
    remembers = False

    def load(self, source: str | Path, *, size: tuple[int, int] | None = None, seed: int = 0, limit: int | None = None,
             memory: int | None = None, progress: Progress = silent) -> SegmentationData:
        """Images and masks, in a layout of `hwnas.data.segmentation.folders`."""
        return load_segmentation(source, size=size, seed=seed, limit=limit, memory=memory,
                    progress=progress)

    def epoch(self, data: SegmentationData, batch: int, rng: np.random.Generator, share: Share = WHOLE,
              recipe: Recipe | None = None) -> Iterator[Batch]:
        return SegmentationFeed(data.train, recipe=recipe).epoch(batch, rng, share)

    def metric(self, data: SegmentationData, layout: Any = None) -> MeanIouMetric:
        return MeanIouMetric(data.val.truth, len(data.classes))

    def metric_from(self, arrays: Mapping[str, npt.NDArray[Any]], classes: int, layout: Any,
                    images: tuple[int, ...]) -> MeanIouMetric:
        masks = array_of(arrays, "masks", np.uint8, 3)
        require(masks.shape == images[:3], f"masks must be {images[:3]} as the images, not {masks.shape}")
        require(not ((masks >= classes) & (masks != IGNORE)).any(), f"a mask names a class beyond {classes - 1}")
        return MeanIouMetric(masks, classes)

    def cases(self, metric: Metric, data: SegmentationData, batches: Iterable[Outputs]) -> Cases:
        """The score of an image is its mIoU."""
        assert isinstance(metric, MeanIouMetric)
        truth, palette, images = metric.masks, data.palette, data.val.pixels
        masks = np.concatenate([outputs[0].argmax(1).astype(np.uint8) for outputs in batches])
        scores = [MeanIou(confusion(a, b, metric.classes)).miou for a, b in zip(masks, truth, strict=True)]
        return Cases(scores, lambda i: (draw_mask(images[i], truth[i], palette),
                                        draw_mask(images[i], masks[i], palette)))

    def model_facts(self, data: SegmentationData, layout: Any) -> dict[str, Any]:
        return {"palette": data.palette.tolist()}

    def check_facts(self, facts: Mapping[str, Any], space: SpaceConfig) -> None:
        require_classes(len(facts["classes"]), space.classes)
        palette = checked(FactsSchema, facts, "the model's 'hwnas' metadata").palette
        if palette is not None and len(palette) != space.classes:
            raise InputError(f"the model has {len(palette)} colours for {space.classes} classes")

    def output_shapes(self, classes: int, size: tuple[int, int], layout: Any = None) -> Shapes:
        return [(None, classes, *size)]

    def postprocessing(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"kind": readout.MASK}

    def answer(self, model: LoadedModel, picture: Picture) -> Answer:
        mask = self.mask(model, picture)
        palette = _palette(model)
        return Answer(readout.shares(mask, model.classes), lambda: draw_mask(picture.pixels(), mask, palette), mask)

    def mask(self, model: LoadedModel, picture: Picture) -> Pixels:
        """Class of every pixel of an image, uint8 (H, W)."""
        if model.tiled:
            logits = tiled_logits(lambda tiles: model.run(tiles)[0], picture.pixels(), model.size)
            return np.asarray(logits.argmax(0), np.uint8)
        answers = model.run(self.fitted(model, picture)[None])[0][0].argmax(0).astype(np.uint8)
        return Letterbox.fit(*picture.size, model.size).mask_to_original(answers)


def _palette(model: LoadedModel) -> Pixels:
    stored = model.facts.get("palette")
    return np.array(stored, np.uint8) if stored else colours(len(model.classes))
