"""predict: what a model says of images, folders and videos. ONNX Runtime or OpenVINO, no torch.

What is told of an image, and its picture, is the task's: `hwnas.tasks.Task.answer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from hwnas.errors import ImageError, UsageError
from hwnas.export.interface import Interface
from hwnas.files import LineLog, write_bytes
from hwnas.imaging.listing import ANSWERS, Listing, list_images, output_stems
from hwnas.imaging.picture import Picture
from hwnas.pipeline.exported.checking import exported_model, model_of, target_of
from hwnas.pipeline.exported.image_sources import FilmWriter, Frame, Unread, frames
from hwnas.pipeline.exported.inference import answering, reach
from hwnas.progress import Progress, silent
from hwnas.runtime import Session
from hwnas.tasks import LoadedModel
from hwnas.tasks.readout import npz

Pixels = npt.NDArray[np.uint8]
PICTURE, MASK, ARRAYS = ".png", "-mask.png", "-outputs.npz"  # ends of what is written


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Args:
        name: of the file; of a frame of a video with its number.
        facts: JSON values; of a file that could not be read "error", why.
        draw: makes the picture, which takes longer than many a model; None where the task draws none.
        mask: uint8 (H, W) of class numbers; of a segmenter.
        arrays: name -> output, of a network whose outputs are told as they are.
    """

    name: str
    facts: dict[str, Any]
    draw: Callable[[], Pixels] | None = None
    mask: Pixels | None = None
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the image could not be read; the facts say why under "error"."""
        return "error" in self.facts

    @property
    def picture(self) -> Pixels | None:
        """The image with its answer, uint8 (H, W, 3), drawn now; None where the task draws none."""
        return None if self.draw is None else self.draw()


@dataclass(frozen=True)
class Predictor:
    """An exported model, loaded.

    Args:
        session: the model.
        metadata: what it says of itself.
        threshold: least score of a box.
        tiled: segment images at their own size, in tiles of the input.
        stands_in_for: the target's runtime, where it is not here and ONNX Runtime answers; empty where it is.
    """

    session: Session
    metadata: Mapping[str, Any]
    threshold: float = 0.3
    tiled: bool = False
    stands_in_for: str = ""

    @classmethod
    def of(cls, path: Path, *, target: str | None = None, overrides: Mapping[str, object] | None = None,
           threshold: float = 0.3, tiled: bool = False) -> Predictor:
        """From a run folder or an ONNX file that hwnas exported.

        Raises:
            InputError: not a model of hwnas.
            RunError: the run has no exported model.
            UsageError: `tiled` of a model that does not segment.
        """
        model, _ = model_of(path)
        content, metadata = exported_model(model)
        if tiled and not (face := Interface.of(metadata)).tiles:
            raise UsageError(f"--tiled is for a segmenter; {model} is one to {face.task}")
        where = target_of(metadata, target, overrides or {})
        return cls(answering(content, where), metadata, threshold, tiled, "" if reach(where) else where.runtime)

    @property
    def task(self) -> str:
        """What the model is for."""
        return self.interface.task

    @property
    def pictures(self) -> Sequence[str]:
        """Which pictures its answers have: 'picture', 'mask'."""
        return self.interface.pictures

    @property
    def classes(self) -> list[str]:
        """Names of what it tells."""
        return list(self.model.classes)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input."""
        return self.model.size

    @cached_property
    def interface(self) -> Interface:
        """How it is asked, and what its outputs mean."""
        return Interface.of(self.metadata)

    @cached_property
    def model(self) -> LoadedModel:
        """What answers, as a task asks it."""
        return self.interface.loaded(self.session, self.threshold, self.tiled)

    def predict(self, frame: Frame) -> Prediction:
        """What the model says of one image.

        Raises:
            ImageError: its pixels are damaged.
        """
        found = self.interface.answer(self.model, frame.image)
        return Prediction(frame.name, {"file": frame.name, **found.facts}, found.draw, found.mask, found.arrays)

    def fitted(self, picture: Picture) -> Pixels:
        """The pixels that the network eats of an image: uint8 (H, W, C)."""
        return self.interface.fitted(self.model, picture)


def predict_files(predictor: Predictor, source: Path, out: Path | None, progress: Progress = silent,
                  warn: Callable[[str], None] = lambda text: None) -> Iterator[Prediction]:
    """Predict an image, every image of a folder, or every frame of a video; write pictures and predictions.jsonl.

    A file of a folder that cannot be read costs nothing but its own answer, which says so under "error". The lines of
    predictions.jsonl are there as far as the work got, whatever ends it. The pictures of a video are one .mp4 of its
    name.

    Args:
        out: a folder, made if it is not there; None writes nothing.
        warn: told what a folder holds that was left out.

    Raises:
        InputError: one file that is no image, or `out` cannot be written.
        UsageError: nothing to predict at `source`, or `out` is where it lies.
        MissingDependency: a video, and OpenCV is not installed.
    """
    listing = list_images(source, out) if source.is_dir() else None
    if out is not None and out.resolve() == (source if listing else source.parent).resolve():
        raise UsageError(f"{out} holds what is to be predicted, and pictures have the names of what they show: "
                         "give -o another folder")
    if listing and listing.left_out():
        warn(f"{source}: {listing.left_out()}")
    stems = _stems(listing)
    with ExitStack() as stack:
        lines = stack.enter_context(LineLog(out / ANSWERS)) if out is not None else None
        film: FilmWriter | None = None
        for number, frame in enumerate(frames(source, listing), 1):
            if out is not None and isinstance(frame, Frame) and frame.rate and film is None:
                film = stack.enter_context(FilmWriter(out / f"{source.stem}.mp4", frame.rate))
            found = _answered(predictor, frame, out, stems.get(frame.name), film)
            if lines is not None:
                lines.add(found.facts)
            progress("predict", number, frame.total)
            yield found


def _stems(listing: Listing | None) -> dict[str, str]:
    names = [str(path) for path in listing.images] if listing else []
    return dict(zip(names, output_stems(names, (PICTURE, MASK, ARRAYS)), strict=True))


def _answered(predictor: Predictor, frame: Frame | Unread, out: Path | None, stem: str | None,
              film: FilmWriter | None) -> Prediction:
    """What the model says of an image, its pictures written; of a folder's file that cannot be decoded, why."""
    if isinstance(frame, Unread):
        return Prediction(frame.name, {"file": frame.name, "error": frame.reason})
    try:
        found = predictor.predict(frame)
        return found if out is None else _written(found, out, stem or _stem(frame.name), film)
    except (ImageError, MemoryError) as err:
        if stem is None:  # asked for alone
            raise
        reason = err.reason if isinstance(err, ImageError) else "not enough memory for it"
        return Prediction(frame.name, {"file": frame.name, "error": reason})


def _stem(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


def _written(found: Prediction, out: Path, stem: str, film: FilmWriter | None) -> Prediction:
    facts, picture = dict(found.facts), found.picture
    if film is not None and picture is not None:
        film.add(picture)
        picture = None
    for end, pixels in ((PICTURE, picture), (MASK, found.mask)):
        if pixels is not None:
            write_bytes(out / f"{stem}{end}", _png(pixels))
            facts["mask" if end == MASK else "picture"] = f"{stem}{end}"
    if found.arrays:
        write_bytes(out / f"{stem}{ARRAYS}", npz(found.arrays))
        facts["arrays"] = f"{stem}{ARRAYS}"
    return Prediction(found.name, facts, found.draw, found.mask, found.arrays)


def _png(pixels: Pixels) -> bytes:
    import io

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
