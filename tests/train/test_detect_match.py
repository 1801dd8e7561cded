"""Matching of anchors, hard negatives and offsets of an SSD head, against slow loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from hwnas.tasks import DetectionHeadLayout
from hwnas.train.detect.loss import DetectionLoss
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
        if overlap[t][p] <= 0:
            break
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


@pytest.mark.parametrize("seed", range(8))
def test_matching_is_the_slow_loop_where_overlaps_are_equal_and_boxes_crowd(seed: int) -> None:
    """Boxes on a coarse grid, many of them twice: ties within a box, between boxes, and chains of rivals."""
    rng = np.random.default_rng(seed)
    counts = [0, 25, 1, 40, 0]
    corner = rng.integers(0, 8, (66, 2)) * 8.0
    boxes = np.concatenate([corner, corner + rng.choice([8, 16, 24], (66, 2))], axis=1).astype(np.float32)
    image = torch.from_numpy(np.repeat(np.arange(5), counts))
    truth = GroundTruth(torch.from_numpy(boxes), torch.zeros(66, dtype=torch.long), image)
    matches = match(ANCHORS, truth, 5)
    for number in range(5):
        assert matches[number].tolist() == slow_match(truth, number)


class Waits(TorchDispatchMode):
    """Counts calls at which the host would wait for a GPU: what becomes a number, or a shape that depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = func.overloadpacket.__name__
        masks = [i for a in args if isinstance(a, list | tuple) for i in a if isinstance(i, Tensor)]
        by_mask = name in ("index", "index_put", "index_put_") and any(i.dtype == torch.bool for i in masks)
        named = name in ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "bincount")
        self.count += by_mask or named
        return func(*args, **(kwargs or {}))


def waits(images: int) -> int:
    """Of one loss over a batch of the same image."""
    one, rng = random_truth(3, [6]), np.random.default_rng(0)
    loss = DetectionLoss(HEAD)
    maps = [torch.from_numpy(rng.normal(size=(1, HEAD.channels, *sides)).astype(np.float32)) for sides in HEAD.maps]
    batch = [m.expand(images, -1, -1, -1) for m in maps]
    truth = [one.boxes] * images, [one.labels] * images, [torch.zeros(6)] * images
    with Waits() as mode:
        loss(batch, *truth)
    return mode.count


def test_a_loss_waits_for_the_device_as_often_for_64_images_as_for_one() -> None:
    assert 0 < waits(1) == waits(64) <= 20


def test_what_makes_the_host_wait_is_counted() -> None:
    values = torch.arange(4)
    with Waits() as mode:
        assert int(values[values > 2].sum()) == 3
        values[values > 2] = 0
        values.unique()
        values[torch.tensor([0, 1])] + values.cumsum(0)[:2]
    assert mode.count == 4


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
