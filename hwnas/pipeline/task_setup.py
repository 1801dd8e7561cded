"""What a compress works on: the data of its task, the space that fits it, and how a network of it is trained."""

from __future__ import annotations

from typing import Any

from hwnas import data as datasets
from hwnas.data.detection import DetectionData, load_detection
from hwnas.data.segmentation import SegmentationData, load_segmentation
from hwnas.errors import UsageError
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.progress import Progress
from hwnas.space import FULL, Space, SpaceConfig, Variant, find_space, scaled, variants
from hwnas.space.find import is_file, space_file
from hwnas.space.heads import describe_head

AnyData = datasets.Dataset | DetectionData | SegmentationData
HEADS = {"detect": "fcos", "segment": "lraspp"}
TRAINING: dict[str, dict[str, Any]] = {
    "classify": {"lr": 0.1},
    "detect": {"lr": 2e-3, "optimizer": "adamw", "weight_decay": 0.05, "ema": 0.9998},  # NanoDet-Plus's, but for its lr
    "segment": {"lr": 0.05},
}
"""What `TrainConfig` is for a task, where the user does not say."""
ATTENTION = {"classify": 0.0, "detect": 0.0, "segment": 0.0}
"""Factor of `hwnas.train.attention` in fine-tuning, where the user does not say."""
WIDTHS: dict[str, tuple[float, ...]] = {"classify": (), "detect": (0.75, 0.5), "segment": (0.75, 0.5)}
"""Shares of the reference's channels from which a result is chosen, besides all of them (adr/0014)."""


def load_data(config: CompressConfig, progress: Progress, size: tuple[int, int] | None = None,
              memory: int | None = None) -> AnyData:
    """The images of a task.

    Args:
        size: height and width in pixels; None takes those of the config, or else those of the file of its space.
        memory: bytes that decoded images may take (`hwnas.data.memory`); 0 decodes nothing yet.

    Raises:
        DataError: they cannot be used.
    """
    if size is None and config.data.imgsz is None and is_file(config.space.name):
        size = space_file(config.space.name).config.size
    common: dict[str, Any] = {"seed": config.seed, "limit": config.data.limit, "memory": memory, "progress": progress}
    if config.task == "classify":
        return datasets.load(config.data.source, imgsz=size[0] if size else config.data.imgsz, **common)
    if size is None and config.data.imgsz:
        size = config.data.imgsz, config.data.width or config.data.imgsz
    if config.task == "detect":
        return load_detection(config.data.source, size=size, **common)
    return load_segmentation(config.data.source, size=size, **common)


def recipe(config: CompressConfig) -> dict[str, Any]:
    """Fields of `hwnas.train.TrainConfig` that a task decides; no torch is needed to know them."""
    return TRAINING[config.task] | ({"lr": config.train.lr} if config.train.lr is not None else {})


def attention_of(config: CompressConfig) -> float:
    """The factor of attention in fine-tuning."""
    return ATTENTION[config.task] if config.train.attention is None else config.train.attention


def widths_of(config: CompressConfig) -> tuple[float, ...]:
    """The shares of the reference's channels that the result may have, but for 1; the largest first."""
    given = WIDTHS[config.task] if config.space.widths is None else config.space.widths
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
        UsageError: a segmenter is to have several.
    """
    if config.space.sizes and config.task == "segment":
        raise UsageError("--sizes is for --task classify and detect: a mask is as large as the input, so a segmenter "
                         "of smaller images would be judged by coarser masks; take --imgsz")


def head_of(config: CompressConfig) -> str:
    """The name of the head; empty for a classifier.

    Raises:
        UsageError: a head of another task.
    """
    head = config.space.head or HEADS.get(config.task, "")
    task = describe_head(head).task if head else "classify"
    if task != config.task:
        raise UsageError(f"head {head} is for --task {task}, not for --task {config.task}")
    return head


def space_for_data(config: CompressConfig, found: AnyData) -> Space:
    """The space of a config, in the size of the data and with the head of the task.

    Raises:
        as `space_of`.
    """
    height, width = (found.imgsz, found.imgsz) if isinstance(found, datasets.Dataset) else found.size
    channels = found.channels if isinstance(found, datasets.Dataset) else 3
    return space_of(config, (channels, height, width), len(found.classes))


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
        ends = describe_head(own.head).task if own.head else "classify"
        if asked.head is None and ends == config.task:
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
