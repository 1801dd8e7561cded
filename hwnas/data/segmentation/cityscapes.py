"""Cityscapes: DIR/leftImg8bit/PART/CITY/*_leftImg8bit.png with DIR/gtFine/PART/CITY/*_gtFine_labelIds.png.

Masks come in two numberings, labelIds as shipped and labelTrainIds as converted. A data set is read in the one that all
of its images have: the two in one set would make road a traffic sign.
"""

from __future__ import annotations

from pathlib import Path

from hwnas.data.listing import folders_in, images_below
from hwnas.data.notes import Notes, leave_out
from hwnas.data.partnames import parts_among, roles
from hwnas.data.segmentation.pairs import Pair
from hwnas.errors import DataError

_KINDS = ("labelTrainIds", "labelIds")
_END = "_leftImg8bit"


def is_cityscapes(path: Path) -> bool:
    """Whether a folder has the layout."""
    return (path / "leftImg8bit").is_dir()


def read_cityscapes(path: Path, notes: Notes) -> tuple[list[Pair], str, bool]:
    """The pairs, how the source says its parts, and whether masks hold train ids.

    Raises:
        DataError: no training part, half of the images without a mask, or masks in two numberings.
    """
    folders = {folder.name: folder for folder in folders_in(path / "leftImg8bit")}
    parts = {part: name for name, part in parts_among(folders).items()}
    if not parts:
        return [], "", False
    found = roles({part: folders[name] for part, name in parts.items()}, parts, str(path), "the folders")
    for folder in folders.values():
        if folder not in (found.train, found.val):
            left = images_below(folder)
            what = "images of the test part left out" if folder == found.unused else "images of no part left out"
            notes.left_out(what, str(left[0]) if left else "", len(left))
    images = [(image, held) for folder, held in ((found.train, False), (found.val, True)) if folder
              for image in images_below(folder) if image.stem.endswith(_END)]
    masks = {image: _masks(path, image) for image, _ in images}
    bare = [image.name for image, _ in images if not masks[image]]
    leave_out(bare, len(images), "images have no mask", notes, str(path / "gtFine"), "copy the masks of all images")
    kind = _kind({image: there for image, there in masks.items() if there}, path, notes)
    pairs = [Pair(image, masks[image][kind], held if found.val else None) for image, held in images if masks[image]]
    return pairs, found.note, kind == _KINDS[0]


def _masks(path: Path, image: Path) -> dict[str, Path]:
    below = image.parent.relative_to(path / "leftImg8bit")
    stem = image.stem.removesuffix(_END)
    named = {kind: path / "gtFine" / below / f"{stem}_gtFine_{kind}.png" for kind in _KINDS}
    return {kind: mask for kind, mask in named.items() if mask.is_file()}


def _kind(masks: dict[Path, dict[str, Path]], path: Path, notes: Notes) -> str:
    """The numbering that all images have."""
    counts = {kind: sum(kind in there for there in masks.values()) for kind in _KINDS}
    whole = [kind for kind in _KINDS if counts[kind] == len(masks)]
    if not whole:
        told = " and ".join(f"{count} of {len(masks)} images have {kind}" for kind, count in counts.items())
        lacks = next(image for image, there in masks.items() if _KINDS[0] not in there)
        raise DataError(f"{path / 'gtFine'}: {told}, and none is there for all (first without {_KINDS[0]}: "
                        f"{lacks.name}); convert the rest, or remove one kind")
    other = next(kind for kind in _KINDS if kind != whole[0])
    if 0 < counts[other] < len(masks):
        notes.say(f"all images have {whole[0]}, which were read; {counts[other]} of {len(masks)} have {other} as well")
    return whole[0]
