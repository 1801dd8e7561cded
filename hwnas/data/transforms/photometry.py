"""Transforms of one image by Pillow's operations: one at random (TrivialAugment), several (RandAugment), colours.

    s   strength of an operation, 0 to 1, from 31 even levels

The operations and the ranges of their strengths are those of TrivialAugment's wide space (Müller & Hutter, ICCV 2021,
table 2): rotations up to 135 degrees, shears and factors up to 0.99, shifts up to 32 px of an image of 224, here a
seventh of its side, posterising down to 2 bits. What comes in at the border has the image's mean colour. Where boxes or
masks have a place in the image, operations that move pixels are left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from hwnas.data.changes import Change
from hwnas.data.transforms.sample import Sample
from hwnas.errors import UsageError

LEVELS = 31
FARTHEST = 1 / 7  # of the side
Operation = Callable[[Image.Image, float, float], Image.Image]
"""Called with the picture, a strength 0..1 and a sign, -1 or 1."""


def _enhanced(how: type[ImageEnhance.Color | ImageEnhance.Contrast | ImageEnhance.Brightness | ImageEnhance.Sharpness]
              ) -> Operation:
    return lambda picture, s, sign: how(picture).enhance(1 + sign * 0.99 * s)


def _mean_colour(picture: Image.Image) -> int | tuple[int, ...]:
    found = np.rint(np.asarray(picture).mean(axis=(0, 1))).astype(int)
    return int(found) if picture.mode == "L" else tuple(found.tolist())


def _moved(picture: Image.Image, a: float, b: float, c: float, d: float) -> Image.Image:
    """x' = x + a y + b, y' = c x + y + d about the centre."""
    width, height = picture.size
    matrix = (1, a, b - a * height / 2, c, 1, d - c * width / 2)
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR,
                             fillcolor=_mean_colour(picture))


COLOURS: dict[str, Operation] = {
    "identity": lambda picture, s, sign: picture,
    "autocontrast": lambda picture, s, sign: ImageOps.autocontrast(picture),
    "equalize": lambda picture, s, sign: ImageOps.equalize(picture),
    "solarize": lambda picture, s, sign: ImageOps.solarize(picture, round(256 * (1 - s))),
    "posterize": lambda picture, s, sign: ImageOps.posterize(picture, 8 - round(6 * s)),
    "colour": _enhanced(ImageEnhance.Color),
    "contrast": _enhanced(ImageEnhance.Contrast),
    "brightness": _enhanced(ImageEnhance.Brightness),
    "sharpness": _enhanced(ImageEnhance.Sharpness),
}
MOVES: dict[str, Operation] = {
    "rotate": lambda picture, s, sign: picture.rotate(sign * 135 * s, Image.Resampling.BILINEAR,
                                                      fillcolor=_mean_colour(picture)),
    "shear_x": lambda picture, s, sign: _moved(picture, sign * 0.99 * s, 0, 0, 0),
    "shear_y": lambda picture, s, sign: _moved(picture, 0, 0, sign * 0.99 * s, 0),
    "shift_x": lambda picture, s, sign: _moved(picture, 0, sign * s * FARTHEST * picture.size[0], 0, 0),
    "shift_y": lambda picture, s, sign: _moved(picture, 0, 0, 0, sign * s * FARTHEST * picture.size[1]),
}
EVERY = {**COLOURS, **MOVES}


@dataclass(frozen=True)
class TrivialAugment:
    """One operation, each as likely, at a strength drawn evenly (Müller & Hutter, ICCV 2021).

    Args:
        strongest: largest strength, of the ranges above.
        moves: whether operations that move pixels are among them.
    """

    strongest: float = 1.0
    moves: bool = True

    def __post_init__(self) -> None:
        _check_strength(self.strongest)

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        s = self.strongest * int(rng.integers(LEVELS)) / (LEVELS - 1)
        return _operated(sample, rng, s, self.moves)


@dataclass(frozen=True)
class RandAugment:
    """Several operations in turn, all at one strength (Cubuk et al., NeurIPS 2020).

    Args:
        operations: how many.
        strength: of each, of the ranges above.
        moves: whether operations that move pixels are among them.
    """

    operations: int = 2
    strength: float = 0.3
    moves: bool = True

    def __post_init__(self) -> None:
        _check_strength(self.strength)
        if not 1 <= self.operations <= len(EVERY):
            raise UsageError(f"operations must be 1 to {len(EVERY)}, not {self.operations}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        for _ in range(self.operations):
            sample = _operated(sample, rng, self.strength, self.moves)
        return sample


@dataclass(frozen=True)
class ColourJitter:
    """Contrast, brightness and tint change, as in training a detector; a grey image changes in all but tint.

    Args:
        share: at most by this share of their range.
    """

    share: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise UsageError(f"share must be above 0 and under 1, not {self.share}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Sample:
        change = Change.drawn(rng, sample.image.shape[:2], jitter=self.share, scale=(1.0, 1.0), flip=False)
        assert change.table is not None, "a share above 0 changes colours"
        table = change.table if sample.image.shape[2] == 3 else change.table[:256]
        return sample.repainted(sample.picture.point(table))


def _operated(sample: Sample, rng: np.random.Generator, s: float, moves: bool) -> Sample:
    known = list((COLOURS if sample.placed or not moves else EVERY).values())
    operation, sign = known[int(rng.integers(len(known)))], 1.0 if rng.random() < 0.5 else -1.0
    return sample.repainted(operation(sample.picture, s, sign))


def _check_strength(given: float) -> None:
    if not 0 <= given <= 1:
        raise UsageError(f"a strength is in 0..1, not {given}")
