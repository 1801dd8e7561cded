"""Matching of anchors, hard negatives and offsets of an SSD head, against slow loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from hwnas.tasks import DetectionHeadLayout
from hwnas.train.detect.overlap import giou, iou
from hwnas.train.detect.ssdlite import encode, hardest, match
from hwnas.train.detect.targets import GroundTruth

HEAD = DetectionHeadLayout.over("ssdlite", (64, 96), (8, 16, 32), classes=3)
ANCHORS = torch.from_numpy(HEAD.anchors())


def random_truth(seed: int, counts: list[int]) -> GroundTruth:
    rng = np.random.default_rng(seed)
    total = sum(counts)
    corner = rng.random((total, 2)) * (70, 40)
    boxes = np.concatenate([corner, corner + rng.random((total, 2)) * 40 + 3], axis=1).astype(np.float32)
    image = np.repeat(np.arange(len(counts)), counts)
    return GroundTruth(torch.from_numpy(boxes), torch.from_numpy(rng.integers(0, 3, total)), torch.from_numpy(image))


def slow_match(truth: GroundTruth, image: int) -> list[int]:
    own = [t for t in range(len(truth.boxes)) if truth.image[t] == image]
    overlap = iou(truth.boxes[:, None], ANCHORS).tolist()
    matches = [-1] * len(ANCHORS)
    for p in range(len(ANCHORS)):
        best = max(own, key=lambda t: overlap[t][p], default=-1)
        if own and overlap[best][p] >= 0.5:
            matches[p] = best
    pairs = sorted(((t, p) for t in own for p in range(len(ANCHORS))), key=lambda tp: -overlap[tp[0]][tp[1]])
    boxes: set[int] = set()
    anchors: set[int] = set()
    for t, p in pairs:
        if t not in boxes and p not in anchors:
            boxes.add(t)
            anchors.add(p)
            matches[p] = t
    return matches


@pytest.mark.parametrize("seed", range(6))
def test_matching_is_the_slow_loop(seed: int) -> None:
    truth = random_truth(seed, [2, 0, 6])
    matches = match(ANCHORS, truth, 3)
    assert matches.shape == (3, len(ANCHORS))
    for image in range(3):
        assert matches[image].tolist() == slow_match(truth, image)
    assert set(matches[matches >= 0].tolist()) == set(range(8))


def test_two_boxes_that_want_one_anchor_both_get_one() -> None:
    boxes = ANCHORS[:1].repeat(2, 1) + torch.tensor([[0.0], [0.01]])
    matches = match(ANCHORS, GroundTruth(boxes, torch.tensor([0, 1]), torch.tensor([0, 0])), 1)
    assert set(matches[matches >= 0].tolist()) == {0, 1}


def test_a_box_that_no_anchor_touches_is_left_out() -> None:
    far = GroundTruth(torch.tensor([[900.0, 900, 910, 910]]), torch.tensor([0]), torch.tensor([0]))
    assert (match(ANCHORS, far, 1) == -1).all()


def test_offsets_decode_to_the_boxes() -> None:
    rng = np.random.default_rng(0)
    boxes = random_truth(1, [len(ANCHORS)]).boxes
    maps, first = [], 0
    offsets = encode(boxes, ANCHORS).numpy()
    for h, w in HEAD.maps:
        own = offsets[first : first + h * w * 6].reshape(h, w, 6, 4)
        cells = np.concatenate([rng.normal(size=(h, w, 6, 4)), own], axis=-1).reshape(1, h, w, -1)
        maps.append(cells.transpose(0, 3, 1, 2).astype(np.float32))
        first += h * w * 6
    decoded, _ = HEAD.decode(maps)
    np.testing.assert_allclose(decoded[0], boxes, rtol=1e-4, atol=1e-3)


def test_three_hard_negatives_for_each_match_and_at_least_three() -> None:
    entropy = torch.rand(3, 50, generator=torch.Generator().manual_seed(0))
    matched, background = torch.zeros(3, 50, dtype=torch.bool), torch.ones(3, 50, dtype=torch.bool)
    matched[0, :4] = matched[2, :20] = True
    background &= ~matched
    background[:, 30:40] = False  # in a crowd
    chosen = hardest(entropy, background, matched)
    assert chosen.sum(dim=1).tolist() == [12, 3, 20]  # of the last, no more than there are
    assert not (chosen & ~background).any()
    for n in range(2):
        left = background[n] & ~chosen[n]
        assert entropy[n][chosen[n]].min() >= entropy[n][left].max()


def boxes_of(*corners: tuple[float, ...]) -> Tensor:
    return torch.tensor(corners, dtype=torch.float32)


def test_overlaps_by_hand() -> None:
    a = boxes_of((0, 0, 4, 4), (0, 0, 4, 4), (0, 0, 2, 2), (1, 1, 1, 1))
    b = boxes_of((0, 0, 4, 4), (2, 0, 6, 4), (4, 0, 6, 2), (1, 1, 1, 1))
    assert iou(a, b).tolist() == pytest.approx([1, 8 / 24, 0, 0])
    assert giou(a, b)[:3].tolist() == pytest.approx([1, 8 / 24, -4 / 12], abs=1e-6)
    assert torch.isfinite(giou(a, b)).all()
    np.testing.assert_allclose(iou(a[:, None], b)[1], [1, 1 / 3, 0, 0])
