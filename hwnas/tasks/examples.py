"""Good and bad cases as pictures: what was found beside what is there, for people who look rather than read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hwnas.tasks.answer import Cases

Pixels = npt.NDArray[np.uint8]

GAP = 8  # pixels of white between the two pictures


@dataclass(frozen=True)
class Example:
    """One image of the validation set.

    Args:
        number: which.
        score: of this image, percent.
        good: whether it is among the best, or among the worst.
        picture: uint8 (H, 2 W + gap, 3): the truth at the left, the answer at the right.
    """

    number: int
    score: float
    good: bool
    picture: Pixels


def examples(cases: Cases | None, count: int = 3) -> list[Example]:
    """The `count` best and the `count` worst images, worst last; fewer where there are not as many."""
    if cases is None:
        return []
    scores = cases.scores
    order = [int(i) for i in np.argsort([-s for s in scores], kind="stable") if not np.isnan(scores[i])]
    count = min(count, len(order) // 2)
    chosen = [(i, True) for i in order[:count]] + [(i, False) for i in order[len(order) - count :]]
    return [Example(i, float(scores[i]), good, _beside(*cases.draw(i))) for i, good in chosen]


def _beside(left: Pixels, right: Pixels) -> Pixels:
    gap = np.full((left.shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([left, gap, right], axis=1)
