"""What the model of a bundle says of an image: the values that `hwnas predict` gives, without hwnas."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.deploy.runner.boxes import decode
from hwnas.deploy.runner.bundle import Bundle
from hwnas.deploy.runner.images import read_array
from hwnas.deploy.runner.loading import Loaded, load
from hwnas.deploy.runner.schema import check_answer, kind_of
from hwnas.imaging.letterbox import Letterbox
from hwnas.imaging.opening import pillow
from hwnas.imaging.picture import Picture
from hwnas.tasks.nms import detected
from hwnas.tasks.readout import BOXES, MASK, RAW, boxes, left_over, read_out, shares

if TYPE_CHECKING:
    from hwnas.deploy.runner.schema import Array

THRESHOLD = 0.3


@dataclass(frozen=True)
class Answer:
    """What the model says of one image.

    Args:
        facts: JSON values.
        mask: uint8 (H, W) of class numbers; of a segmenter.
        arrays: name -> output, of a network whose outputs are told as they are.
    """

    facts: dict[str, Any]
    mask: Array | None = None
    arrays: dict[str, Array] = field(default_factory=dict)


class Model:
    """The model of a bundle, loaded.

    Args:
        bundle: where it lies.
        loaded: its session.
    """

    def __init__(self, bundle: Bundle, loaded: Loaded) -> None:
        self.bundle, self.loaded = bundle, loaded
        self._contract = bundle.contract
        self._kind = kind_of(bundle.facts)
        self._how: dict[str, Any] = bundle.facts.get("postprocessing") or {"kind": self._kind}
        self._places = bundle.places() if self._kind == BOXES else {}

    def predict(self, path: str | Path, threshold: float = THRESHOLD) -> Answer:
        """What it says of an image file, or of a .npy of the input's own size.

        Args:
            threshold: least score of a box.

        Raises:
            InputError: the file is no image.
            MissingDependency: Pillow is not installed, and the file is no .npy.
        """
        path = Path(path)
        if path.suffix == ".npy":
            pixels = read_array(path, self.bundle.size, self._contract.channels)
            box = Letterbox(*self.bundle.size, self.bundle.size)
        else:
            picture = Picture.read(path)
            box = Letterbox(*picture.size, self.bundle.size)
            pixels = self.fitted(picture)
        outputs = self.run(pixels[None])
        check_answer(outputs, self.bundle.facts)
        if self._kind == BOXES:
            return self._boxes(path.name, outputs, box, threshold)
        if self._kind == MASK:
            return self._mask(path.name, outputs, box)
        return Answer({"file": path.name, **read_out(self._how, outputs, self.bundle.classes)},
                      arrays=self._arrays(outputs))

    def fitted(self, picture: Picture) -> Array:
        """The pixels that the network eats of an image: uint8 (H, W, C)."""
        return self._contract.fitted(picture, self.bundle.size)

    def run(self, images: Array) -> list[Array]:
        """Raw outputs for uint8 images (N, H, W, C) of the input's size."""
        session = self.loaded.session
        return session.run({session.input_name: self._contract.apply(images)})

    def _boxes(self, name: str, outputs: list[Array], box: Letterbox, threshold: float) -> Answer:
        found = detected(*decode(self.bundle.facts["detection_head"], self._places, outputs), threshold=threshold)
        corners = box.to_original(found.boxes)
        return Answer({"file": name, **boxes(corners, found.scores, found.labels, self.bundle.classes)})

    def _mask(self, name: str, outputs: list[Array], box: Letterbox) -> Answer:
        mask = box.mask_to_original(outputs[0][0].argmax(0).astype(np.uint8))
        told = dict(shares(mask, self.bundle.classes), **left_over(self._how, outputs))
        return Answer({"file": name, **told}, mask, self._arrays(outputs))

    def _arrays(self, outputs: list[Array]) -> dict[str, Array]:
        """By name, where some are told as they are."""
        names = self._how.get("outputs") or []
        return dict(zip(names, outputs)) if self._kind == RAW or len(names) > 1 else {}  # noqa: B905 - Python 3.8


def load_model(folder: str | Path, runtime: str | None = None) -> Model:
    """The model of a bundle, its files checked, on its runtime.

    Raises:
        InputError: the folder is no bundle, or a file of it was changed.
        MissingDependency: the runtime is not installed here.
    """
    bundle = Bundle(Path(folder))
    return Model(bundle, load(bundle, runtime))


def write_mask(path: Path, mask: Array) -> None:
    """A mask as PNG of class numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pillow().fromarray(mask).save(str(path), "PNG")
