"""What a task is: one object, found by name (`hwnas.tasks.registry`). Nothing else knows a task's name.

An object says how data is read, what is changed at random while it is learnt, what a mistake costs, how good outputs
are, what they mean, what is drawn and what travels in a bundle. Everything here works without torch; the three methods
that need it import it themselves. Those of the built-in tasks are in `hwnas.train`, registered by class
(`hwnas.train.objective.objective_of`).

Glossary
    data      `hwnas.data.labelled.LabelledData`, of the type that the task's `load` gives
    layout    what the maps of a head mean; None where the outputs speak for themselves
    facts     what a model says of itself: JSON under the metadata key 'hwnas'
    outputs   what a network gives for a batch, float32 arrays
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from hwnas.data.feed import WHOLE, Share
from hwnas.data.labelled import LabelledData
from hwnas.data.recipe import Recipe
from hwnas.errors import UsageError
from hwnas.imaging.letterbox import Letterbox
from hwnas.imaging.picture import Picture
from hwnas.progress import Progress, silent
from hwnas.tasks.answer import Answer, Cases, LoadedModel, Pixels
from hwnas.tasks.metric import Metric, Outputs
from hwnas.tasks.readout import CLASSES, read_out

if TYPE_CHECKING:
    from hwnas.space import Space, SpaceConfig

Batch = tuple[Pixels, Any]
Shapes = list[tuple[int | None, ...]]
FEW = 100  # validation images, below which one image is more than a point


@dataclass(frozen=True)
class Column:
    """A column of the report's table of classes.

    Args:
        network: 'reference' or 'compressed'.
        key: of the figure in the rows of a breakdown.
        title: what stands above it.
        digits: behind the point.
        better: which values are better; of an error it is 'less', and the column says so.
    """

    network: Literal["reference", "compressed"]
    key: str
    title: str
    digits: int = 1
    better: Literal["more", "less"] = "more"


@dataclass(frozen=True)
class Words:
    """How a report speaks of a score.

    Args:
        title: of the row and the figures; None takes the name of the metric.
        lead: what stands before a score in a headline, with a space behind it.
        scope: what the score is over, e.g. 'the mean over the classes'; empty where what one image is worth says more.
        figures: what the columns of the table of classes are, a sentence.
        examples: what else must be said of pictures, behind a comma.
        row: what a row of the table of classes is about, e.g. 'number' where the network gives numbers.
    """

    title: str
    lead: str = ""
    scope: str = ""
    figures: str = ""
    examples: str = ""
    row: str = "class"


class Task(ABC):
    """One task. An instance holds nothing; a subclass names itself and overrides what is not as here.

    Attributes:
        name: of `--task`.
        metric_name: of its figure.
        answers: what `predict` tells of an image, for the README of a bundle.
        data_type: of what `load` gives.
        heads: names of the heads of a space that its networks end in, its own first; none for plain logits.
        fit: how an image becomes the input: its centre, or all of it with grey around.
        pictures: which pictures an answer has: 'picture', 'mask'.
        tiles: whether images may be looked at in tiles.
        one_size: why a result cannot have another input than the reference; empty where it can.
        training: fields of `hwnas.train.TrainConfig` where the user does not say.
        photographs: the recipe for many photographs, where the user does not say.
        attention: factor of attention transfer in fine-tuning where the user does not say.
        widths: shares of the reference's channels a result may have, besides all of them, where the user does not say.
        columns: of the report's table of classes.
        words: how the report speaks of the score.
        model_keys: keys of the facts that its models have beside those of every model.
        remembers: whether a teacher's outputs are small enough to be kept.
        one_class: whether an image has one class, its label (`Dataset`), so that classes can be shown by turns.
        class_weights: whether its objective can weigh classes (`hwnas.train.objective.Weighed`).
    """

    name: ClassVar[str]
    metric_name: ClassVar[str]
    answers: ClassVar[str]
    data_type: ClassVar[type]
    heads: ClassVar[tuple[str, ...]] = ()
    fit: ClassVar[Literal["crop", "letterbox"]] = "crop"
    pictures: ClassVar[tuple[str, ...]] = ()
    tiles: ClassVar[bool] = False
    one_size: ClassVar[str] = ""
    photographs: ClassVar[str] = "small"
    training: ClassVar[Mapping[str, Any]] = {"lr": 0.1}
    attention: ClassVar[float] = 0.0
    widths: ClassVar[tuple[float, ...]] = ()
    columns: ClassVar[tuple[Column, ...]] = ()
    words: ClassVar[Words]
    model_keys: ClassVar[tuple[str, ...]] = ()
    remembers: ClassVar[bool] = True
    one_class: ClassVar[bool] = False
    class_weights: ClassVar[bool] = False

    # Data.

    @abstractmethod
    def load(self, source: str | Path, *, size: tuple[int, int] | None = None, seed: int = 0, limit: int | None = None,
             memory: int | None = None, progress: Progress = silent) -> LabelledData:
        """Read a data set.

        Args:
            size: height and width of the images in pixels; None lets the data decide.
            seed: of the split, and of `limit`.
            limit: use at most so many images.
            memory: bytes that decoded images may take (`hwnas.data.memory`); 0 decodes nothing yet.

        Raises:
            DataError: it cannot be used; says which file and what to do.
        """

    @abstractmethod
    def epoch(self, data: Any, batch: int, rng: np.random.Generator, share: Share = WHOLE,
              recipe: Recipe | None = None) -> Iterator[Batch]:
        """One pass over the training images, changed at random: uint8 (n, H, W, C) and targets that moved along.

        Args:
            batch: images at a time, of all processes together.
            rng: the same in every process; nothing else is random.
            share: which images of every batch are made here, as `hwnas.data.Feed.epoch` does it. A task without this
                argument is trained by one process.
            recipe: what else is done to the images, and which are shown; None for nothing. A task without this
                argument is trained with recipes that change no images.
        """

    def data_warnings(self, told: Mapping[str, Any]) -> list[str]:
        """What keeps a score from saying much, a sentence each, from `describe` of a data set."""
        images = int(told["val"])
        return [] if images >= FEW else [
            f"{images} validation images are few: the score of so few can be off by many points"]

    # What outputs are worth.

    @abstractmethod
    def metric(self, data: Any, layout: Any = None) -> Metric:
        """The truth about the validation images."""

    @abstractmethod
    def metric_from(self, arrays: Mapping[str, npt.NDArray[Any]], classes: int, layout: Any,
                    images: tuple[int, ...]) -> Metric:
        """The metric whose `arrays` these are; they come from a file.

        Args:
            classes: how many.
            images: shape of the images that the truth is about, (N, H, W, C).

        Raises:
            InputError: an array is missing, of another type or shape, or says what cannot be.
        """

    def cases(self, metric: Metric, data: Any, batches: Iterable[Outputs]) -> Cases | None:
        """The validation images to choose examples from; None where nothing is drawn.

        Args:
            metric: of these images.
            batches: outputs for them, in order.
        """
        return None

    # What outputs mean.

    def head_layout(self, space: Space) -> Any:
        """What the maps of the networks of a space mean; None where outputs speak for themselves."""
        return None

    def layout_from(self, facts: Mapping[str, Any]) -> Any:
        """The same from what a model says of itself.

        Raises:
            InputError: it cannot be.
        """
        return None

    def model_facts(self, data: Any, layout: Any) -> dict[str, Any]:
        """What a model must say of itself beside its classes, as JSON values under `model_keys`."""
        return {}

    def check_facts(self, facts: Mapping[str, Any], space: SpaceConfig) -> None:
        """Whether a model's facts fit its classes and its space.

        Raises:
            InputError: they do not.
        """
        require_classes(len(facts["classes"]), space.classes)

    def output_shapes(self, classes: int, size: tuple[int, int], layout: Any = None) -> Shapes:
        """Shapes of what a network gives; None for the images of a batch."""
        return [(None, classes)]

    def postprocessing(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """How outputs become an answer, as data: a kind of `hwnas.tasks.readout` with its numbers."""
        return {"kind": CLASSES}

    def fitted(self, model: LoadedModel, picture: Picture) -> Pixels:
        """The pixels that the network eats of an image: uint8 (H, W, C)."""
        if self.fit == "crop":
            return picture.square(model.size[0], model.channels)
        return picture.letterboxed(Letterbox.fit(*picture.size, model.size))

    def answer(self, model: LoadedModel, picture: Picture) -> Answer:
        """What a model says of an image.

        Raises:
            ImageError: its pixels are damaged.
        """
        outputs = model.run(self.fitted(model, picture)[None])
        return Answer(read_out(self.postprocessing(model.facts), outputs, model.classes))

    # What is learnt; these import torch themselves.

    def loss(self, outputs: Any, targets: Any, smoothing: float) -> Any:
        """What the mistakes of a batch cost, a scalar tensor.

        Args:
            outputs: what the network gives: a tensor, or a list of maps.
            targets: as `epoch` gives them.
            smoothing: of the labels, where the task has some.
        """
        raise UsageError(f"task {self.name!r} cannot be trained: its class has no method `loss`")

    def distilled(self, outputs: Any, taught: Any, plain: Any, teacher: Any) -> Any:
        """The loss with a teacher, a scalar tensor; without a method of its own, `plain`.

        Args:
            taught: what the teacher gives for the batch.
            plain: the loss without it.
            teacher: `hwnas.train.Teacher`, with `weight` and `temperature`.
        """
        return plain

    def prepare(self, net: Any, layout: Any = None) -> None:  # noqa: B027 - most tasks need nothing
        """Set what a new network should start from, in place."""


def require_classes(named: int, built: int) -> None:
    """Raises InputError unless a model names as many classes as it was built for."""
    from hwnas.errors import InputError

    if named != built:
        raise InputError(f"the model names {named} classes and was built for {built}")
