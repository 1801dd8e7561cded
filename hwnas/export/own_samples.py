"""Images, and what a user's own network and the one that became of it gave for them, kept beside the latter.

symbol   meaning                                                      shape
n        images
images   as the network eats them, before the mean is taken off       (n, H, W, C), uint8
outputs  of the model that ships, on the machine that made it         (n, ...) each
given    of the user's network                                        (n, ...) each
labels   class of every image, -1 without                             (n,)
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from hwnas.errors import InputError, RunError
from hwnas.export.samples import read_arrays
from hwnas.files import write_bytes
from hwnas.tasks.metric import array_of, require

Array = NDArray[Any]
FORMAT = "hwnas_own_samples"


@dataclass(frozen=True)
class OwnSamples:
    """What such a model is checked with.

    Args:
        images, outputs, given, labels: see the head of the file.
        runtime: that gave `outputs`: name and version.
    """

    images: Array
    outputs: tuple[Array, ...]
    given: tuple[Array, ...]
    labels: NDArray[np.int64]
    runtime: str

    relative = True
    """Outputs are compared relatively above 1: nobody says that they are logits."""

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        arrays = {"images": self.images, "labels": self.labels}
        for name, outputs in (("output", self.outputs), ("given", self.given)):
            arrays |= {f"{name}_{i}": array for i, array in enumerate(outputs)}
        told = {FORMAT: 1, "outputs": len(self.outputs), "runtime": self.runtime}
        # safetensors writes the buffer as it lies in memory: a transposed view would come back scrambled.
        write_bytes(path, save({name: np.ascontiguousarray(array) for name, array in arrays.items()},
                               metadata={"hwnas": json.dumps(told)}))

    @classmethod
    def load(cls, path: Path) -> OwnSamples:
        """Read what `save` wrote.

        Raises:
            RunError: the file is missing or damaged, or of a network of a space.
        """
        try:
            tensors, told = read_arrays(path)
            require(told.get(FORMAT) == 1, f"the key {FORMAT!r} must be 1: it is of another kind or version")
            count, runtime = told.get("outputs"), told.get("runtime")
            require(isinstance(count, int) and 1 <= count <= 64, "it must hold 1 to 64 outputs")
            assert isinstance(count, int)
            images = array_of(tensors, "images", np.uint8, 4)
            labels = array_of(tensors, "labels", np.int64, 1)
            require(len(labels) == len(images), f"{len(images)} images need as many labels, not {len(labels)}")
            outputs, given = (tuple(_output(tensors, f"{name}_{i}", len(images)) for i in range(count))
                              for name in ("output", "given"))
            require([a.shape for a in outputs] == [b.shape for b in given],
                    "the outputs of the two networks must have the same shapes")
            return cls(images, outputs, given, labels, str(runtime)[:100])
        except InputError as err:
            raise RunError(f"{path} does not hold check samples of a network of your own: {err}; restore it, or start "
                           "a new run") from err


def stacked(rows: Sequence[Sequence[Array]]) -> tuple[Array, ...] | None:
    """Outputs of single images as arrays over all of them; None where an output has no axis of images, or its shape
    changes from image to image."""
    if any(output.ndim < 1 or output.shape != first.shape or output.shape[0] != 1 or output.dtype.kind not in "fiub"
           for row in rows for output, first in zip(row, rows[0], strict=True)):
        return None
    return tuple(np.concatenate([np.asarray(output, np.float32) for output in outputs])
                 for outputs in zip(*rows, strict=True))


def _output(tensors: dict[str, Array], name: str, images: int) -> Array:
    found = tensors.get(name)
    require(found is not None, f"the array {name!r} is missing")
    assert found is not None
    require(found.dtype == np.float32 and found.ndim >= 1 and len(found) == images,
            f"{name} must be float32 of {images} images, not {found.dtype} {found.shape}")
    require(bool(np.isfinite(found).all()), f"{name} holds numbers that are NaN or infinite")
    return found
