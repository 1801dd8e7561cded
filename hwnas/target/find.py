"""Targets by name, by alias and by file: the user's own folder first, then those that ship."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from hwnas.documents import brief
from hwnas.errors import InputError, UnknownName
from hwnas.target.packaged import data_folder
from hwnas.target.profile import Target
from hwnas.validation import checked, read_yaml

VARIABLE = "HWNAS_TARGETS"
_WAY_OUT = "compare with `hwnas targets show local`, then run `hwnas targets validate {path}`"


def user_folder() -> Path:
    """The user's own targets: $HWNAS_TARGETS, or hwnas/targets in the user's configuration folder."""
    if set_by_user := os.environ.get(VARIABLE):
        return Path(set_by_user).expanduser()
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "hwnas" / "targets"


def folders() -> tuple[Path, Path]:
    """Where names are looked up, in this order: a target of the user's hides one that ships."""
    return user_folder(), data_folder("targets")


def names() -> list[str]:
    """Names of the targets at hand, sorted; without aliases."""
    return sorted({path.stem for folder in folders() for path in folder.glob("*.yaml")})


def alias_of(name: str) -> str | None:
    """The target that has `name` among its aliases; a file that is no target has none."""
    for known in names():
        with contextlib.suppress(InputError):
            if name in read(locate(known)).aliases:
                return known
    return None


def load(name: str, **overrides: object) -> Target:
    """A target by name or alias, or from a YAML file of the user's if `name` ends in .yaml.

    Args:
        overrides: fields to replace; None leaves a field as it is.

    Raises:
        UnknownName: no such target.
        InputError: the file is not a target.
    """
    return read(locate(name), **overrides)


def names_a_file(name: str) -> bool:
    """Whether a target is given as the path of its YAML, not by name."""
    return name.endswith((".yaml", ".yml"))


def locate(name: str) -> Path:
    """The file of a target.

    Raises:
        UnknownName: no such target.
    """
    path = _path(name)
    if path is None and (known := alias_of(name)):
        path = _path(known)
    if path is None:
        hint = f"Or give the path of a .yaml file, or put yours into {user_folder()}."
        raise UnknownName("target", name, names(), hint)
    return path


def read(path: Path, **overrides: object) -> Target:
    """The target in a file.

    Raises:
        InputError: names file, field, value and the way out.
    """
    way_out = _WAY_OUT.format(path=path)
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise InputError(f"{path} is not a target file: it holds {brief(values)}, not fields: {way_out}")
    target = checked(Target, {**values, **{k: v for k, v in overrides.items() if v is not None}}, str(path),
                     way_out=way_out)
    if path.parent in folders() and path.stem != target.name:
        raise InputError(f"{path}: name: a target is found by its file name; got {target.name!r}: "
                         f"rename the file to {target.name}.yaml")
    return target


def _path(name: str) -> Path | None:
    if names_a_file(name):
        places = [Path(name).expanduser()]
    else:
        places = [folder / f"{name}.yaml" for folder in folders()] if name else []
    for place in places:
        try:
            if place.is_file():
                return place
        except (OSError, ValueError):  # longer than the file system allows, or holding a zero byte
            pass
    return None
