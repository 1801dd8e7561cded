"""Which images a YOLO data set has for which part, where their labels lie, and what its classes are called.

Known layouts
    DIR/images/{train,val}/* with DIR/labels/{train,val}/*       Ultralytics; without parts to be split
    DIR/{train,valid}/images/* with DIR/{train,valid}/labels/*   Roboflow
    DIR/train.txt with DIR/obj.names and images beside labels    CVAT
    whatever train:, val: and path: of a YAML say: folders, lists of images in a .txt, or several of them
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hwnas.data.detection.data_yaml import DataYaml
from hwnas.data.inside import Finder, parts_inside, path_inside
from hwnas.data.listing import files_in, folders_in, images_below
from hwnas.data.names import checked_names
from hwnas.data.notes import Notes, plain
from hwnas.data.partnames import TRAIN, parts_among
from hwnas.documents import brief, read_text
from hwnas.errors import DataError

IMAGES, LABELS = "images", "labels"
_NAMES = ("classes.txt", "obj.names", "labels/classes.txt", "labels.txt")


@dataclass(frozen=True)
class Layout:
    """Where everything is.

    Attributes:
        parts: part -> folders of images and lists of them; 'all' where there are no parts.
        called: part -> its own name, for messages.
    """

    root: Path
    told: DataYaml | None
    parts: dict[str, list[Path]]
    called: dict[str, str]
    notes: Notes = field(default_factory=Notes)


def find(path: Path) -> Layout | None:
    """The layout of a folder or of a YAML, or None where it is no YOLO data set.

    Raises:
        DataError: a YAML that cannot be used, paths that lead out of the folder or are not there, two names for a part.
    """
    told = DataYaml.find(path)
    root = path if path.is_dir() else path.parent
    if told is None and path.is_file():
        return None
    notes = Notes()
    if told is not None and told.parts.get(TRAIN):
        parts = _of_yaml(root, told, notes)
        return Layout(root, told, parts, {part: f"{part}:" for part in parts}, notes)
    found = _of_folders(root, notes)
    return None if found is None else Layout(root, told, *found, notes)


def _of_yaml(root: Path, told: DataYaml, notes: Notes) -> dict[str, list[Path]]:
    bases = [root]
    if told.path:
        try:
            base = path_inside(told.path, root, root, f"{told.file}: path")
        except DataError:
            base = root / told.path
            if os.path.exists(base):
                raise
        if os.path.isdir(base):
            bases.insert(0, base)
        else:
            notes.say(f"path: {plain(told.path)} of {told.file.name} is not there; its own folder was taken")
    return {part: [_place(text, root, bases, f"{told.file}: {part}") for text in texts]
            for part, texts in told.parts.items() if texts and (part == TRAIN or _any(texts, root, bases, told, notes))}


def _any(texts: list[str], root: Path, bases: list[Path], told: DataYaml, notes: Notes) -> bool:
    """Whether a part other than training is there; a test part that was not copied is no reason to stop."""
    try:
        for text in texts:
            _place(text, root, bases, str(told.file))
    except DataError as err:
        if "leads out" in str(err) or texts is not told.parts.get("test"):
            raise
        notes.say(f"test: {plain(texts[0])} of {told.file.name} is not there")
        return False
    return True


def _place(text: str, root: Path, bases: list[Path], where: str) -> Path:
    """What a path of a YAML means. `../` at its start is dropped where it would lead out, as Roboflow's needs."""
    refused: DataError | None = None
    stripped = text.replace("\\", "/")
    while stripped.startswith(("../", "./")):
        stripped = stripped.partition("/")[2]
    for candidate in dict.fromkeys((text, stripped)):
        for base in bases:
            try:
                place = path_inside(candidate, root, base, where)
            except DataError as err:
                refused = refused or err
                continue
            if os.path.exists(place):
                return place
    raise refused or DataError(f"{where}: {brief(text)} is not there; correct the path or copy the images to it")


def _of_folders(root: Path, notes: Notes) -> tuple[dict[str, list[Path]], dict[str, str]] | None:
    if (root / IMAGES).is_dir() and (root / LABELS).is_dir():
        inner = {folder.name: folder for folder in folders_in(root / IMAGES)}
        parts = {part: name for name, part in parts_among(inner).items()}
        if not parts:
            return {"all": [root / IMAGES]}, {"all": IMAGES}
        others = [folder for name, folder in inner.items() if name not in parts.values()]
        left = [image for folder in others for image in images_below(folder)]
        left += [image for image in images_below(root / IMAGES) if image.parent == root / IMAGES]
        if left:
            notes.left_out("images of no part left out", str(left[0]), len(left))
        return {part: [inner[name]] for part, name in parts.items()}, parts
    if (root / _NAMES[1]).is_file():
        lists = {file.stem: file for file in files_in(root, (".txt",))}
        parts = {part: name for name, part in parts_among(lists).items()}
        return ({part: [lists[name]] for part, name in parts.items()}, parts) if parts else None
    inner = {folder.name: folder for folder in folders_in(root)
             if (folder / IMAGES).is_dir() and (folder / LABELS).is_dir()}
    parts = {part: name for name, part in parts_among(inner).items()}
    return ({part: [inner[name] / IMAGES] for part, name in parts.items()}, parts) if parts else None


def images_of(places: Iterable[Path], layout: Layout) -> list[Path]:
    """The images of a part; of a list those that are there.

    Raises:
        DataError: a path of a list that leads out of the folder.
    """
    found: list[Path] = []
    finder = Finder()
    for place in places:
        if place.is_dir():
            found += images_below(place)
            continue
        for number, line in enumerate(read_text(place, error=DataError).splitlines(), 1):
            if line.strip():
                image = _listed(line.strip(), place, layout.root, finder, f"{place}: line {number}")
                if image is None:
                    layout.notes.left_out("images of a list that are not there left out", line.strip())
                else:
                    found.append(image)
    return list(dict.fromkeys(found))


def _listed(text: str, file: Path, root: Path, finder: Finder, where: str) -> Path | None:
    if ".." in text or text.startswith(("/", "\\")) or text[1:2] == ":":
        return finder.find([root], parts_inside(text, root, file.parent, where))
    parts = parts_inside(text, root, root, where)
    return finder.find([file.parent, root], parts) or finder.find([root], parts[1:] if parts[0] == "data" else ())


def label_of(image: Path, root: Path) -> Path | None:
    """The label of an image: `images` of its path becomes `labels`, or it lies beside; None where there is none."""
    below = image.relative_to(root).parts
    steps = [k for k, step in enumerate(below[:-1]) if step == IMAGES]
    places = [root.joinpath(*below[: steps[-1]], LABELS, *below[steps[-1] + 1 :])] if steps else []
    places += [image, root / LABELS / image.name]
    return next((label for place in places if (label := place.with_suffix(".txt")).is_file()), None)


def label_folders(places: Iterable[Path], root: Path) -> list[Path]:
    """The folders whose labels should each have an image in `places`."""
    found = []
    for place in places:
        below = place.relative_to(root).parts
        if place.is_dir() and IMAGES in below:
            last = len(below) - 1 - below[::-1].index(IMAGES)
            found.append(root.joinpath(*below[:last], LABELS, *below[last + 1 :]))
    return [folder for folder in found if folder.is_dir()]


def names_of(layout: Layout) -> tuple[str, ...]:
    """The names of the classes, from the YAML or a text of a name a line.

    Raises:
        DataError: neither.
    """
    texts = {file: [line.strip() for line in read_text(file, error=DataError).splitlines() if line.strip()]
             for name in _NAMES if (file := layout.root / name).is_file()}
    if layout.told is not None:
        for file, names in texts.items():
            if tuple(names) != layout.told.names:
                layout.notes.say(f"{file.name} names other classes than {layout.told.file.name} and was not used")
        return layout.told.names
    if not texts:
        several = files_in(layout.root, (".yaml", ".yml"))
        more = f" ({', '.join(file.name for file in several[:5])} have no names)" if several else ""
        raise DataError(f"{layout.root} has no data.yaml with the names of its classes{more}; write one: names: "
                        "[first, second]")
    file, names = next(iter(texts.items()))
    return checked_names(names, str(file))
