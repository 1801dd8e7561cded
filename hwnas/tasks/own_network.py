"""What the outputs of a user's own network are told as: classes, a mask, or as they are.

| first output                                          | is told as                                               |
|-------------------------------------------------------|----------------------------------------------------------|
| (1, K), K >= 2                                        | classes, by name where the images had names for all of K |
| (1, K, H, W), as large as an input with grey around   | a mask, and the share of every class                     |
| any other                                             | it is: name, shape, values                               |

Further outputs are told as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hwnas.imaging.contract import InputContract
from hwnas.imaging.picture import Picture
from hwnas.tasks.answer import Answer, LoadedModel, Pixels
from hwnas.tasks.readout import CLASSES, MASK, RAW, left_over, read_out
from hwnas.tasks.registry import find

MOST_MASK = 256  # classes: the numbers of a mask are bytes
TASKS = {CLASSES: "classify", MASK: "segment", RAW: "give its outputs"}


def postprocessing(outputs: Sequence[Mapping[str, Any]], contract: InputContract, size: tuple[int, int]
                   ) -> dict[str, Any]:
    """How the outputs become an answer: a record of `hwnas.tasks.readout`.

    Args:
        outputs: `outputs` of the metadata of a model.
        size: (H, W) of the input.
    """
    first, names = outputs[0], [output["name"] for output in outputs]
    shape = first.get("shape") or []
    if first["kind"] == "classes" and len(shape) == 2:
        return {"kind": CLASSES, "probabilities": bool(first.get("probabilities")), "outputs": names}
    whole = len(shape) == 4 and tuple(shape[2:]) == tuple(size) and shape[1] <= MOST_MASK
    if first["kind"] == "dense" and whole and contract.fit == "letterbox":
        return {"kind": MASK, "outputs": names}
    return {"kind": RAW, "outputs": names}


def answers(how: Mapping[str, Any]) -> str:
    """What is told of an image, for the README of a bundle."""
    if how["kind"] == RAW:
        return "name, shape and values of every output; `-o FOLDER` writes them as .npz"
    return find(TASKS[how["kind"]]).answers


def names_of(how: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> list[str]:
    """Names of the classes that are told: the images' where they are as many as the network has, else their numbers."""
    if how["kind"] == RAW:
        return []
    count = int(outputs[0]["shape"][1])
    return list(classes) if len(classes) == count else [str(k) for k in range(count)]


def answer(how: Mapping[str, Any], model: LoadedModel, picture: Picture,
           fitted: Callable[[Picture], Pixels]) -> Answer:
    """What a model says of an image.

    Args:
        how: `postprocessing`.
        fitted: gives the pixels that the network eats of an image.

    Raises:
        ImageError: its pixels are damaged.
    """
    outputs = model.run(fitted(picture)[None])
    arrays = dict(zip(how["outputs"], outputs, strict=True)) if how["kind"] == RAW or len(outputs) > 1 else {}
    if how["kind"] != MASK:
        return Answer(read_out(how, outputs, model.classes), arrays=arrays)
    found = find("segment").answer(replace(model, run=lambda pixels: outputs), picture)
    return Answer({**found.facts, **left_over(how, outputs)}, found.draw, found.mask, arrays)
