"""The runner's own numbers are those of hwnas: boxes, letterboxes, crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwnas.deploy.bundle_writer import _places
from hwnas.deploy.runner.boxes import decode
from hwnas.deploy.runner.images import read_array
from hwnas.errors import InputError
from hwnas.tasks import DetectionHeadLayout

HEADS = [DetectionHeadLayout.over("fcos", (72, 104), (8, 16, 32), classes=3, reg_max=5),
         DetectionHeadLayout.over("ssdlite", (72, 104), (16, 32, 64), classes=4)]


@pytest.mark.parametrize("head", HEADS, ids=lambda head: head.kind)
def test_boxes_are_those_of_tasks(head: DetectionHeadLayout) -> None:
    rng = np.random.default_rng(0)
    maps = [rng.normal(0, 2, (1, head.channels, h, w)).astype(np.float32) for h, w in head.maps]
    boxes, scores = decode(head.to_json(), _places(head), maps)
    theirs = head.decode(maps)
    np.testing.assert_allclose(boxes, theirs[0][0], rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(scores, theirs[1][0], rtol=1e-5, atol=1e-6)


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
