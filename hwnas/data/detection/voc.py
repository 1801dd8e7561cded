"""Pascal VOC: an XML an image, in DIR/Annotations with DIR/JPEGImages and DIR/ImageSets/Main, or beside the images.

A box marked `difficult` counts as a crowd: it need not be found, and excuses what is found in it, as VOC judges it.
Without lists the folders of parts (partnames.py) are the parts, if they hold the XML. A `classes.txt` gives the order
of the classes; without one they are sorted. Coordinates of VOC count from 1 and include the last pixel: (xmin - 1,
ymin - 1) to (xmax, ymax).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree

from hwnas.data.detection.listed import Listed, Mark, Record
from hwnas.data.detection.voc_xml import Thing, number, objects, read_tree
from hwnas.data.inside import Finder, parts_inside
from hwnas.data.listing import files_below
from hwnas.data.lists import Lists, read_lists
from hwnas.data.names import checked_names
from hwnas.data.notes import Notes, leave_out
from hwnas.data.partnames import parts_among, roles
from hwnas.documents import brief, read_text
from hwnas.errors import DataError

XML = (".xml",)
_IMAGES = ("JPEGImages", "images", "Images", "imgs")
_MOST_SIDE = 1_000_000


def find(path: Path) -> list[Path] | None:
    """The XML files of a folder, or None where it has none."""
    if not path.is_dir():
        return None
    folder = path / "Annotations" if (path / "Annotations").is_dir() else path
    return files_below(folder, XML) or None


def read(path: Path, files: list[Path]) -> Listed:
    """Read what `find` found.

    Raises:
        DataError: files that are not VOC's XML, half of the images not there; names the first five.
    """
    notes = Notes()
    chosen, note = _chosen(path, files, notes)
    trees = {file: read_tree(file) for file in chosen}
    things = {file: objects(tree, file) for file, tree in trees.items()}
    names = _names(path, {thing.name for found in things.values() for thing in found})
    numbers = {name: k for k, name in enumerate(names)}
    finder, gone, records = Finder(), list[str](), list[Record]()
    for file, tree in trees.items():
        image = _image(path, file, tree, finder)
        if image is None:
            gone.append(f"{file}: its image {brief(tree.findtext('filename') or file.stem)}")
            continue
        height, width = _size(tree, file, notes)
        marks = _marks(things[file], numbers, file, notes)
        records.append(Record(image.name, image, height, width, marks, chosen[file], where=f"{file}: object"))
    leave_out(gone, len(trees), "images are not there", notes, str(path), "copy the images or remove their XML")
    return Listed(path.resolve().name, str(path), tuple(records), names, tuple(range(1, len(names) + 1)), note, notes)


def _chosen(path: Path, files: list[Path], notes: Notes) -> tuple[dict[Path, bool | None], str]:
    """XML -> whether it validates (None: to be split), and how the source says so."""
    top = path / "Annotations" if (path / "Annotations").is_dir() else path
    stems = {file: file.relative_to(top).with_suffix("").as_posix() for file in files}
    bare = {stem.rpartition("/")[2] for stem in stems.values()}
    lists = read_lists(path / "ImageSets" / "Main", {*stems.values(), *bare}, notes)
    if not lists.held and not lists.missing:
        return _by_folders(path, top, files, notes)
    if not lists.held:
        raise DataError(f"{path / 'ImageSets' / 'Main'}: none of the names in its lists has an XML in {top}")
    return _by_lists(lists, files, stems, notes, str(path))


def _by_lists(lists: Lists, files: list[Path], stems: dict[Path, str], notes: Notes, source: str
              ) -> tuple[dict[Path, bool | None], str]:
    def listed(file: Path, names: Iterable[str]) -> str | None:
        stem = stems[file]
        return stem if stem in names else last if (last := stem.rpartition("/")[2]) in names else None

    chosen = {file: lists.held[name] for file in files if (name := listed(file, lists.held)) is not None}
    test = [file for file in files if file not in chosen and listed(file, lists.unused)]
    used = {*chosen, *test}
    rest = [file for file in files if file not in used]
    for left, what in ((test, "XML of the test part left out"), (rest, "XML in no list left out")):
        if left:
            notes.left_out(what, str(left[0]), len(left))
    leave_out(lists.missing, len(lists.missing) + len(lists.held), "names in lists have no XML", notes, source,
              "annotate them or remove them from the lists")
    return chosen, lists.note


def _by_folders(path: Path, top: Path, files: list[Path], notes: Notes) -> tuple[dict[Path, bool | None], str]:
    held: dict[str, list[Path]] = {}
    for file in files:
        if file.parent != top:
            held.setdefault(file.relative_to(top).parts[0], []).append(file)
    parts = {part: name for name, part in parts_among(held).items()}
    if not parts:
        return dict.fromkeys(files), ""
    found = roles({part: held[name] for part, name in parts.items()}, parts, str(path), "the folders")
    chosen: dict[Path, bool | None] = dict.fromkeys(found.train, False if found.val else None)
    chosen |= dict.fromkeys(found.val or [], True)
    used = {*chosen, *(found.unused or [])}
    rest = [file for file in files if file not in used]
    for left, what in ((found.unused, "XML of the test part left out"), (rest, "XML of no part left out")):
        if left:
            notes.left_out(what, str(left[0]), len(left))
    return chosen, found.note


def _names(path: Path, used: set[str]) -> tuple[str, ...]:
    if not used:
        raise DataError(f"{path}: no object in any XML; there is nothing to learn")
    file = path / "classes.txt"
    if not file.is_file():
        return checked_names(sorted(used), str(path))
    told = checked_names([line for line in read_text(file, error=DataError).splitlines() if line.strip()], str(file))
    if absent := sorted(used - set(told)):
        raise DataError(f"{file} does not name {', '.join(map(brief, absent[:5]))}, which the XML has: add it")
    return told


def _image(path: Path, file: Path, tree: ElementTree.Element, finder: Finder) -> Path | None:
    """The image of an XML: of the name that it gives, whatever its suffix and case, else of its own stem."""
    top = path / "Annotations"
    below = file.parent.relative_to(top if top in file.parents else path)
    folders = [*(path / name / below for name in _IMAGES), *(path / name for name in _IMAGES), file.parent,
               *(file.parent.parent / name for name in _IMAGES if file.parent != path), path / below]
    told = (tree.findtext("filename") or "").strip()
    names = [parts_inside(told, path, file.parent if ".." in told else path, f"{file}: filename")] if told else []
    for parts in (*names, (f"{file.stem}.jpg",)):
        if (image := finder.find(folders, parts, any_suffix=True)) is not None:
            return image
    return None


def _size(tree: ElementTree.Element, file: Path, notes: Notes) -> tuple[int | None, int | None]:
    sides = [number(tree.findtext(f"size/{side}")) for side in ("height", "width")]
    if all(1 <= side <= _MOST_SIDE and side == int(side) for side in sides):
        return int(sides[0]), int(sides[1])
    if tree.find("size") is not None:
        notes.left_out("sizes that are no sizes not used", str(file))
    return None, None


def _marks(things: list[Thing], numbers: dict[str, int], file: Path, notes: Notes) -> tuple[Mark, ...]:
    marks: dict[tuple[object, ...], Mark] = {}
    for i, thing in enumerate(things):
        x0, y0, x1, y1 = thing.box
        if thing.difficult:
            notes.left_out("boxes marked difficult that need not be found", f"{file}: object {i}")
        if (thing.name, thing.box) in marks:
            notes.left_out("boxes that are there twice taken once", f"{file}: object {i}")
        marks.setdefault((thing.name, thing.box), Mark((x0 - 1, y0 - 1, x1, y1), numbers[thing.name], thing.difficult,
                                                       i))
    return tuple(marks.values())
