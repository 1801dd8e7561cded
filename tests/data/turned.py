"""Images with a turn in EXIF whose boxes were drawn upright, or on the pixels as stored."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

_BACK = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # turns an upright image into what is stored under an orientation


def turned_set(folder: Path, orientation: int, upright: bool, square: bool
               ) -> tuple[Path, Callable[[Sequence[str]], bool]]:
    """Eight images of `orientation` and four whose size tells how they were labelled; what the notes must say.

    A half turn, a mirror and a square do not tell by their size, so these need the four.
    """
    images, boxes = [], []
    tells = orientation > 4 and not square
    for number in range(12):
        turn = orientation if number < 8 else 6
        height, width = (48, 48) if square and number < 8 else (40, 64)
        seen = np.zeros((height, width), np.uint8)
        seen[4:20, 6:26] = 255
        stored = np.asarray(Image.fromarray(seen).transpose(Image.Transpose(_BACK[turn])))
        labelled = seen if upright else stored
        rows, columns = np.flatnonzero(labelled.any(1)), np.flatnonzero(labelled.any(0))
        exif = Image.Exif()
        exif[0x0112] = turn
        (folder / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(stored).save(folder / "images" / f"{number}.png", exif=exif)
        h, w = labelled.shape
        images.append({"id": number, "file_name": f"{number}.png", "height": h, "width": w})
        boxes.append({"id": number, "image_id": number, "category_id": 1, "bbox": [
            int(columns[0]), int(rows[0]), len(columns), len(rows)]})
    content = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "box"}]}
    (folder / "train.json").write_text(json.dumps(content))

    def told(notes: Sequence[str]) -> bool:
        lines = [] if upright else [f"read as stored, as the sizes of their labels say: {12 if tells else 4} "]
        how = "upright" if upright else "as stored"
        lines += [] if tells else [f"that their size does not tell read {how}, as the others are: 8 "]
        return all(any(line in note for note in notes) for line in lines)

    return folder, told
