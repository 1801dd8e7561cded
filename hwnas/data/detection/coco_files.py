"""Which files of a folder hold COCO's JSON for which part, and where the images lie that they name.

Known layouts
    DIR/train.json [DIR/val.json] DIR/images/*               as exported by most labelling tools
    DIR/annotations/instances_train2017.json, ... with DIR/train2017/* or DIR/images/train2017/*      as COCO ships
    DIR/train/_annotations.coco.json beside its images, DIR/valid alike                               Roboflow
    DIR/annotations/instances_default.json with DIR/images/* or DIR/images/default/*                  CVAT
    DIR/labels.json with DIR/data/*, or both in DIR/train and DIR/val                                 FiftyOne
    FILE.json with images beside it or in one of those folders    one part, to be split
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwnas.data.inside import Finder, parts_inside
from hwnas.data.listing import files_in, folders_in
from hwnas.data.partnames import part_of, words_in
from hwnas.errors import DataError

_OTHER = ("captions", "person_keypoints", "stuff", "panoptic", "image_info")  # of COCO, that hold no boxes of objects
_NAMES = ("labels", "result", "coco", "_annotations.coco")
_FOLDERS = ("annotations", "labels")
_IMAGES = ("images", "data", "imgs", "JPEGImages")


@dataclass(frozen=True)
class Files:
    """COCO's JSON by part, 'all' where the names say none, and the folder that everything lies in."""

    root: Path
    parts: dict[str, Path]


def find(path: Path) -> Files | None:
    """The annotation files of a folder, or of a file of them; None where it has none.

    Raises:
        DataError: two files for one part.
    """
    if path.is_file():
        root = path.parent.parent if path.parent.name.casefold() in _FOLDERS else path.parent
        return Files(root, {"all": path}) if path.suffix.lower() == ".json" else None
    levels = [_json(path), [file for name in _FOLDERS for file in _json(path / name)]]
    for level in levels:
        parts = _by_part(level, path)
        if "train" in parts:
            return Files(path, parts)
    inner = {part: file for folder in folders_in(path) if (part := part_of(folder.name)) and (file := _inner(folder))}
    if "train" in inner:
        return Files(path, inner)
    alone = _likely([file for level in levels for file in level])
    return Files(path, {words_in(alone[0].stem) or "all": alone[0]}) if len(alone) == 1 else None


def _json(folder: Path) -> list[Path]:
    return [file for file in files_in(folder, (".json",)) if not file.name.startswith(_OTHER)]


def _inner(folder: Path) -> Path | None:
    found = _json(folder) or _json(folder / "annotations")
    likely = _likely(found)
    if len(likely) > 1:
        raise _two(likely)
    return next(iter(likely), None)


def _likely(files: list[Path]) -> list[Path]:
    """Those whose names say that they hold annotations, where some do."""
    named = [file for file in files if "annotation" in file.name or file.stem in _NAMES or "instances" in file.name]
    return named or files


def _by_part(files: list[Path], path: Path) -> dict[str, Path]:
    found: dict[str, list[Path]] = {}
    for file in files:
        if part := words_in(file.stem):
            found.setdefault(part, []).append(file)
    for same in found.values():
        if len(same) > 1:
            raise _two(same)
    return {part: same[0] for part, same in found.items()}


def _two(files: list[Path]) -> DataError:
    names = ", ".join(file.name for file in files[:5])
    return DataError(f"{files[0].parent} holds {len(files)} files for one part ({names}); pass the path of one")


class Places:
    """Where the images of one annotation file are looked for, the likeliest place first."""

    def __init__(self, root: Path, file: Path, part: str) -> None:
        self._root, self._file, self._finder = root, file, Finder()
        part = words_in(file.stem) or part_of(file.parent.name) or part
        bases = [base for up in (file.parent, root) for base in (up, *(up / name for name in _IMAGES))]
        own = [folder for base in bases if base != file.parent or base == root for folder in folders_in(base)
               if part_of(folder.name) == part or folder.name == "default"]
        own.sort(key=lambda folder: folder.name not in file.stem)  # train2017 of the two years that there may be
        inner = [folder / name for folder in own for name in _IMAGES]
        self._folders = [folder for folder in dict.fromkeys((*own, *inner, *bases)) if folder.is_dir()]

    def find(self, name: str, where: str) -> Path | None:
        """The image that a file_name means, or None where it is not there.

        Raises:
            DataError: a path that leads out of the folder of the data.
        """
        if ".." in name or name.startswith(("/", "\\")) or name[1:2] == ":":
            parts = parts_inside(name, self._root, self._file.parent, where)
            return self._finder.find([self._root], parts)
        return self._finder.find(self._folders, parts_inside(name, self._root, self._root, where))
