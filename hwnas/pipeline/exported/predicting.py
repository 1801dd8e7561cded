"""predict: what a model says of images, folders and videos. ONNX Runtime or OpenVINO, no torch.

| task     | of every image                                             | picture                         |
|----------|------------------------------------------------------------|---------------------------------|
| classify | the five likeliest classes                                 |                                 |
| detect   | boxes in pixels of the image, with class and score         | the image with the boxes        |
| segment  | share of every class, a mask of class numbers as PNG       | the image with coloured classes |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from hwnas.errors import ImageError, UsageError
from hwnas.export.metadata import check_outputs, output_shapes
from hwnas.files import LineLog, write_bytes
from hwnas.imaging.fitting import to_input
from hwnas.imaging.letterbox import Letterbox
from hwnas.imaging.listing import ANSWERS, Listing, list_images, output_stems
from hwnas.imaging.picture import Picture
from hwnas.pipeline.exported.checking import exported_model, model_of, target_of
from hwnas.pipeline.exported.image_sources import FilmWriter, Frame, Unread, frames
from hwnas.pipeline.exported.inference import answering, reach
from hwnas.progress import Progress, silent
from hwnas.runtime import Session
from hwnas.space import SpaceConfig
from hwnas.tasks.detection import DetectionHead
from hwnas.tasks.drawing import colours, draw_boxes, draw_mask
from hwnas.tasks.nms import Detections, detections
from hwnas.tasks.tiling import tiled_logits

Pixels = npt.NDArray[np.uint8]
LIKELIEST = 5
PICTURE, MASK = ".png", "-mask.png"  # ends of what is written


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Args:
        name: of the file; of a frame of a video with its number.
        facts: JSON values; of a file that could not be read "error", why.
        draw: makes the picture, which takes longer than many a model; None for a classifier.
        mask: uint8 (H, W) of class numbers; of a segmenter.
    """

    name: str
    facts: dict[str, Any]
    draw: Callable[[], Pixels] | None = None
    mask: Pixels | None = None

    @property
    def failed(self) -> bool:
        """Whether the image could not be read; the facts say why under "error"."""
        return "error" in self.facts

    @property
    def picture(self) -> Pixels | None:
        """The image with its answer, uint8 (H, W, 3), drawn now; None for a classifier."""
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
        if tiled and metadata.get("task") != "segment":
            raise UsageError(f"--tiled is for a segmenter; {model} does {metadata.get('task', 'classify')}")
        where = target_of(metadata, target, overrides or {})
        return cls(answering(content, where), metadata, threshold, tiled, "" if reach(where) else where.runtime)

    @property
    def task(self) -> str:
        return str(self.metadata.get("task", "classify"))

    @cached_property
    def classes(self) -> list[str]:
        return list(self.metadata["classes"])

    @cached_property
    def size(self) -> tuple[int, int]:
        """Height and width of the input."""
        return SpaceConfig.from_json(self.metadata["architecture"]["space"]).size

    @cached_property
    def _wanted(self) -> list[tuple[int | None, ...]]:
        """Shapes of the outputs."""
        space = SpaceConfig.from_json(self.metadata["architecture"]["space"])
        return output_shapes(self.task, space, self._layout if self.task == "detect" else None)

    @cached_property
    def _grey(self) -> bool:
        return bool(self.metadata["architecture"]["space"]["in_channels"] == 1)

    @cached_property
    def _layout(self) -> DetectionHead:
        return DetectionHead.from_json(self.metadata["detection_head"])

    @cached_property
    def _palette(self) -> Pixels:
        stored = self.metadata.get("palette")
        return np.array(stored, np.uint8) if stored else colours(len(self.classes))

    def predict(self, frame: Frame) -> Prediction:
        """What the model says of one image.

        Raises:
            ImageError: its pixels are damaged.
        """
        picture = frame.image
        if self.task == "detect":
            found = self.boxes(picture)
            told = [{"label": self.classes[k], "score": round(s, 4), "box": [round(v, 1) for v in b]} for b, s, k in
                    zip(found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True)]
            return Prediction(frame.name, {"file": frame.name, "boxes": told},
                              lambda: draw_boxes(picture.pixels(), found, self.classes))
        if self.task == "segment":
            mask = self.mask(picture)
            shares = np.bincount(mask.reshape(-1), minlength=len(self.classes)) / mask.size
            told_shares = {name: round(float(s), 4) for name, s in zip(self.classes, shares, strict=True)}
            facts = {"file": frame.name, "shares": told_shares}
            return Prediction(frame.name, facts, lambda: draw_mask(picture.pixels(), mask, self._palette), mask)
        scores = self.scores(picture)
        best = np.argsort(-scores)[:LIKELIEST]
        told = [{"label": self.classes[k], "score": round(float(scores[k]), 4)} for k in best]
        return Prediction(frame.name, {"file": frame.name, "classes": told})

    def fitted(self, picture: Picture) -> Pixels:
        """The pixels that the network eats of an image: uint8 (H, W, C)."""
        if self.task == "classify":
            return picture.square(self.size[0], 1 if self._grey else 3)
        return picture.letterboxed(Letterbox.fit(*picture.size, self.size))

    def scores(self, picture: Picture) -> npt.NDArray[np.float32]:
        """Probability of every class."""
        logits = self._run(self.fitted(picture)[None])[0][0]
        shares = np.exp(logits - logits.max())
        found: npt.NDArray[np.float32] = shares / shares.sum()
        return found

    def boxes(self, picture: Picture) -> Detections:
        """Detections in pixels of an image."""
        outputs = self._run(self.fitted(picture)[None])
        found = detections(*self._layout.decode(outputs), threshold=self.threshold)[0]
        box = Letterbox.fit(*picture.size, self.size)
        return Detections(box.to_original(found.boxes), found.scores, found.labels)

    def mask(self, picture: Picture) -> Pixels:
        """Class of every pixel of an image, uint8 (H, W)."""
        if self.tiled:
            logits = tiled_logits(lambda t: self._run(t)[0], picture.pixels(), self.size)
            return np.asarray(logits.argmax(0), np.uint8)
        answers = self._run(self.fitted(picture)[None])[0][0].argmax(0).astype(np.uint8)
        return Letterbox.fit(*picture.size, self.size).mask_to_original(answers)

    def _run(self, images: Pixels) -> list[npt.NDArray[np.float32]]:
        outputs = self.session.run({self.session.input_name: to_input(images)})
        found = [np.asarray(output, np.float32) for output in outputs]
        check_outputs(found, self._wanted)
        return found


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
    return dict(zip(names, output_stems(names, (PICTURE, MASK)), strict=True))


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
    return Prediction(found.name, facts, found.draw, found.mask)


def _png(pixels: Pixels) -> bytes:
    import io

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
