"""What a compress works on: the data of its task, the space that fits it, and how a network of it is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hwnas import launch
from hwnas.data.labelled import LabelledData
from hwnas.data.memory import cache_folder
from hwnas.data.reading import Reading
from hwnas.data.recipe import Recipe, default_recipe, find_recipe
from hwnas.data.threads import cores
from hwnas.errors import UsageError
from hwnas.pipeline.config.compress_config import CompressConfig, DataSection
from hwnas.pipeline.own_code import loss_of
from hwnas.progress import Progress
from hwnas.space import FULL, Space, SpaceConfig, Variant, find_space, scaled, variants
from hwnas.space.find import is_file, space_file
from hwnas.space.heads import describe_head
from hwnas.tasks.registry import find, task_of_head


def load_data(config: CompressConfig, progress: Progress, size: tuple[int, int] | None = None,
              memory: int | None = None) -> LabelledData:
    """The images of a task.

    Args:
        size: height and width in pixels; None takes those of the config, or else those of the file of its space.
        memory: bytes that decoded images may take (`hwnas.data.memory`); 0 decodes nothing yet.

    Raises:
        DataError: they cannot be used.
    """
    if size is None and config.data.imgsz is None and is_file(config.space.name):
        size = space_file(config.space.name).config.size
    if size is None and config.data.imgsz:
        size = config.data.imgsz, config.data.width or config.data.imgsz
    return find(config.task).load(config.data.source, size=size, seed=config.seed, limit=config.data.limit,
                                  memory=memory, progress=progress)


def reading_of(asked: DataSection, *, gpu: bool) -> Reading:
    """How images are read while networks are trained.

    A GPU waits for pixels, so batches are made beside it and images decoded once. A CPU has no time to win: what
    workers do is taken from the training, and decoding is a small part of it (`benchmarks/big_data.md`).

    Args:
        gpu: whether one trains.
    """
    folder = {"off": None, "auto": cache_folder() if gpu else None}.get(asked.image_cache, Path(asked.image_cache))
    return Reading(folder, (max(1, cores() // launch.local_world()) if gpu else 0) if asked.workers is None else
                   asked.workers)


def recipe_of(config: CompressConfig, data: LabelledData) -> Recipe:
    """The recipe that is asked for, or else the one for data of this size.

    Raises:
        UnknownName, InputError, UsageError: as `hwnas.data.recipe.find_recipe`.
    """
    by_size = default_recipe(find(config.task).photographs, data.size, data.channels, len(data.parts[0]))
    found = find_recipe(config.train.recipe or by_size, config.task)
    return found.model_copy(update={"loss": loss_of(config, data.classes, found.loss)})


def training_of(config: CompressConfig, recipe: Recipe) -> dict[str, Any]:
    """Fields of `hwnas.train.TrainConfig` that configuration, recipe and task decide, in this order; no torch is needed
    to know them."""
    asked = {"epochs": config.train.epochs, "batch": config.train.batch_size, "lr": config.train.lr,
             "patience": config.train.patience, "accumulate": config.train.accumulate}
    return {**find(config.task).training, **recipe.training.given,
            **{name: value for name, value in asked.items() if value is not None}}


def attention_of(config: CompressConfig) -> float:
    """The factor of attention in fine-tuning."""
    return find(config.task).attention if config.train.attention is None else config.train.attention


def widths_of(config: CompressConfig) -> tuple[float, ...]:
    """The shares of the reference's channels that the result may have, but for 1; the largest first."""
    given = find(config.task).widths if config.space.widths is None else config.space.widths
    return tuple(sorted({width for width in given if width < 1}, reverse=True))


def sizes_of(config: CompressConfig, space: Space) -> tuple[int, ...]:
    """The heights of the input that the result may have, but for the reference's; the largest first."""
    return tuple(sorted({size for size in config.space.sizes or () if size != space.config.imgsz}, reverse=True))


def spaces_of(config: CompressConfig, space: Space) -> dict[Variant, Space]:
    """Variant -> its space, all channels at the reference's size first.

    Raises:
        UsageError: one of them changes what can be chosen, is larger than the reference, or of another shape.
    """
    return {v: space if v == FULL else scaled(space, v)
            for v in variants(widths_of(config), sizes_of(config, space))}


def check_sizes(config: CompressConfig) -> None:
    """Sizes are to be compared by one truth.

    Raises:
        UsageError: a task that cannot compare them is to have several.
    """
    why = find(config.task).one_size
    if config.space.sizes and why:
        raise UsageError(f"--sizes is not for --task {config.task}: {why}")


def head_of(config: CompressConfig) -> str:
    """The name of the head; empty for a classifier.

    Raises:
        UsageError: a head of another task.
    """
    known = find(config.task).heads
    if not config.space.head:
        return known[0] if known else ""
    if config.space.head not in known:
        describe_head(config.space.head)  # a name that there is not
        raise UsageError(f"head {config.space.head} is for --task {task_of_head(config.space.head).name}, not for "
                         f"--task {config.task}")
    return config.space.head


def space_for_data(config: CompressConfig, found: LabelledData) -> Space:
    """The space of a config, in the size of the data and with the head of the task.

    Raises:
        as `space_of`.
    """
    return space_of(config, (found.channels, *found.size), len(found.classes))


def space_of(config: CompressConfig, image: tuple[int, int, int], classes: int, *, any_channels: bool = False) -> Space:
    """The space that a config names, for images of (channels, height, width) and with the head of the task.

    Args:
        any_channels: as in `hwnas.space.find_space`.

    Raises:
        UnknownName, UsageError, InputError: as `hwnas.space.find_space`, or a head of another task.
    """
    channels, height, width = image
    asked = config.space
    head, stride = head_of(config), asked.output_stride
    if is_file(asked.name):  # says itself how it ends, unless another end is asked for
        own = space_file(asked.name).config
        fits = own.head in find(config.task).heads if own.head else not find(config.task).heads
        if asked.head is None and fits:
            head, stride = own.head, stride or own.output_stride
    return find_space(SpaceConfig(asked.name, height, channels, classes, asked.width_mult, asked.depth,
                                  None if width == height else width, head, asked.head_width, stride),
                      any_channels=any_channels)


def adapted(config: CompressConfig, space: Space) -> list[str]:
    """What a space of a file was made to fit, for people; nothing where it is as the file has it."""
    if not is_file(config.space.name):
        return []
    own, now = space_file(config.space.name).config, space.config
    sizes = [f"images of {own.size[0]} x {own.size[1]} and takes {now.size[0]} x {now.size[1]} here"
             ] if own.size != now.size else []
    classes = [f"{own.classes} classes and has {now.classes} here"] if own.classes != now.classes else []
    return [f"space {own.name} was written for {what}" for what in (*sizes, *classes)]
