"""Validation images and the logits torch gave for them, kept beside a model so that it can be checked anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from hwnas.errors import RunError
from hwnas.files import write_bytes


@dataclass(frozen=True)
class Samples:
    """uint8 images (N, H, W, C), int64 labels (N,) and float32 logits (N, classes)."""

    images: np.ndarray
    labels: np.ndarray
    logits: np.ndarray

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        arrays = {"images": self.images, "labels": self.labels, "logits": self.logits}
        # safetensors writes the buffer as it lies in memory: a transposed view would come back scrambled.
        write_bytes(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))

    @classmethod
    def load(cls, path: Path) -> Samples:
        """Read what `save` wrote.

        Raises:
            RunError: the file is missing or damaged.
        """
        try:
            tensors = load_file(str(path))
            return cls(tensors["images"], tensors["labels"], tensors["logits"])
        except (OSError, SafetensorError, KeyError) as err:
            raise RunError(f"{path} does not hold check samples: {err}; export the model again") from err


def to_pixels(images: np.ndarray) -> np.ndarray:
    """uint8 (N, H, W, C) -> float32 (N, C, H, W) in 0..1, what the exported model takes."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32) / np.float32(255)
