"""The task detect: boxes and their classes.

Its metric is mAP@[.5:.95] in pixels of the original images. The answer that needs no network is nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from hwnas.data.detection import DetectionData, DetectionFeed, DetectionPart, load_detection
from hwnas.data.feed import WHOLE, Share
from hwnas.data.recipe import Recipe
from hwnas.imaging.letterbox import Letterbox
from hwnas.imaging.picture import Picture
from hwnas.progress import Progress, silent
from hwnas.space import Space
from hwnas.tasks import readout
from hwnas.tasks.answer import Answer, Cases, LoadedModel, Pixels
from hwnas.tasks.breakdown import Breakdown, class_rows, finite, never_found
from hwnas.tasks.classify import checked_labels
from hwnas.tasks.coco_map import RECALLS, CocoMap, CocoTruth
from hwnas.tasks.detection import DetectionHeadLayout
from hwnas.tasks.drawing import draw_boxes
from hwnas.tasks.head_layout import layout_of
from hwnas.tasks.metric import Array, Arrays, Metric, Outputs, array_of, require
from hwnas.tasks.nms import Detections, detections, overlaps
from hwnas.tasks.standing import Standing, level_above
from hwnas.tasks.task import Batch, Column, Shapes, Task, Words, require_classes

if TYPE_CHECKING:
    from hwnas.space import SpaceConfig

EVERY = 5  # of the recalls of a curve; enough for a line
SHOWN, OVERLAP = 0.3, 0.5  # of an image's own score: least score of a box, and overlap that finds it
MOST_SIDE = 1_000_000


@dataclass(frozen=True, eq=False)
class DetectionMetric(Metric):
    """True boxes of every image.

    Args:
        layout: what the outputs mean.
        boxes: float32 (n_i, 4) each, pixels of the network's input.
        labels, crowd: int64 and bool, (n_i,) each.
        originals: int64 (N, 2), height and width of the images before they were fitted to the input.
    """

    layout: DetectionHeadLayout
    boxes: tuple[Array, ...]
    labels: tuple[npt.NDArray[np.int64], ...]
    crowd: tuple[npt.NDArray[np.bool_], ...]
    originals: npt.NDArray[np.int64]
    task: ClassVar[str] = "detect"
    name: ClassVar[str] = "mAP"

    @classmethod
    def of(cls, part: DetectionPart, layout: DetectionHeadLayout) -> DetectionMetric:
        """The truth about a part of a data set."""
        originals = np.array([(f.height, f.width) for f in part.frames], np.int64).reshape(-1, 2)
        return cls(layout, part.boxes, part.labels, part.crowd, originals)

    def score(self, batches: Iterable[Outputs]) -> float:
        found = self.details(batches).map
        return 0.0 if np.isnan(found) else found

    def details(self, batches: Iterable[Outputs]) -> CocoMap:
        """Average precisions of every class as well."""
        return self._truth.score([self._original(i, d) for i, d in enumerate(self.found(batches))])

    @cached_property
    def _truth(self) -> CocoTruth:
        """Sorted once for all networks that are held against it."""
        boxes = [self._fit(i).to_original(b) for i, b in enumerate(self.boxes)]
        return CocoTruth(boxes, self.labels, self.crowd, self.layout.classes)

    def breakdown(self, batches: Iterable[Outputs], classes: Sequence[str]) -> Breakdown:
        found = self.details(batches)
        wanted = [k for labels, crowd in zip(self.labels, self.crowd, strict=True) for k in labels[~crowd].tolist()]
        counts = np.bincount(np.array(wanted, np.int64), minlength=len(classes))
        curves = [[None if np.isnan(p) else round(float(p), 4) for p in row[::EVERY]] for row in found.precision]
        more = {"map50": finite(found.map50), "recalls": [round(float(r), 2) for r in RECALLS[::EVERY]],
                "curves": curves}
        never = never_found(classes, counts, np.nan_to_num(found.per_class50))
        rows = class_rows(classes, counts, ap=found.per_class, ap50=found.per_class50)
        return Breakdown(standing_of(finite(found.map) or 0.0, len(self), never), tuple(classes), rows, "boxes",
                         more=more)

    def found(self, batches: Iterable[Outputs]) -> list[Detections]:
        """Detections of every image in pixels of the network's input."""
        return [d for outputs in batches for d in detections(*self.layout.decode(outputs))]

    def _original(self, image: int, found: Detections) -> Detections:
        return Detections(self._fit(image).to_original(found.boxes), found.scores, found.labels)

    def _fit(self, image: int) -> Letterbox:
        height, width = self.originals[image].tolist()
        return Letterbox.fit(height, width, self.layout.size)

    def first(self, count: int) -> DetectionMetric:
        if count >= len(self):
            return self  # which may know its truth in order already
        return DetectionMetric(self.layout, self.boxes[:count], self.labels[:count], self.crowd[:count],
                               self.originals[:count])

    def arrays(self) -> Arrays:
        return {
            "boxes": np.concatenate([np.zeros((0, 4), np.float32), *self.boxes]),
            "labels": np.concatenate([np.zeros(0, np.int64), *self.labels]),
            "crowd": np.concatenate([np.zeros(0, np.bool_), *self.crowd]).astype(np.uint8),
            "counts": np.array([len(b) for b in self.boxes], np.int64), "originals": self.originals,
        }

    def facts(self) -> dict[str, Any]:
        return {"detection_head": self.layout.to_json()}

    def __len__(self) -> int:
        return len(self.boxes)


def standing_of(score: float, images: int, never: tuple[str, ...] = ()) -> Standing:
    """From mAP, percent."""
    level = level_above(score, 0.0)
    verdict = "" if level == "better" else f"finds next to nothing: mAP {score:.2f} % on {images:,} images"
    return Standing("mAP", score, images, never=never, level=level, verdict=verdict)


class Detect(Task):
    """Boxes and their classes; the loss is that of the head (`hwnas.train.detect`)."""

    name = "detect"
    metric_name = "mAP"
    answers = "boxes in pixels of the image, with class and score"
    data_type = DetectionData
    heads = ("fcos", "ssdlite")
    fit = "letterbox"
    pictures = ("picture",)
    training: ClassVar[Mapping[str, Any]] = {
        "lr": 2e-3, "optimizer": "adamw", "weight_decay": 0.05, "ema": 0.9998,  # NanoDet-Plus's, but for its lr
    }
    widths = (0.75, 0.5)
    columns = (Column("reference", "ap", "AP, reference"), Column("compressed", "ap", "AP"),
               Column("compressed", "ap50", "AP@.5"))
    words = Words("mAP", "mAP ", "of the boxes of all classes, at overlaps of .5 to .95",
                  "AP@[.5:.95] and AP@.5 of the boxes of every class, percent.", "boxes from a score of .3")
    model_keys = ("detection_head",)

    def load(self, source: str | Path, *, size: tuple[int, int] | None = None, seed: int = 0, limit: int | None = None,
             memory: int | None = None, progress: Progress = silent) -> DetectionData:
        """COCO, VOC or YOLO: `hwnas.data.detection.load_detection`."""
        return load_detection(source, size=size, seed=seed, limit=limit, memory=memory,
                    progress=progress)

    def epoch(self, data: DetectionData, batch: int, rng: np.random.Generator, share: Share = WHOLE,
              recipe: Recipe | None = None) -> Iterator[Batch]:
        for images, *targets in DetectionFeed(data.train, recipe=recipe).epoch(batch, rng, share):
            yield images, targets

    def metric(self, data: DetectionData, layout: DetectionHeadLayout | None = None) -> DetectionMetric:
        assert layout is not None, "a detector needs the layout of its maps"
        return DetectionMetric.of(data.val, layout)

    def metric_from(self, arrays: Mapping[str, npt.NDArray[Any]], classes: int, layout: DetectionHeadLayout,
                    images: tuple[int, ...]) -> DetectionMetric:
        labels, n = checked_labels(arrays, classes), images[0]
        boxes, crowd = array_of(arrays, "boxes", np.float32, 2, empty=True), array_of(arrays, "crowd", np.uint8, 1)
        counts, originals = array_of(arrays, "counts", np.int64, 1), array_of(arrays, "originals", np.int64, 2)
        require(boxes.shape == (len(labels), 4) and len(crowd) == len(labels),
                "boxes, labels and crowd differ in length")
        require(len(counts) == n and not (counts < 0).any() and int(counts.sum()) == len(labels),
                f"counts must say how the {len(labels)} boxes belong to {n} images")
        require(originals.shape == (n, 2) and not ((originals < 1) | (originals > MOST_SIDE)).any(),
                f"originals must be the sizes of {n} images in pixels, 1 to {MOST_SIDE}")
        require(bool((np.abs(boxes) <= MOST_SIDE).all()), "boxes must be finite, in pixels of the input")
        ends = np.cumsum(counts)[:-1]
        return DetectionMetric(layout, tuple(np.split(boxes, ends)), tuple(np.split(labels, ends)),
                               tuple(c.astype(np.bool_) for c in np.split(crowd, ends)), originals)

    def cases(self, metric: Metric, data: DetectionData, batches: Iterable[Outputs]) -> Cases:
        """The score of an image is F1 of its boxes, those of a score of `SHOWN` at an overlap of `OVERLAP`."""
        assert isinstance(metric, DetectionMetric)
        truth, images, classes = metric, data.val.pixels, data.classes
        found = [_confident(d) for d in truth.found(batches)]
        scores = [box_score(d, truth.boxes[i], truth.labels[i], truth.crowd[i]) for i, d in enumerate(found)]

        def drawn(i: int) -> tuple[Pixels, Pixels]:
            there = Detections(truth.boxes[i], np.ones(len(truth.boxes[i]), np.float32), truth.labels[i])
            return draw_boxes(images[i], there, classes), draw_boxes(images[i], found[i], classes)

        return Cases(scores, drawn)

    def head_layout(self, space: Space) -> DetectionHeadLayout:
        return layout_of(space)

    def layout_from(self, facts: Mapping[str, Any]) -> DetectionHeadLayout:
        return DetectionHeadLayout.from_json(facts.get("detection_head") or {})

    def model_facts(self, data: DetectionData, layout: DetectionHeadLayout) -> dict[str, Any]:
        return {"detection_head": layout.to_json()}

    def check_facts(self, facts: Mapping[str, Any], space: SpaceConfig) -> None:
        require_classes(len(facts["classes"]), self.layout_from(facts).classes)

    def output_shapes(self, classes: int, size: tuple[int, int],
                      layout: DetectionHeadLayout | None = None) -> Shapes:
        assert layout is not None, "a detector needs the layout of its maps"
        return [(None, layout.channels, *sides) for sides in layout.maps]

    def postprocessing(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        return {"kind": readout.BOXES}

    def answer(self, model: LoadedModel, picture: Picture) -> Answer:
        found = self.boxes(model, picture)
        told = readout.boxes(found.boxes, found.scores, found.labels, model.classes)
        return Answer(told, lambda: draw_boxes(picture.pixels(), found, model.classes))

    def boxes(self, model: LoadedModel, picture: Picture) -> Detections:
        """Detections in pixels of an image."""
        outputs = model.run(self.fitted(model, picture)[None])
        found = detections(*model.layout.decode(outputs), threshold=model.threshold)[0]
        box = Letterbox.fit(*picture.size, model.size)
        return Detections(box.to_original(found.boxes), found.scores, found.labels)


def box_score(found: Detections, boxes: Array, labels: npt.NDArray[np.int64], crowd: npt.NDArray[np.bool_]) -> float:
    """F1 of the detections of one image, percent; 100 where nothing is to be found and nothing was."""
    left, right, counted = [i for i in range(len(boxes)) if not crowd[i]], 0, 0
    for box, label in zip(found.boxes, found.labels, strict=True):
        shares = overlaps(box, boxes) if len(boxes) else np.zeros(0, np.float32)
        fits = [i for i in left if labels[i] == label and shares[i] >= OVERLAP]
        if fits:
            left.remove(max(fits, key=lambda i: shares[i]))
            right += 1
        elif any(crowd[i] and shares[i] >= OVERLAP for i in range(len(boxes))):
            continue
        counted += 1
    total = counted + right + len(left)
    return 100.0 if total == 0 else 100 * 2 * right / total


def _confident(found: Detections) -> Detections:
    kept = found.scores >= SHOWN
    return Detections(found.boxes[kept], found.scores[kept], found.labels[kept])
