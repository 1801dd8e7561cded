"""Validation images and what torch gave for them, kept beside a model so that it can be checked anywhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from hwnas.errors import InputError, RunError
from hwnas.files import write_bytes
from hwnas.tasks.judge import ClassJudge, Judge, facts_of, judge_from

TRUTH = "truth."  # leads the names of a judge's arrays, but for a classifier's labels


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
            with safe_open(str(path), framework="numpy") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
                facts = json.loads((file.metadata() or {}).get("hwnas", "{}"))
            truth = {name.removeprefix(TRUTH): array for name, array in tensors.items()}
            outputs = (tensors["logits"],) if "logits" in tensors else tuple(
                tensors[f"output_{i}"] for i in range(sum(name.startswith("output_") for name in tensors)))
            judge = judge_from(truth, facts)
            return cls(tensors["images"], judge, outputs, int(facts.get("classes", outputs[0].shape[1])))
        except (OSError, SafetensorError, KeyError, ValueError, TypeError, IndexError, InputError) as err:
            raise RunError(f"{path} does not hold check samples: {err}; export the model again") from err


def to_pixels(images: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, C) -> float32 (N, C, H, W) in 0..1, what the exported model takes."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)
