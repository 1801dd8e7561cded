"""DA-NAS: ops go in stages on growing sets of classes, the easy ones first.

    symbol     meaning                                                                          shape
    e_c        share of the training images of class c that lie nearer to the mean of another   scalar per class
    D_s        the classes of least e that stage s shows, `SHARES` of them, two at least
    b, t       effects of ops on scores over D_s, in points, and the mean standard error        per choice
    p_k        exp(b_k / t) / sum, over the live ops of a choice
    tau        an op goes where p_k < tau max p, that is where b lies ln(1 / tau) standard errors under the best
    work       images that a stage shows times ops that are live in it                          scalar a stage

Source: Dai et al., DA-NAS, ECCV 2020: easy classes tell bad blocks from good ones already, so they are enough to trim a
large space. Theirs: the growing sets, the threshold on probabilities, masks that only shrink. Ours: p from effects of
architectures drawn fairly instead of logits learnt by gradients, since effects come with errors; the classes' order by
nearest means of small images, which costs seconds; at least `keep` + 1 ops of a choice stay for the search; one image
of every class that is not shown stays among the training images, as a data set has all of its classes. What was
reproduced: benchmarks/indicators.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hwnas.errors import UsageError
from hwnas.search.cycle import Protected, fair_cycle, protected_ops
from hwnas.search.distribution import BoolArray, Rows
from hwnas.search.effects import fit_effects
from hwnas.search.reducers.migo import MigoPruning
from hwnas.search.roles import Evaluator, Mask, StagedReducer
from hwnas.space import Space

SHARES = (0.2, 0.5, 1.0)  # of the classes
TAU = 0.05
SCORED = 40  # architectures a stage
RIDGE = 10.0
LOOKED = 2000  # images from which the order of the classes is taken
SIDE = 8  # pixels of theirs


class ClassShrinking(MigoPruning, StagedReducer):
    """The mask after every stage; at the end of a search nothing more is removed than MIGO would.

    Args:
        keep: how many ops of every choice the search leaves in the end.
        protect: per choice an op that is to stay, or several.

    Raises:
        UsageError: keep is below 1.
    """

    stages = len(SHARES)
    scored = SCORED

    def __init__(self, keep: int, protect: Protected | None = None) -> None:
        super().__init__(keep, protect)
        self._work: list[list[int]] = []

    def fold(self, whole: Any, stage: int) -> Any:
        data = whole.data
        if not whole.task.one_class:
            raise UsageError("--reduce classes shows one class after the other, and the task "
                             f"{whole.task.name} has not one an image: take --reduce migo")
        shown = easiest(data, max(2, round(SHARES[stage] * len(data.classes))))
        if len(shown) == len(data.classes):
            return whole
        parts = [np.flatnonzero(np.isin(part.labels, shown)) for part in data.parts]
        if not len(parts[1]):
            raise UsageError("none of the images that judge is of the classes that a stage shows: give more images, or "
                             "take --reduce migo")
        others = [int(np.flatnonzero(data.train.labels == c)[0]) for c in range(len(data.classes)) if c not in shown]
        train, val = data.train.take(np.sort(np.append(parts[0], others))), data.val.take(parts[1])
        return whole.on(replace(data, train_images=train.pixels, train_labels=train.labels, val_images=val.pixels,
                                val_labels=val.labels))

    def shrink(self, space: Space, live: Mask, stage: int, evaluator: Evaluator) -> Mask:
        cycles = -(-SCORED // max(int(row.sum()) for row in live))  # whole ones
        rng = np.random.default_rng(stage)
        samples = [choice for _ in range(cycles) for choice in fair_cycle(live, rng)]
        scores = [evaluator.evaluate(choice, space).value for choice in samples]
        fit = fit_effects(samples, scores, [0] * len(samples), tuple(space.sizes), RIDGE)
        effects, stderr = fit.centred(live)
        images = len(evaluator.fold.train_images)  # type: ignore[attr-defined]
        self._work.append([images, sum(int(row.sum()) for row in live)])
        return thresholded(effects, stderr, live, TAU, self.keep + 1, self.protect)

    def state_dict(self) -> dict[str, Any]:
        return {"work": self._work}

    def load(self, state: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
        self._work = [[int(images), int(ops)] for images, ops in state["work"]]


def thresholded(effects: Rows, stderr: Rows, live: Mask, tau: float, least: int,
                protect: Protected | None = None) -> list[BoolArray]:
    """The ops that are left: those whose probability is tau of the largest, the `least` best, and the protected."""
    mask = []
    for i, (b, t, row) in enumerate(zip(effects, stderr, live, strict=True)):
        scale = max(float(t[row].mean()), 1e-9)
        left = row & (b >= b[row].max() - scale * math.log(1 / tau))
        best = [k for k in np.argsort(-b, kind="stable").tolist() if row[k]][:least]
        left[[*best, *(k for k in protected_ops(protect, i) if row[k])]] = True
        mask.append(left)
    return mask


def easiest(data: Any, count: int) -> list[int]:
    """The classes that nearest means of small images tell apart best, of equal ones the first."""
    rng = np.random.default_rng(0)
    labels = np.asarray(data.train.labels)
    looked = np.sort(rng.permutation(len(labels))[:LOOKED])
    looked = np.union1d(looked, [int(np.flatnonzero(labels == c)[0]) for c in range(len(data.classes))])
    small, found = _small(np.asarray(data.train.take(looked).pixels[:])), labels[looked]
    means = np.stack([small[found == c].mean(axis=0) for c in range(len(data.classes))])
    nearest = ((small[:, None] - means[None]) ** 2).sum(axis=2).argmin(axis=1)
    errors = [float((nearest[found == c] != c).mean()) for c in range(len(data.classes))]
    return sorted(sorted(range(len(errors)), key=lambda c: (errors[c], c))[:count])


def _small(images: np.ndarray) -> np.ndarray:
    """Means over `SIDE` x `SIDE` blocks, flattened: (N, H, W, C) -> (N, SIDE * SIDE * C)."""
    rows, columns = (np.array_split(np.arange(n), min(SIDE, n)) for n in images.shape[1:3])
    means: Sequence[np.ndarray] = [images[:, r[0] : r[-1] + 1, c[0] : c[-1] + 1].mean(axis=(1, 2)) for r in rows
                                   for c in columns]
    return np.concatenate(means, axis=1)
