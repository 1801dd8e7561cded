"""Validation images and what torch gave for them, kept beside a model so that it can be checked anywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from safetensors import safe_open
from safetensors.numpy import save

from hwnas.documents import brief, json_value, require_file
from hwnas.errors import InputError, RunError, UnknownName
from hwnas.files import write_bytes
from hwnas.tasks import Metric, array_of, find
from hwnas.tasks.classify import AccuracyMetric
from hwnas.tasks.registry import DEFAULT
from hwnas.tasks.task import Shapes
from hwnas.validation import Name, Schema, checked

TRUTH = "truth."  # leads the names of a metric's arrays


class FactsSchema(Schema):
    """The metadata of a file; a task reads its own keys. Files of hwnas 0.1.0 have none."""

    task: Name = DEFAULT
    classes: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


@dataclass(frozen=True)
class Samples:
    """What a model is checked with.

    Args:
        images: uint8 (N, H, W, C).
        metric: the truth about them.
        outputs: of torch, float32 (N, ...) each: logits, or a map a level.
        classes: number of classes.
    """

    images: np.ndarray
    metric: Metric
    outputs: tuple[np.ndarray, ...]
    classes: int

    @classmethod
    def classified(cls, images: np.ndarray, labels: np.ndarray, logits: np.ndarray) -> Samples:
        """Of a classifier: labels (N,), logits (N, classes)."""
        return cls(images, AccuracyMetric(labels), (logits,), logits.shape[1])

    @property
    def relative(self) -> bool:
        """Whether outputs are compared relatively above 1, or absolutely, as logits are."""
        return self.metric.relative

    @property
    def judge(self) -> Metric:
        """The former name of `metric`, for one version."""
        return self.metric

    @property
    def logits(self) -> np.ndarray:
        """The first output; of a classifier float32 (N, classes)."""
        return self.outputs[0]

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        arrays = {"images": self.images,
                  **{f"{TRUTH}{name}": array for name, array in self.metric.arrays().items()},
                  **{f"output_{i}": array for i, array in enumerate(self.outputs)}}
        facts = {"task": self.metric.task, "metric": self.metric.name, **self.metric.facts(), "classes": self.classes}
        # safetensors writes the buffer as it lies in memory: a transposed view would come back scrambled.
        write_bytes(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()},
                               metadata={"hwnas": json.dumps(facts)}))

    @classmethod
    def load(cls, path: Path) -> Samples:
        """Read what `save` wrote.

        Raises:
            RunError: the file is missing or damaged.
        """
        try:
            tensors, told = read_arrays(path)
            facts = checked(FactsSchema, told, "metadata 'hwnas'")
            outputs = (tensors["logits"],) if "logits" in tensors else tuple(  # a classifier of hwnas 0.1
                tensors[f"output_{i}"] for i in range(sum(name.startswith("output_") for name in tensors)))
            classes = facts.classes if facts.classes is not None else _classes_of(outputs)
            images = array_of(tensors, "images", np.uint8, 4)
            for i, output in enumerate(outputs):
                _check_output(i, output, len(images))
            task = find(facts.task)
            layout = task.layout_from(told)
            _check_fit(outputs, len(images), task.output_shapes(classes, (images.shape[1], images.shape[2]), layout))
            truth = {name.removeprefix(TRUTH): array for name, array in tensors.items()}
            return cls(images, task.metric_from(truth, classes, layout, images.shape), outputs, classes)
        except (InputError, UnknownName) as err:
            raise RunError(f"{path} does not hold check samples: {err}; export the model again") from err


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], Mapping[str, Any]]:
    """The arrays of a file, and what it says of them.

    Raises:
        InputError: missing, damaged, or not safetensors.
    """
    require_file(path)
    try:
        with safe_open(str(path), framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            stored = (file.metadata() or {}).get("hwnas", "{}")
    except Exception as err:  # safetensors and numpy raise several types on damaged bytes
        raise InputError(" ".join(str(err).split())[:200]) from err
    told = json_value(stored, "metadata 'hwnas'")
    if not isinstance(told, dict):
        raise InputError(f"metadata 'hwnas' must be an object, not {brief(told)}")
    return tensors, told


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


def _check_fit(outputs: tuple[np.ndarray, ...], images: int, wanted: Shapes) -> None:
    """Whether outputs for so many images are of the shapes that those of the task have."""
    shapes = [(images, *shape[1:]) for shape in wanted]
    if [output.shape for output in outputs] != shapes:
        raise InputError(f"the outputs must be {shapes[:4]}, not {[output.shape for output in outputs][:4]}")
