"""From the raw maps of a detection head to boxes and scores: the one copy, for training, runs, bundles and servers.

This file travels in bundles: Python 3.8, and a numpy without numpy.typing.

Glossary
    N         images; a single image may come without this axis
    K         classes
    R         largest distance that a head of kind fcos can tell, in strides
    P         predictions an image: points (fcos) or anchors (ssdlite) of all maps, in order
    maps      raw outputs, float32, one a level                            (N, channels, h, w)
    rows      the same values, a row a prediction                          (N, P, values)
    boxes     x0, y0, x1, y1, px of the network's input, not clipped       (N, P, 4)
    scores    probability of every class                                   (N, P, K)

kind fcos: K class logits (sigmoid, no background), then R + 1 logits each for left, top, right and bottom. A distance
is the mean of the bins 0..R under their softmax, times the stride: X. Li et al., Generalized Focal Loss, NeurIPS 2020.
kind ssdlite: for each of the six anchors of a cell, K + 1 class logits (softmax, class 0 is background), then offsets
of centre and log side, relative to the anchor, in units of the variances: W. Liu et al., SSD, ECCV 2016.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

PREDICTIONS = {"fcos": 1, "ssdlite": 6}  # kind of head -> predictions a cell
VARIANCES = (0.1, 0.1, 0.2, 0.2)
LARGEST_GROWTH = math.log(1000 / 16)  # of a side over its anchor's: an untrained net must not overflow


def values_of(kind: str, classes: int, reg_max: int) -> int:
    """Numbers a prediction: class logits and box."""
    return classes + (5 if kind == "ssdlite" else 4 * (reg_max + 1))


def rows_of(maps: Sequence[Array], kind: str) -> Array:
    """The values of all maps, a row a prediction: (N, P, values)."""
    cell = PREDICTIONS[kind]
    return np.concatenate([
        values.reshape(len(values), cell, values.shape[1] // cell, -1).transpose(0, 3, 1, 2)
        .reshape(len(values), -1, values.shape[1] // cell) for values in maps
    ], axis=1)


def fcos(rows: Array, classes: int, points: Array, strides: Array) -> tuple[Array, Array]:
    """Boxes and scores of an anchor-free head.

    Args:
        points: centre of every prediction, x and y in px of the input: (P, 2).
        strides: of the map of every prediction, px: (P,).
    """
    spread = softmax(rows[..., classes:].reshape(*rows.shape[:-1], 4, -1))
    distances = spread @ np.arange(spread.shape[-1], dtype=np.float32) * strides[:, None]
    boxes = np.concatenate([points - distances[..., :2], points + distances[..., 2:]], axis=-1)
    return boxes, sigmoid(rows[..., :classes])


def ssdlite(rows: Array, classes: int, centres: Array, sides: Array) -> tuple[Array, Array]:
    """Boxes and scores of a head with anchors.

    Args:
        centres, sides: of every anchor, px of the input: (P, 2) each.
    """
    logits, offsets = rows[..., : classes + 1], rows[..., classes + 1 :] * np.array(VARIANCES, np.float32)
    moved = centres + offsets[..., :2] * sides
    halves = sides * np.exp(np.minimum(offsets[..., 2:], np.float32(LARGEST_GROWTH))) / 2
    return np.concatenate([moved - halves, moved + halves], axis=-1), softmax(logits)[..., 1:]


def centres_and_sides(anchors: Array) -> tuple[Array, Array]:
    """Of boxes (P, 4): x and y of the centre, width and height, (P, 2) each."""
    centres: Array = (anchors[:, :2] + anchors[:, 2:]) * np.float32(0.5)
    return centres, anchors[:, 2:] - anchors[:, :2]


def sigmoid(logits: Array) -> Array:
    """Shares of their own, in the form with tanh, which never overflows."""
    found: Array = np.float32(0.5) * (np.float32(1) + np.tanh(logits * np.float32(0.5)))
    return found


def softmax(logits: Array) -> Array:
    """Shares along the last axis; the largest logit may be anything finite."""
    shares: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares
