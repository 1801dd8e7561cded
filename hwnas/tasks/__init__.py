"""What is learnt: tasks as objects, and what their outputs mean. No torch.

    task = find("detect")                                   # or the name of an entry point `hwnas.tasks`
    data = task.load("cells", size=(320, 320))
    head = DetectionHeadLayout.over("fcos", (320, 320), (8, 16, 32), classes=3)
    boxes, scores = head.decode(maps)                       # px of the network's input
    found = detections(boxes, scores)                       # one Detections an image
    coco_map(found, true_boxes, true_labels, crowd, 3).map  # percent; move boxes to px of the original first
    MeanIou(confusion(logits.argmax(1), masks, 11)).miou    # percent

A task is one file: classify.py, detect.py, segment.py, or one of somebody else's (docs/own_task.md).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hwnas.tasks.coco_map import RECALLS, CocoMap, coco_map  # now: its file has the name of its function

if TYPE_CHECKING:
    from hwnas.imaging.letterbox import IGNORE
    from hwnas.tasks.answer import Answer, Cases, LoadedModel
    from hwnas.tasks.breakdown import Breakdown, class_rows, difference
    from hwnas.tasks.decoding import VARIANCES
    from hwnas.tasks.detection import DetectionHead, DetectionHeadLayout
    from hwnas.tasks.drawing import colours, draw_boxes, draw_mask
    from hwnas.tasks.mean_iou import MeanIou, confusion
    from hwnas.tasks.metric import Metric, array_of
    from hwnas.tasks.nms import Detections, detections
    from hwnas.tasks.registry import find, names, task_for, task_of
    from hwnas.tasks.standing import Standing, level_above
    from hwnas.tasks.task import Column, Task, Words
    from hwnas.tasks.tiling import tiled_logits

__all__ = [
    "IGNORE", "RECALLS", "VARIANCES", "Answer", "Breakdown", "Cases", "CocoMap", "Column", "DetectionHead",
    "DetectionHeadLayout", "Detections", "LoadedModel", "MeanIou", "Metric", "Standing", "Task", "Words", "array_of",
    "class_rows", "coco_map", "colours", "confusion", "detections", "difference", "draw_boxes", "draw_mask", "find",
    "level_above", "names", "task_for", "task_of", "tiled_logits",
]

_HOMES = {
    "hwnas.imaging.letterbox": ("IGNORE",),
    "hwnas.tasks.answer": ("Answer", "Cases", "LoadedModel"),
    "hwnas.tasks.breakdown": ("Breakdown", "class_rows", "difference"),
    "hwnas.tasks.decoding": ("VARIANCES",),
    "hwnas.tasks.detection": ("DetectionHead", "DetectionHeadLayout"),
    "hwnas.tasks.drawing": ("colours", "draw_boxes", "draw_mask"),
    "hwnas.tasks.mean_iou": ("MeanIou", "confusion"),
    "hwnas.tasks.metric": ("Metric", "array_of"),
    "hwnas.tasks.nms": ("Detections", "detections"),
    "hwnas.tasks.registry": ("find", "names", "task_for", "task_of"),
    "hwnas.tasks.standing": ("Standing", "level_above"),
    "hwnas.tasks.task": ("Column", "Task", "Words"),
    "hwnas.tasks.tiling": ("tiled_logits",),
}
_HOME_OF = {name: home for home, names_there in _HOMES.items() for name in names_there}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """On first use: the names of the tasks shall not cost what a task needs, and neither shall a bundle's answers."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'hwnas.tasks' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)
