"""The runner's own numbers are those of hwnas: boxes, suppression, letterboxes, crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.deploy.bundle_writer import _places
from hwnas.deploy.runner.boxes import decode, suppressed
from hwnas.deploy.runner.images import read_array
from hwnas.errors import InputError
from hwnas.tasks import DetectionHeadLayout, detections

HEADS = [DetectionHeadLayout.over("fcos", (72, 104), (8, 16, 32), classes=3, reg_max=5),
         DetectionHeadLayout.over("ssdlite", (72, 104), (16, 32, 64), classes=4)]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.kind)
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.9])
def test_boxes_are_those_of_tasks(head: DetectionHeadLayout, threshold: float) -> None:
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
    first, other = HEADS[0], DetectionHeadLayout.over("fcos", (72, 104), (8, 16, 32), classes=5, reg_max=5)
    maps = [np.zeros((1, other.channels, h, w), np.float32) for h, w in other.maps]
    with pytest.raises(InputError, match="predictions of"):
        decode(first.to_json(), _places(first), maps)


@pytest.mark.parametrize("array", [np.zeros((4, 4), np.float32), np.zeros((4, 5), np.uint8), np.array([None])])
def test_an_array_that_does_not_fit_is_refused(array: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(InputError, match=r"a\.npy"):
        read_array(tmp_path / "a.npy", (4, 4), 1)
    np.save(tmp_path / "a.npy", np.zeros((4, 4), np.uint8))
    assert read_array(tmp_path / "a.npy", (4, 4), 1).shape == (4, 4, 1)
