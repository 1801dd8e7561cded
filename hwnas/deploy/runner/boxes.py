"""From the raw maps of a bundle's detector to boxes: `hwnas.tasks.decoding` at the places that lie in the bundle.

Glossary
    K, P     classes; predictions of an image: points (fcos) or anchors (ssdlite) of all maps, in order
    places   anchors.npz: `points` (P, 2) and `strides` (P,), px of the input; of ssdlite `anchors` (P, 4)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hwnas.errors import InputError
from hwnas.tasks.decoding import PREDICTIONS, centres_and_sides, fcos, rows_of, ssdlite, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hwnas.deploy.runner.schema import Array


def decode(head: Mapping[str, Any], places: Mapping[str, Array], maps: Sequence[Array]) -> tuple[Array, Array]:
    """Boxes (P, 4) in px of the input and scores (P, K) of one image.

    Args:
        head: `detection_head` of model.json.
        maps: raw outputs of one image, float32 (1, channels, h, w), one a level.

    Raises:
        InputError: maps of another head.
    """
    classes, kind = int(head["classes"]), str(head["kind"])
    rows = rows_of(maps, kind)[0]
    wanted = (PREDICTIONS[kind] * sum(h * w for h, w in head["maps"]),
              values_of(kind, classes, int(head["reg_max"])))
    if rows.shape != wanted:
        raise InputError(f"the model gives {rows.shape[0]} predictions of {rows.shape[1]} numbers, model.json says "
                         f"{wanted[0]} of {wanted[1]}: make the bundle again")
    if kind == "ssdlite":
        return ssdlite(rows, classes, *centres_and_sides(places["anchors"]))
    return fcos(rows, classes, places["points"], places["strides"])
