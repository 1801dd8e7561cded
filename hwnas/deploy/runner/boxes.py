"""From the raw maps of a detector to boxes, numpy alone. What a map means is computed where the bundle is made.

Glossary
    K        classes
    R        largest distance of a head of kind fcos, in strides
    P        predictions an image: points (fcos) or anchors (ssdlite) of all maps, in order
    maps     raw outputs, float32, one a level                        (1, channels, h, w)
    rows     the same values, a row a prediction                      (P, values)
    places   anchors.npz: `points` (P, 2) and `strides` (P,), px of the input; of ssdlite `anchors` (P, 4)

Sources: X. Li et al., Generalized Focal Loss, NeurIPS 2020 (fcos); W. Liu et al., SSD, ECCV 2016 (ssdlite).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwnas.deploy.runner.schema import Array

PER_CELL = {"fcos": 1, "ssdlite": 6}
VARIANCES = (0.1, 0.1, 0.2, 0.2)
LARGEST_GROWTH = math.log(1000 / 16)


def decode(head: Mapping[str, Any], places: Mapping[str, Array], maps: Sequence[Array]) -> tuple[Array, Array]:
    """Boxes (P, 4) in px of the input and scores (P, K) of one image.

    Args:
        head: `detection_head` of model.json.

    Raises:
        InputError: maps of another head.
    """
    classes, kind = int(head["classes"]), str(head["kind"])
    rows = np.concatenate([_rows(values, PER_CELL[kind]) for values in maps])
    wanted = PER_CELL[kind] * sum(h * w for h, w in head["maps"])
    values = classes + (5 if kind == "ssdlite" else 4 * (int(head["reg_max"]) + 1))
    if rows.shape != (wanted, values):
        raise InputError(f"the model gives {rows.shape[0]} predictions of {rows.shape[1]} numbers, model.json says "
                         f"{wanted} of {values}: make the bundle again")
    return _ssdlite(classes, places, rows) if kind == "ssdlite" else _fcos(classes, places, rows)


def _rows(values: Array, per_cell: int) -> Array:
    return values.reshape(per_cell, values.shape[1] // per_cell, -1).transpose(2, 0, 1).reshape(
        -1, values.shape[1] // per_cell)


def _fcos(classes: int, places: Mapping[str, Array], rows: Array) -> tuple[Array, Array]:
    spread = _softmax(rows[:, classes:].reshape(len(rows), 4, -1))
    distances = spread @ np.arange(spread.shape[-1], dtype=np.float32) * places["strides"][:, None]
    points = places["points"]
    boxes = np.concatenate([points - distances[:, :2], points + distances[:, 2:]], axis=-1)
    half = np.float32(0.5)
    return boxes, half * (np.float32(1) + np.tanh(rows[:, :classes] * half))  # a sigmoid that never overflows


def _ssdlite(classes: int, places: Mapping[str, Array], rows: Array) -> tuple[Array, Array]:
    offsets, anchors = rows[:, classes + 1 :] * np.array(VARIANCES, np.float32), places["anchors"]
    sides = anchors[:, 2:] - anchors[:, :2]
    moved = (anchors[:, :2] + anchors[:, 2:]) / 2 + offsets[:, :2] * sides
    halves = sides * np.exp(np.minimum(offsets[:, 2:], np.float32(LARGEST_GROWTH))) / 2
    return np.concatenate([moved - halves, moved + halves], axis=-1), _softmax(rows[:, : classes + 1])[:, 1:]


def _softmax(logits: Array) -> Array:
    shares: Array = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares /= shares.sum(axis=-1, keepdims=True)
    return shares
