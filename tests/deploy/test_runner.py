"""The runner's own numbers are those of hwnas: boxes, suppression, letterboxes, crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hwnas.data.letterbox import Letterbox as Ours
from hwnas.data.pixels import fit
from hwnas.deploy.making import _places
from hwnas.deploy.runner.boxes import decode, suppressed
from hwnas.deploy.runner.images import Letterbox, cropped, read_array, to_input
from hwnas.errors import InputError
from hwnas.export.samples import to_pixels
from hwnas.tasks import DetectionHead, detections

HEADS = [DetectionHead.over("fcos", (72, 104), (8, 16, 32), classes=3, reg_max=5),
         DetectionHead.over("ssdlite", (72, 104), (16, 32, 64), classes=4)]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.kind)
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9])
def test_boxes_are_those_of_tasks(head: DetectionHead, threshold: float) -> None:
    rng = np.random.default_rng(0)
    maps = [rng.normal(0, 2, (1, head.channels, h, w)).astype(np.float32) for h, w in head.maps]
    boxes, scores = decode(head.to_json(), _places(head), maps)
    theirs = head.decode(maps)
    np.testing.assert_allclose(boxes, theirs[0][0], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(scores, theirs[1][0], rtol=1e-5, atol=1e-6)
    (wanted,) = detections(*theirs, threshold=threshold)
    found = suppressed(theirs[0][0], theirs[1][0], threshold)
    for ours, other in zip(found, (wanted.boxes, wanted.scores, wanted.labels), strict=True):
        assert np.array_equal(ours, other)
    assert len(found[1]) == (100 if threshold == 0 else len(wanted))


@given(st.integers(0, 2**32 - 1), st.integers(0, 30), st.integers(1, 3))
def test_suppression_is_that_of_tasks_where_boxes_crowd(seed: int, count: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 8, (count, 2, 2)).astype(np.float32)
    boxes = np.concatenate([corners.min(1), corners.max(1)], axis=1)
    scores = (rng.integers(0, 5, (count, classes)) / 4).astype(np.float32)  # ties, zeros and ones
    (wanted,) = detections(boxes[None], scores[None], threshold=0.2)
    found = suppressed(boxes, scores, 0.2)
    assert np.array_equal(found[0], wanted.boxes)
    assert np.array_equal(found[2], wanted.labels)


def test_maps_of_another_head_are_refused() -> None:
    first, other = HEADS[0], DetectionHead.over("fcos", (72, 104), (8, 16, 32), classes=5, reg_max=5)
    maps = [np.zeros((1, other.channels, h, w), np.float32) for h, w in other.maps]
    with pytest.raises(InputError, match="predictions of"):
        decode(first.to_json(), _places(first), maps)


@given(st.integers(1, 150), st.integers(1, 150), st.sampled_from([(64, 96), (32, 32), (96, 64)]))
def test_letterboxes_are_those_of_data(height: int, width: int, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(height * 151 + width)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    mine, ours = Letterbox(height, width, size), Ours.fit(height, width, size)
    assert np.array_equal(mine.image(Image.fromarray(pixels)), ours.image(pixels))
    mask = rng.integers(0, 5, size, dtype=np.uint8)
    assert np.array_equal(mine.mask(mask), ours.mask_to_original(mask))
    boxes = rng.normal(40, 40, (6, 4)).astype(np.float32)
    assert np.array_equal(mine.boxes(boxes), ours.to_original(boxes))


@pytest.mark.parametrize("shape", [(16, 16), (50, 20), (7, 90)])
@pytest.mark.parametrize("channels", [1, 3])
def test_crops_are_those_of_data(shape: tuple[int, int], channels: int) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))
    wanted = np.asarray(fit(image.convert("L" if channels == 1 else "RGB"), 16)).reshape(16, 16, -1)
    found = cropped(image, (16, 16), channels)
    assert np.array_equal(found, wanted)
    assert np.array_equal(to_input(found[None]), to_pixels(found[None]))


@pytest.mark.parametrize("array", [np.zeros((4, 4), np.float32), np.zeros((4, 5), np.uint8), np.array([None])])
def test_an_array_that_does_not_fit_is_refused(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=r"a\.npy"):
        read_array(tmp_path / "a.npy", (4, 4), 1)
    np.save(tmp_path / "a.npy", np.zeros((4, 4), np.uint8))
    assert read_array(tmp_path / "a.npy", (4, 4), 1).shape == (4, 4, 1)
