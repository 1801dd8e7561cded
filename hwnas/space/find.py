"""What `--space` names: a space by name, a file, or a function of somebody's module.

| written as                | what it is                                                                          |
|---------------------------|-------------------------------------------------------------------------------------|
| `mobile`                  | a name of `hwnas spaces`: of the package, or of another with the entry point          |
| `my_space.json`           | a file as `hwnas.space.space_file` has it                                           |
| `package.module:function` | called with a `SpaceConfig`: image, classes, head and parameters; gives a `Space`    |
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from hwnas.documents import MIB, read_json
from hwnas.errors import UsageError
from hwnas.plugins import of_module
from hwnas.space.builders import IMGSZ, describe
from hwnas.space.config import SpaceConfig
from hwnas.space.rescale import resized
from hwnas.space.space import Space, build, made_by
from hwnas.space.space_file import space_from_json

MOST_BYTES = 16 * MIB


def is_file(name: str) -> bool:
    """Whether a name of a space is meant as a path."""
    return name.endswith(".json") or "/" in name or "\\" in name


def is_function(name: str) -> bool:
    """Whether a name of a space is meant as a function of a module."""
    return ":" in name and not is_file(name)


def check_name(name: str) -> None:
    """Whether something is there under the name of a space, as far as that is known without building it.

    Raises:
        UnknownName, UsageError, InputError: nothing is.
    """
    if is_file(name):
        space_file(name)
    elif is_function(name):
        _function(name)
    else:
        describe(name)


class Usual(NamedTuple):
    """What a space is built for where nothing says it: channels and size of the image, and classes."""

    channels: int
    size: tuple[int, int]
    classes: int


def default_input(name: str) -> Usual:
    """What the file says, or else RGB, the builder's own size and 1000 classes.

    Raises:
        UnknownName, UsageError, InputError: as `check_name`.
    """
    if is_file(name):
        config = space_file(name).config
        return Usual(config.in_channels, config.size, config.classes)
    side = IMGSZ if is_function(name) else describe(name).imgsz
    return Usual(3, (side, side), 1000)


def space_file(name: str) -> Space:
    """The space of a file.

    Raises:
        InputError: no such file, or none that holds a space.
    """
    path = Path(name).expanduser()
    return space_from_json(read_json(path, MOST_BYTES), str(path))


def find_space(config: SpaceConfig, *, any_channels: bool = False) -> Space:
    """The space that `config.name` names, for the image, the classes and the head of `config`.

    A file is adapted to another size, to other classes and to the width multiplier (`resized`). What is not built into
    the package comes as data (`Space.as_data`), so that it need not be found again.

    Args:
        any_channels: adapt a file to other channels of the image as well; data that differ in them are rather the wrong
            ones.

    Raises:
        UnknownName: no such space.
        UsageError: no such module or function, a function that gives no such space, or a file that cannot be what is
            asked; says the way out.
        InputError: a file that holds no space.
    """
    if is_file(config.name):
        return _fitted(space_file(config.name), config, any_channels)
    if is_function(config.name):
        return made_by(_function(config.name), config)
    return build(config)


def _fitted(space: Space, config: SpaceConfig, any_channels: bool) -> Space:
    own = space.config
    wrong = [f"--{name.replace('_', '-')}" for name in ("depth", "head_width") if getattr(config, name) is not None]
    if wrong:
        raise UsageError(f"{wrong[0]} is for spaces that a builder makes; {config.name} holds one space: leave it out, "
                         "or name a function (docs/spaces.md)")
    if (config.head, config.output_stride) != (own.head, own.output_stride):
        raise UsageError(f"{config.name} holds a space of {_ending(own)}, and {_ending(config)} is asked for: take "
                         "another space, or the task and head of this one")
    if config.in_channels != own.in_channels and not any_channels:
        raise UsageError(
            f"{config.name} takes images of {own.in_channels} channels, and these have {config.in_channels}: take "
            f"other images, or write the space for these with `hwnas spaces show {config.name} --channels "
            f"{config.in_channels} --out other.json`")
    same = (config.in_channels, config.size, config.classes) == (own.in_channels, own.size, own.classes)
    if same and config.width_mult == 1.0:
        return space
    return resized(space, width=config.width_mult, size=config.size, in_channels=config.in_channels,
                   classes=config.classes)


def _ending(config: SpaceConfig) -> str:
    stride = f" of output stride {config.output_stride}" if config.output_stride else ""
    return f"head {config.head}{stride}" if config.head else "a classifier"


def _function(name: str) -> Callable[[SpaceConfig], Any]:
    return of_module(name, "space", "name one that takes a hwnas.space.SpaceConfig and gives a hwnas.space.Space")
