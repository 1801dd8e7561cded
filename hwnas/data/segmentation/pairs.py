"""Images and their masks, by the names of the files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwnas.data.listing import files_below, images_below
from hwnas.data.notes import Notes, leave_out
from hwnas.errors import DataError

MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif")  # those that keep numbers
_ENDS = ("_l", "_mask", "_masks", "_label", "_labels", "_seg", "_gt", "_segmentation", "_annotation")


@dataclass(frozen=True)
class Pair:
    """An image and its mask; `held_out` is None where the source does not say."""

    image: Path
    mask: Path
    held_out: bool | None


def pairs(images: Path, masks: Path, held_out: bool | None, notes: Notes, some: bool = False) -> list[Pair]:
    """The images below a folder with the masks of the same names below another, or of these with an end like `_mask`.

    Args:
        notes: counts images without a mask, and masks without an image.
        some: whether it is usual that most images have no mask.

    Raises:
        DataError: half of the images or more have no mask, or of the masks no image; two masks for one image.
    """
    known = _by_stem(masks)
    found: list[Pair] = []
    bare: list[str] = []
    used = set()
    files = images_below(images)
    for image in files:
        stem = image.relative_to(images).with_suffix("").as_posix()
        mask = known.get(stem.casefold()) or next((known[stem.casefold() + end] for end in _ENDS
                                                   if stem.casefold() + end in known), None)
        if mask is None:
            bare.append(image.name)
            continue
        if mask in used:
            raise DataError(f"{mask} is the mask of two images, one of them {image}: give them different names")
        used.add(mask)
        found.append(Pair(image, mask, held_out))
    alone = [mask.relative_to(masks).as_posix() for mask in known.values() if mask not in used]
    if some and found:
        notes.left_out("images without a mask left out", *((bare[0], len(bare)) if bare else ("", 0)))
    else:
        leave_out(bare, len(files), f"images have no mask ({', '.join(MASK_SUFFIXES)})", notes, str(masks),
                  "add the masks or remove the images")
    leave_out(alone, len(known), "masks have no image", notes, str(images), "add the images or remove the masks")
    return found


def _by_stem(masks: Path) -> dict[str, Path]:
    known: dict[str, Path] = {}
    for mask in files_below(masks, MASK_SUFFIXES):
        stem = mask.relative_to(masks).with_suffix("").as_posix().casefold()
        if stem in known:
            raise DataError(f"{masks}: {known[stem].name} and {mask.name} are both the mask of one image: remove one")
        known[stem] = mask
    return known
