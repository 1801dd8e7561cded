"""What people look at after a detector or a segmenter was exported: figures of every class, good and bad cases.

| file          | what                                                                                     |
|---------------|------------------------------------------------------------------------------------------|
| details.json  | scores of every class, of the reference and the result; precision at recall; confusion    |
| example-N.png | an image of the validation set, truth at the left, answer at the right                     |
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hwnas.data.segmentation import SegmentationData
from hwnas.export import answers
from hwnas.files import write_bytes, write_json
from hwnas.runtime import Session
from hwnas.tasks.coco_map import RECALLS
from hwnas.tasks.examples import examples
from hwnas.tasks.judge import BoxJudge, Judge, MaskJudge

if TYPE_CHECKING:
    from hwnas.train import Task

SCHEMA = 1
EVERY = 5  # of the recalls; enough for a line


def write_shown(whole: Task, reference: Session, task: Task, model: Session, folder: Path) -> list[str]:
    """Write details.json and the examples of a run; gives the names of the files, none for a classifier.

    Args:
        whole, task: with images of the size of the reference, and of the result.
    """
    if not isinstance(task.judge, BoxJudge | MaskJudge):
        return []
    images, classes = task.val_images, list(task.data.classes)
    given = {"reference": list(answers(reference, whole.val_images)), "compressed": list(answers(model, images))}
    palette = task.data.palette if isinstance(task.data, SegmentationData) else None
    names, told = [], []
    for number, example in enumerate(examples(task.judge, images, given["compressed"], classes, palette), 1):
        names.append(f"example-{number}.png")
        write_bytes(folder / names[-1], _png(example.picture))
        told.append({"file": names[-1], "name": _frame(task, example.number), "score": example.score,
                     "good": example.good})
    judges = {"reference": whole.judge, "compressed": task.judge}
    details = {who: _details(judges[who], batches) for who, batches in given.items()}
    write_json(folder / "details.json", {"hwnas_details": SCHEMA, "classes": classes, "metric": task.judge.metric,
                                         **details, "examples": told})
    return [*names, "details.json"]


def _details(judge: Judge, batches: list[list[np.ndarray]]) -> dict[str, Any]:
    if isinstance(judge, BoxJudge):
        found = judge.details(batches)
        curves = [[None if np.isnan(p) else round(float(p), 4) for p in row[::EVERY]] for row in found.precision]
        return {**found.to_json(), "recalls": [round(float(r), 2) for r in RECALLS[::EVERY]], "precision": curves}
    assert isinstance(judge, MaskJudge)
    masks = judge.details(batches)
    return {**masks.to_json(), "confusion": masks.matrix.tolist()}


def _frame(task: Task, number: int) -> str:
    frames = getattr(task.data, "val").frames  # noqa: B009 - a classifier's data has none
    return str(frames[number].name)


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
