"""Which images and masks a folder holds.

Known layouts
    DIR/train/* with DIR/trainannot/*, and val alike                       CamVid as SegNet ships it
    DIR/images/{train,val}/* with DIR/masks/{train,val}/*                  also annotations/ or labels/
    DIR/images/* with DIR/masks/*                                          to be split
    DIR/leftImg8bit/{train,val}/CITY/*_leftImg8bit.png with DIR/gtFine     Cityscapes
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hwnas.data.folder import SUFFIXES
from hwnas.data.segmentation.palette import Palette, cityscapes, found_ids, read_palette
from hwnas.errors import DataError

LAYOUTS = ("train/ with trainannot/ and val/ with valannot/; images/ with masks/, each with train/ and val/ or to be "
           "split; Cityscapes' leftImg8bit/ with gtFine/")
MASKS = ("masks", "annotations", "labels")
VALIDATION = ("val", "valid", "validation")


@dataclass(frozen=True)
class Pair:
    """An image and its mask; `held_out` is None where the source does not say."""

    image: Path
    mask: Path
    held_out: bool | None


@dataclass(frozen=True)
class Listed:
    """A source that has been read but not decoded."""

    name: str
    source: str
    pairs: tuple[Pair, ...]
    palette: Palette
    split: str


def listed(path: Path) -> Listed:
    """The images and masks under `path`.

    Raises:
        DataError: no known layout, an image without a mask, or a broken palette.
    """
    if not path.is_dir():
        raise DataError(f"no such folder: {path}; pass one in one of these layouts: {LAYOUTS}")
    if (path / "leftImg8bit").is_dir():
        pairs, fine = _cityscapes(path), True
    else:
        pairs, fine = _plain(path), False
    if not pairs:
        raise DataError(f"{path} has no images with masks that hwnas can read; known layouts: {LAYOUTS}")
    palette = read_palette(path)
    if palette is None and fine:
        palette = cityscapes(pairs[0].mask.name.endswith("labelTrainIds.png"))
    if palette is None:
        palette = found_ids([pair.mask for pair in pairs if not pair.held_out])
    note = "as the folders train and val say" if pairs[0].held_out is not None else ""
    return Listed(path.resolve().name, str(path), tuple(pairs), palette, note)


def _plain(path: Path) -> list[Pair]:
    if (path / "train").is_dir() and (path / "trainannot").is_dir():
        val = next((name for name in VALIDATION if (path / name).is_dir() and (path / f"{name}annot").is_dir()), None)
        found = _pairs(path / "train", path / "trainannot", False if val else None)
        return found + (_pairs(path / val, path / f"{val}annot", True) if val else [])
    masks = next((path / name for name in MASKS if (path / name).is_dir()), None)
    if masks is None or not (path / "images").is_dir():
        return []
    val = next((name for name in VALIDATION if (path / "images" / name).is_dir() and (masks / name).is_dir()), None)
    if val and (path / "images" / "train").is_dir():
        return (_pairs(path / "images" / "train", masks / "train", False)
                + _pairs(path / "images" / val, masks / val, True))
    return _pairs(path / "images", masks, None)


def _pairs(images: Path, masks: Path, held_out: bool | None) -> list[Pair]:
    files = sorted(p for p in images.rglob("*") if p.suffix.lower() in SUFFIXES)
    known = {p.relative_to(masks).with_suffix(""): p for p in sorted(masks.rglob("*.png"))}
    missing = [file.name for file in files if file.relative_to(images).with_suffix("") not in known]
    if missing:
        raise DataError(f"{masks} has no PNG for {len(missing)} of {len(files)} images, e.g. {', '.join(missing[:5])}; "
                        "add the masks or remove the images")
    there = {file.relative_to(images).with_suffix("") for file in files}
    if alone := [str(stem) for stem in known if stem not in there]:
        raise DataError(f"{images} has no image for {len(alone)} of {len(known)} masks, e.g. {', '.join(alone[:5])}; "
                        "add the images or remove the masks")
    return [Pair(file, known[file.relative_to(images).with_suffix("")], held_out) for file in files]


def _cityscapes(path: Path) -> list[Pair]:
    found = []
    for part, held_out in (("train", False), ("val", True)):
        for image in sorted((path / "leftImg8bit" / part).glob("*/*_leftImg8bit.png")):
            stem = image.name.removesuffix("_leftImg8bit.png")
            folder = path / "gtFine" / part / image.parent.name
            masks = [folder / f"{stem}_gtFine_{kind}.png" for kind in ("labelTrainIds", "labelIds")]
            mask = next((m for m in masks if m.is_file()), None)
            if mask is None:
                raise DataError(f"{image} has no mask: {masks[1]} is not there")
            found.append(Pair(image, mask, held_out))
    return found
