"""Validation images and what torch gave for them, kept beside a model so that it can be checked anywhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from safetensors import safe_open
from safetensors.numpy import save

from hwnas.documents import json_value, require_file
from hwnas.errors import InputError, RunError
from hwnas.files import write_bytes
from hwnas.tasks.judge import BoxJudge, ClassJudge, Judge, array_of, facts_of, judge_from
from hwnas.validation import Schema, checked

TRUTH = "truth."  # leads the names of a judge's arrays, but for a classifier's labels


class FactsSchema(Schema):
    """The metadata of a file; `DetectionHeadLayout` reads its own."""

    classes: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    detection_head: dict[str, Any] | None = None


@dataclass(frozen=True)
class Samples:
    """What a model is checked with.

    Args:
        images: uint8 (N, H, W, C).
        judge: the truth about them.
        outputs: of torch, float32 (N, ...) each: logits, or a map a level.
        classes: number of classes.
    """

    images: np.ndarray
    judge: Judge
    outputs: tuple[np.ndarray, ...]
    classes: int

    @classmethod
    def classified(cls, images: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> Samples:
        """Of a classifier: labels (N,), logits (N, classes)."""
        return cls(images, ClassJudge(labels), (logits,), logits.shape[1])

    @property
    def logits(self) -> np.ndarray:
        """The first output; of a classifier float32 (N, classes)."""
        return self.outputs[0]

    def save(self, path: Path) -> None:
        """Write as safetensors. A classifier's file holds `images`, `labels` and `logits`."""
        truth = self.judge.arrays()
        if self.judge.task == "classify":
            arrays = {"images": self.images, **truth, "logits": self.outputs[0]}
        else:
            arrays = {"images": self.images, **{f"{TRUTH}{name}": array for name, array in truth.items()},
                      **{f"output_{i}": array for i, array in enumerate(self.outputs)}}
        facts = {"hwnas": json.dumps(facts_of(self.judge) | {"classes": self.classes})}
        # safetensors writes the buffer as it lies in memory: a transposed view would come back scrambled.
        write_bytes(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}, metadata=facts))

    @classmethod
    def load(cls, path: Path) -> Samples:
        """Read what `save` wrote.

        Raises:
            RunError: the file is missing or damaged.
        """
        try:
            tensors, facts = _read(path)
            outputs = (tensors["logits"],) if "logits" in tensors else tuple(
                tensors[f"output_{i}"] for i in range(sum(name.startswith("output_") for name in tensors)))
            classes = facts.classes if facts.classes is not None else _classes_of(outputs)
            images = array_of(tensors, "images", np.uint8, 4)
            for i, output in enumerate(outputs):
                _check_output(i, output, len(images))
            truth = {name.removeprefix(TRUTH): array for name, array in tensors.items()}
            judge = judge_from(truth, {"classes": classes, "detection_head": facts.detection_head}, images.shape)
            _check_fit(judge, outputs, (len(images), classes), images.shape[1:3])
            return cls(images, judge, outputs, classes)
        except InputError as err:
            raise RunError(f"{path} does not hold check samples: {err}; export the model again") from err


def _read(path: Path) -> tuple[dict[str, np.ndarray], FactsSchema]:
    """The arrays of a file, and what it says of them."""
    require_file(path)
    try:
        with safe_open(str(path), framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            stored = (file.metadata() or {}).get("hwnas", "{}")
    except Exception as err:  # safetensors and numpy raise several types on damaged bytes
        raise InputError(" ".join(str(err).split())[:200]) from err
    return tensors, checked(FactsSchema, json_value(stored, "metadata 'hwnas'"), "metadata 'hwnas'")


def _classes_of(outputs: tuple[np.ndarray, ...]) -> int:
    """Files of hwnas 0.1.0 do not name the number; a classifier's logits have as many."""
    if not outputs or outputs[0].ndim != 2:
        raise InputError("neither logits nor the number of classes are there")
    return int(outputs[0].shape[1])


def _check_output(number: int, output: np.ndarray, images: int) -> None:
    if output.dtype != np.float32 or output.ndim < 2 or len(output) != images:
        raise InputError(f"output {number} must be float32 of {images} images, not {output.dtype} {output.shape}")
    if not np.isfinite(output).all():
        raise InputError(f"output {number} holds numbers that are NaN or infinite")


def _check_fit(judge: Judge, outputs: tuple[np.ndarray, ...], scores: tuple[int, int], size: tuple[int, ...]) -> None:
    """Whether outputs are those of the judge's task, for `scores` images and classes."""
    if isinstance(judge, BoxJudge):
        judge.layout.check([output.shape for output in outputs])
        return
    wanted = scores if judge.task == "classify" else (*scores, *size)
    if len(outputs) != 1 or outputs[0].shape != wanted:
        raise InputError(f"the outputs must be one of {wanted}, not {[output.shape for output in outputs][:4]}")
