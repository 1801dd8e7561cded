"""Which images and masks a folder holds.

Known layouts
    DIR/train/* with DIR/trainannot/*, and val alike                       CamVid as SegNet ships it; also train_labels
    DIR/images/{train,val}/* with DIR/masks/{train,val}/*                  also annotations/ or labels/
    DIR/{train,val}/images/* with DIR/{train,val}/masks/*
    DIR/images/* with DIR/masks/*                                          to be split
    DIR/JPEGImages/* with DIR/SegmentationClass/*, ImageSets/Segmentation  Pascal VOC
    DIR/leftImg8bit/{train,val}/CITY/*_leftImg8bit.png with DIR/gtFine     Cityscapes
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hwnas.data.listing import folders_in, images_below
from hwnas.data.lists import read_lists
from hwnas.data.notes import Notes, plain
from hwnas.data.partnames import TRAIN, parts_among, roles
from hwnas.data.segmentation.cityscapes import is_cityscapes, read_cityscapes
from hwnas.data.segmentation.pairs import Pair, pairs
from hwnas.data.segmentation.palette import Palette, cityscapes, found_ids
from hwnas.data.segmentation.palette_file import read_palette
from hwnas.errors import DataError

LAYOUTS = ("train/ with trainannot/ and val/ with valannot/; images/ with masks/, each with train/ and val/ or to be "
           "split; JPEGImages/ with SegmentationClass/; Cityscapes' leftImg8bit/ with gtFine/")
_MASKS = ("masks", "annotations", "labels", "mask", "segmentationclass", "labelapproved_full", "labeledapproved_full")
_IMAGES = ("images", "imgs", "jpegimages", "701_stillsraw_full")
_ENDS = ("annot", "_annot", "_labels", "_masks", "_label", "_mask", "_annotations", "-masks", "-labels")


@dataclass(frozen=True)
class Listed:
    """A source that has been read but not decoded."""

    name: str
    source: str
    pairs: tuple[Pair, ...]
    palette: Palette
    split: str
    notes: Notes = field(default_factory=Notes)


def listed(path: Path) -> Listed:
    """The images and masks under `path`.

    Raises:
        DataError: no known layout, half of the images without a mask, or a broken palette.
    """
    if not path.is_dir():
        raise DataError(f"no such folder: {plain(str(path))}; pass one in one of these layouts: {LAYOUTS}")
    notes = Notes()
    palette = read_palette(path)
    if is_cityscapes(path):
        found, note, train_ids = read_cityscapes(path, notes)
        palette = palette or cityscapes(train_ids)
    else:
        found, note = _plain(path, notes)
    if not found:
        raise DataError(f"{path} has no images with masks that hwnas can read; known layouts: {LAYOUTS}")
    if palette is None:
        palette = found_ids([pair.mask for pair in found if not pair.held_out])
    return Listed(path.resolve().name, str(path), tuple(found), palette, note, notes)


def _plain(path: Path, notes: Notes) -> tuple[list[Pair], str]:
    inner = {folder.name: folder for folder in folders_in(path)}
    images, masks = _one_of(inner.values(), _IMAGES), _one_of(inner.values(), _MASKS)
    if images and masks:
        if masks.name.casefold() == "segmentationclass":
            return _voc(path, images, masks, notes)
        return _in_parts(path, images, masks, notes)
    sides = {name: side for name in inner if (side := _beside(inner[name], inner))}
    return _by_parts(path, sides, [folder for name, folder in inner.items() if name not in sides], notes)


def _in_parts(path: Path, images: Path, masks: Path, notes: Notes) -> tuple[list[Pair], str]:
    below = {folder.name.casefold(): folder for folder in folders_in(masks)}
    sides = {folder.name: (folder, below[folder.name.casefold()]) for folder in folders_in(images)
             if folder.name.casefold() in below}
    if TRAIN not in parts_among(sides).values():
        return pairs(images, masks, None, notes), ""
    return _by_parts(path, sides, [folder for folder in folders_in(images) if folder.name not in sides], notes)


def _by_parts(path: Path, sides: dict[str, tuple[Path, Path]], others: Iterable[Path], notes: Notes
              ) -> tuple[list[Pair], str]:
    """Pairs of the parts among folders of images and masks; what is no part is counted."""
    parts = {part: name for name, part in parts_among(sides).items()}
    if not parts:
        return [], ""
    found = roles({part: sides[name] for part, name in parts.items()}, parts, str(path), "the folders")
    used = {mask for _, mask in sides.values()}
    rest = [folder for name, (folder, _) in sides.items() if sides[name] not in (found.train, found.val, found.unused)]
    for folder in (*others, *rest):
        left = images_below(folder) if folder not in used else []
        notes.left_out("images of no part left out", str(left[0]) if left else "", len(left))
    if found.unused:
        left = images_below(found.unused[0])
        notes.left_out("images of the test part left out", str(left[0]) if left else "", len(left))
    train = pairs(*found.train, False if found.val else None, notes)
    return train + (pairs(*found.val, True, notes) if found.val else []), found.note


def _voc(path: Path, images: Path, masks: Path, notes: Notes) -> tuple[list[Pair], str]:
    found = pairs(images, masks, None, notes, some=True)
    lists = read_lists(path / "ImageSets" / "Segmentation", {pair.image.stem for pair in found}, notes)
    if not lists.held:
        return found, ""
    kept = [Pair(pair.image, pair.mask, lists.held[pair.image.stem]) for pair in found if pair.image.stem in lists.held]
    test = [pair for pair in found if pair.image.stem in lists.unused]
    rest = [pair for pair in found if pair.image.stem not in lists.held and pair.image.stem not in lists.unused]
    for left, what in ((test, "images of the test part left out"), (rest, "images in no list left out")):
        notes.left_out(what, str(left[0].image) if left else "", len(left))
    notes.left_out("names in lists have no image with a mask", lists.missing[0] if lists.missing else "",
                   len(lists.missing))
    return kept, lists.note


def _beside(folder: Path, inner: dict[str, Path]) -> tuple[Path, Path] | None:
    """Images and masks of a part: masks in a folder of its name with an end, or both inside of it."""
    by_case = {name.casefold(): found for name, found in inner.items()}
    for end in _ENDS:
        if folder.name.casefold() + end in by_case:
            return folder, by_case[folder.name.casefold() + end]
    images, masks = _one_of(folders_in(folder), _IMAGES), _one_of(folders_in(folder), _MASKS)
    return (images, masks) if images and masks else None


def _one_of(folders: Iterable[Path], names: tuple[str, ...]) -> Path | None:
    found = {folder.name.casefold(): folder for folder in folders}
    return next((found[name] for name in names if name in found), None)
