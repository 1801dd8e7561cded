"""What an exported model is given and gives, from what it says of itself: a network of a space, or a user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hwnas.export.metadata import check_outputs, is_own_network, task_of_model
from hwnas.imaging.contract import InputContract
from hwnas.imaging.picture import Picture
from hwnas.runtime import Session
from hwnas.space import SpaceConfig
from hwnas.tasks import own_network
from hwnas.tasks.answer import Answer, LoadedModel, Pixels


@dataclass(frozen=True)
class Interface:
    """How a model is asked, and what its outputs mean.

    Args:
        task: what it is for; `answers`: what is told of an image.
        contract: how an image becomes its input.
        size: (H, W) of that, px.
        classes: names of what it tells.
        shapes: of its outputs; None for sides that may be any, and for an output that may have any shape.
        postprocessing: how outputs become an answer: a record of `hwnas.tasks.readout`.
        fitted: gives the pixels that a loaded model eats of an image, uint8 (H, W, C).
        answer: gives what a loaded model says of an image.
        layout: of its head.
        extra: further keys that its bundle takes over from the metadata.
        pictures: which pictures its answers have; `tiles`: whether it may look at images in tiles.
        facts: what it says of itself.
    """

    task: str
    answers: str
    contract: InputContract
    size: tuple[int, int]
    classes: Sequence[str]
    shapes: Sequence[tuple[int | None, ...] | None]
    postprocessing: Mapping[str, Any]
    fitted: Callable[[LoadedModel, Picture], Pixels]
    answer: Callable[[LoadedModel, Picture], Answer]
    facts: Mapping[str, Any]
    layout: Any = None
    extra: Sequence[str] = ()
    pictures: Sequence[str] = field(default=())
    tiles: bool = False

    @classmethod
    def of(cls, metadata: Mapping[str, Any]) -> Interface:
        """Of a model whose metadata `read_exported` has checked.

        Raises:
            InputError: its task is of a package that is not installed.
        """
        return _of_own_network(metadata) if is_own_network(metadata) else _of_space(metadata)

    @property
    def channels(self) -> int:
        """1 or 3."""
        return self.contract.channels

    def loaded(self, session: Session, threshold: float = 0.3, tiled: bool = False) -> LoadedModel:
        """The model as its task asks it.

        Args:
            session: of the model.
            threshold: least score of a box.
            tiled: look at images at their own size, in tiles of the input.
        """
        def run(images: Pixels) -> list[np.ndarray]:
            outputs = session.run({session.input_name: self.contract.apply(images)})
            found = [np.asarray(output, np.float32 if output.dtype.kind == "f" else None) for output in outputs]
            known = [(output, shape) for output, shape in zip(found, self.shapes, strict=False) if shape is not None]
            check_outputs([output for output, _ in known], [shape for _, shape in known])
            return found

        return LoadedModel(run, list(self.classes), self.size, self.channels, self.facts, self.layout, threshold, tiled)


def _of_space(metadata: Mapping[str, Any]) -> Interface:
    task, space = task_of_model(metadata), SpaceConfig.from_json(metadata["architecture"]["space"])
    layout = task.layout_from(metadata)
    return Interface(
        task.name, task.answers, InputContract.inside(space.in_channels, task.fit), space.size,
        list(metadata["classes"]), task.output_shapes(space.classes, space.size, layout),
        task.postprocessing(metadata), task.fitted, task.answer, metadata, layout, task.model_keys, task.pictures,
        task.tiles)


def _of_own_network(metadata: Mapping[str, Any]) -> Interface:
    contract, outputs = InputContract.of(metadata["contract"]), metadata["outputs"]
    size = contract.size_of(tuple(metadata["input"]))
    how = own_network.postprocessing(outputs, contract, size)

    def fitted(model: LoadedModel, picture: Picture) -> Pixels:
        return contract.fitted(picture, size)

    def answer(model: LoadedModel, picture: Picture) -> Answer:
        return own_network.answer(how, model, picture, lambda image: contract.fitted(image, size))

    return Interface(
        own_network.TASKS[how["kind"]], own_network.answers(how), contract, size,
        own_network.names_of(how, outputs, metadata["classes"]),
        [None if output.get("shape") is None else tuple(output["shape"]) for output in outputs], how, fitted, answer,
        metadata,
        pictures=("picture", "mask") if how["kind"] == "mask" else ())
