"""What a score is made of: the figures of every class, what is taken for what, and how two networks differ.

| task     | figures of a class, percent | counted in | taken for what |
|----------|-----------------------------|------------|----------------|
| classify | recall, precision           | images     | images         |
| segment  | iou, recall, precision      | pixels     | pixels         |
| detect   | ap, ap50                    | boxes      |                |

Glossary
    C       confusion: how many of class i were called j     (K, K), rows truth, columns answers
    recall, precision    C_ii over the sum of row i, of column i; None where that is 0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.tasks.chance import LEVEL, Matrix, differs
from hwnas.tasks.standing import Standing

SCHEMA = 2  # of the file that holds breakdowns
MOST_CLASSES = 100  # up to which a file holds the whole matrix
NAMED = 4  # classes that a sentence names
MOST_PAIRS = 20  # of the confused pairs that are named
Rows = tuple[dict[str, Any], ...]
Compare = Callable[[float, npt.NDArray[Any], npt.NDArray[Any]], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Breakdown:
    """A score, taken apart.

    Args:
        standing: the score and what it is worth.
        classes: names, K.
        rows: of every class its name, what there is to find of it (`count`), and its figures in percent or None.
        unit: what is counted: images, pixels or boxes.
        confusion: C; None of a detector.
        more: further figures of the task, as JSON values.
        each: what every image contributes, to hold two networks against each other: whether it is right, (N,), or its
            confusion, (N, K, K); None where that is not known.
        compare: the points, `each` of another network and its own -> what they tell, see `difference`.
    """

    standing: Standing
    classes: tuple[str, ...]
    rows: Rows
    unit: str
    confusion: Matrix | None = None
    more: dict[str, Any] = field(default_factory=dict)
    each: npt.NDArray[Any] | None = None
    compare: Compare | None = None

    def confused(self, most: int = MOST_PAIRS) -> list[dict[str, Any]]:
        """The pairs that are mixed up most: class, what it was called, how often, and percent of the class."""
        if self.confusion is None:
            return []
        off = self.confusion * (1 - np.eye(len(self.confusion), dtype=np.int64))
        order = np.argsort(-off, axis=None, kind="stable")[:most]
        pairs = [divmod(int(i), len(off)) for i in order]
        return [{"is": self.classes[i], "called": self.classes[j], "count": int(off[i, j]),
                 "share": 100 * int(off[i, j]) / int(self.confusion[i].sum())} for i, j in pairs if off[i, j]]

    def to_json(self) -> dict[str, Any]:
        """JSON values; the matrix is left out above `MOST_CLASSES` classes."""
        whole = self.confusion is not None and len(self.confusion) <= MOST_CLASSES
        return {"standing": self.standing.to_json(), "unit": self.unit, "per_class": list(self.rows),
                "confusion": self.confusion.tolist() if whole and self.confusion is not None else None,
                "confused": self.confused(), **self.more}


def difference(reference: Breakdown, result: Breakdown) -> dict[str, Any]:
    """What the images tell of the points between two networks that answered the same ones.

    Returns:
        `points`; `beyond_chance`, None where it is not known; `p` of a test, or the 95 % `interval` of the points;
        `told`, the same in words.
    """
    points, images = result.standing.score - reference.standing.score, result.standing.images
    told: dict[str, Any] = {"points": points, "beyond_chance": None, "p": None, "interval": None}
    before, after = reference.each, result.each
    if result.compare is None or before is None or after is None or before.shape != after.shape:
        return told | {"told": f"{points:+.2f} points of {result.standing.metric}; what {images:,} images can tell of "
                               "it is not known"}
    return told | result.compare(points, before, after)


def by_answers(points: float, before: npt.NDArray[Any], after: npt.NDArray[Any]) -> dict[str, Any]:
    """By the images that only one of two networks gets right (sign test): both bool (N,)."""
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    p, net = differs(gained, lost), abs(gained - lost)
    many = "one image" if net == 1 else f"{net:,} images"
    counts = f"{gained:,} won, {lost:,} lost"
    if not net:
        return {"p": p, "beyond_chance": False, "told": f"as many of the {len(after):,} images are right ({counts})"}
    return {"p": p, "beyond_chance": p < LEVEL,
            "told": f"{points:+.2f} points {'is' if net == 1 else 'are'} {many} of {len(after):,} ({counts}): "
                    f"{_chance(p < LEVEL)} (p {p:.2g})"}


def by_resampling(points: float, images: int, interval: tuple[float, float]) -> dict[str, Any]:
    """By the 95 % interval of the points over images that are drawn again and again."""
    low, high = interval
    beyond = not low <= 0 <= high
    return {"interval": [low, high], "beyond_chance": beyond,
            "told": f"{points:+.2f} points, 95 % of {low:+.2f} to {high:+.2f} over the {images} images: "
                    f"{_chance(beyond)}"}


def _chance(beyond: bool) -> str:
    return "beyond chance" if beyond else "within what chance does"


def class_rows(classes: Sequence[str], counts: npt.NDArray[Any], **figures: npt.NDArray[np.float64]) -> Rows:
    """A row a class: what there is to find of it, (K,), and its figures, (K,) each, NaN for none."""
    return tuple({"class": name, "count": int(counts[i])} | {key: finite(row[i]) for key, row in figures.items()}
                 for i, name in enumerate(classes))


def never_found(classes: Sequence[str], counts: npt.NDArray[Any], found: npt.NDArray[Any]) -> tuple[str, ...]:
    """Names of the classes that are there and of which nothing is found; counts and found are (K,)."""
    return tuple(name for name, count, right in zip(classes, counts, found, strict=True) if count and not right)


def percent(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """100 part / whole, (K,); NaN where there is nothing to divide by."""
    found: npt.NDArray[np.float64] = 100 * np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return found


def finite(value: float) -> float | None:
    """None for NaN, which JSON does not have."""
    return None if np.isnan(value) else float(value)


def named(classes: Sequence[str]) -> str:
    """"class 'a'", "3 classes ('a', 'b', 'c')" or "9 classes ('a', 'b', 'c', 'd' and 5 more)"."""
    shown = ", ".join(map(repr, classes[:NAMED]))
    more = f" and {len(classes) - NAMED} more" if len(classes) > NAMED else ""
    return f"class {shown}" if len(classes) == 1 else f"{len(classes)} classes ({shown}{more})"
