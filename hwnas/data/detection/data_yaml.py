"""The YAML of a YOLO data set: names of the classes, and where the parts lie.

Every value is read as the text that stands there: a class may be called yes, 1 or 2020-01-01.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hwnas.data.listing import files_in
from hwnas.data.names import MOST_CLASSES, checked_names
from hwnas.data.partnames import part_of
from hwnas.documents import brief, read_text
from hwnas.errors import DataError
from hwnas.validation import YAML_BYTES, yaml_value

_USUAL = ("data", "dataset")
_SUFFIXES = (".yaml", ".yml")
_NOTHING = ("", "~", "null", "Null", "NULL")


@dataclass(frozen=True)
class DataYaml:
    """What a YAML says.

    Attributes:
        file: itself.
        names: of the classes, in the order of their numbers.
        parts: 'train', 'val', 'test' -> paths as they are written.
        path: the folder that those are in, as it is written; empty where it does not say.
        keypoints: numbers that follow a box in a line of a label.
    """

    file: Path
    names: tuple[str, ...]
    parts: dict[str, list[str]]
    path: str
    keypoints: int

    @classmethod
    def find(cls, path: Path) -> DataYaml | None:
        """Of a folder, or the file itself; None where there is none with names.

        Raises:
            DataError: several, or one that cannot be used.
        """
        if path.is_file():
            return cls.read(path) if path.suffix.lower() in _SUFFIXES else None
        files = files_in(path, _SUFFIXES)
        usual = [file for file in files if file.stem.casefold() in _USUAL]
        if usual:
            return cls.read(min(usual, key=lambda file: (_USUAL.index(file.stem.casefold()), file.name)))
        named = [file for file in files if _has_names(file)]
        if len(named) > 1:
            told = ", ".join(file.name for file in named[:5])
            raise DataError(f"{path} holds {len(named)} YAML files with names ({told}): pass the path of one of them")
        return cls.read(named[0]) if named else None

    @classmethod
    def read(cls, file: Path) -> DataYaml:
        """One file.

        Raises:
            DataError: no YAML, no names, or names with a gap.
        """
        content = _content(file)
        if content is None or "names" not in content:
            raise DataError(f"{file} must have a list 'names' of the classes: names: [first, second]")
        names = checked_names(_in_order(content["names"], file), str(file))
        count = content.get("nc")
        if isinstance(count, str) and count.isdecimal() and count.lstrip("0") != str(len(names)):
            raise DataError(f"{file}: nc says {brief(count)} classes and names has {len(names)}; correct one of them")
        parts: dict[str, list[str]] = {}
        for key, value in content.items():
            part = part_of(key)
            if part and (texts := _texts(value, f"{file}: {key}")):
                parts.setdefault(part, []).extend(texts)
        told = content.get("path", "")
        if not isinstance(told, str):
            raise DataError(f"{file}: path is {brief(told)}; it must be the folder of the data")
        return cls(file, names, parts, "" if told in _NOTHING else told, _keypoints(content.get("kpt_shape"), file))


def _has_names(file: Path) -> bool:
    """Of a YAML whose name says nothing: one that cannot be read is not of this data set."""
    try:
        return "names" in (_content(file) or ())
    except DataError:
        return False


def _content(file: Path) -> dict[str, Any] | None:
    text = read_text(file, YAML_BYTES, DataError)
    value = yaml_value(text, str(file), DataError)  # holds it to the bounds of documents from outside
    if not isinstance(value, dict):
        return None
    try:
        found = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, TypeError) as err:
        raise DataError(f"{file} is not valid YAML: {' '.join(str(err).split())[:200]}") from err
    return {key: part for key, part in found.items() if isinstance(key, str)}


def _in_order(names: Any, file: Path) -> list[str]:
    if isinstance(names, dict):
        numbers = {int(key): name for key, name in names.items() if key.isdecimal() and len(key) < 7}
        # A gap would number the classes after it differently from their labels.
        if len(numbers) != len(names) or sorted(numbers) != list(range(len(numbers))):
            raise DataError(f"{file} must have a list 'names' of the classes, or number them 0, 1, 2 ... without a "
                            f"gap, not {', '.join(map(brief, list(names)[:5]))}")
        return [numbers[k] for k in range(len(numbers))]
    if not isinstance(names, list) or len(names) > MOST_CLASSES:
        raise DataError(f"{file} must have a list 'names' of the classes, not {brief(names)}")
    return names


def _texts(value: Any, where: str) -> list[str]:
    if isinstance(value, str):
        return [] if value in _NOTHING else [value]
    if isinstance(value, list) and all(isinstance(text, str) for text in value):
        return [text for text in value if text not in _NOTHING]
    raise DataError(f"{where} is {brief(value)}; it must be a path, or a list of paths")


def _keypoints(shape: Any, file: Path) -> int:
    if shape is None:
        return 0
    if isinstance(shape, list) and len(shape) == 2 and all(isinstance(n, str) and n.isdecimal() and len(n) < 5
                                                           for n in shape):
        return int(shape[0]) * int(shape[1])
    raise DataError(f"{file}: kpt_shape is {brief(shape)}; it must be [points, numbers a point]")
