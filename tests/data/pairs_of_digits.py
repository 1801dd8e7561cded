"""Images with several labels, made of real ones: two or three of scikit-learn's digits side by side."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image


def pairs(count: int, seed: int = 0) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Images uint8 (32, 32) of two or three digits below 5, and what they show, sorted."""
    from sklearn.datasets import load_digits

    found, rng = load_digits(), np.random.default_rng(seed)
    few = np.flatnonzero(found.target < 5)
    for _ in range(count):
        chosen = rng.choice(few, int(rng.integers(2, 4)), replace=False)
        image = np.zeros((32, 32), np.uint8)
        for place, index in enumerate(chosen):
            y, x = 16 * (place // 2), 16 * (place % 2)
            image[y : y + 16, x : x + 16] = np.kron(found.images[index] * 15, np.ones((2, 2))).astype(np.uint8)
        yield image, sorted({str(found.target[index]) for index in chosen})


def written(folder: Path, count: int = 240) -> Path:
    """A folder with images/ and labels.csv."""
    (folder / "images").mkdir(parents=True)
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "labels"])
        for i, (image, labels) in enumerate(pairs(count)):
            Image.fromarray(image).save(folder / "images" / f"{i}.png")
            rows.writerow([f"{i}.png", ";".join(labels)])
    return folder
