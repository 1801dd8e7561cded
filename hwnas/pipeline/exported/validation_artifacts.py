"""What people look at after a model was exported: figures of every class, what is taken for what, good and bad cases.

| file          | what                                                                                          |
|---------------|-----------------------------------------------------------------------------------------------|
| details.json  | of the reference and the result the score taken apart (`hwnas.tasks.breakdown`), and how they differ |
| example-N.png | where the task draws: an image of the validation set, truth at the left, answer at the right         |
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from hwnas.export import Verdict, answers
from hwnas.files import write_bytes, write_json
from hwnas.pipeline.run.cautions import of_standing
from hwnas.runtime import Session
from hwnas.tasks.breakdown import SCHEMA, difference
from hwnas.tasks.examples import examples

if TYPE_CHECKING:
    from hwnas.train import Workload


MOST, EXAMPLE_PIXELS = 500, 1 << 28  # validation images that examples are chosen from: so many, or so many pixels


@dataclass(frozen=True)
class Artifacts:
    """What was written for people to look at.

    Args:
        pictures: names of the examples.
        difference: of the two networks, as JSON: `hwnas.tasks.breakdown.difference`.
        warnings: about their scores.
    """

    pictures: tuple[str, ...]
    difference: Mapping[str, Any]
    warnings: tuple[str, ...]


def write_artifacts(workload: Workload, model: Session, folder: Path, verdicts: Mapping[str, Verdict]) -> Artifacts:
    """Write details.json and the examples of a run.

    Args:
        workload: with images of the size of the result.
        model: the result, loaded.
        verdicts: `reference` and `compressed`, with their breakdowns.
    """
    parts = {who: verdict.breakdown for who, verdict in verdicts.items() if verdict.breakdown is not None}
    differs = difference(parts["reference"], parts["compressed"])
    told, names = _examples(workload, model, folder)
    write_json(folder / "details.json", {
        "hwnas_details": SCHEMA, "classes": list(workload.data.classes), "metric": workload.metric.name,
        **{who: part.to_json() for who, part in parts.items()}, "difference": differs, "examples": told,
    })
    warnings = [text for who, part in parts.items() for text in of_standing(f"the {who} network", part.standing)]
    return Artifacts(tuple(names), differs, tuple(warnings))


def _examples(workload: Workload, model: Session, folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """What is told of the pictures, and their names; none of a task that draws nothing."""
    if not workload.task.pictures:
        return [], []
    images = workload.val_images
    count = min(len(images), max(MOST, EXAMPLE_PIXELS // (images.shape[1] * images.shape[2])))
    cases = workload.task.cases(workload.metric.first(count), workload.data, answers(model, images[:count]))
    told: list[dict[str, Any]] = []
    for number, example in enumerate(examples(cases), 1):
        told.append({"file": f"example-{number}.png", "name": workload.data.val_name(example.number),
                     "score": example.score, "good": example.good})
        write_bytes(folder / told[-1]["file"], _png(example.picture))
    return told, [example["file"] for example in told]


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
