"""The assignment of a batch against a loop over images, boxes and points."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hwnas.tasks import DetectionHeadLayout
from hwnas.train.detect.assign import Assignment, assign, candidates, rank_within
from hwnas.train.detect.targets import GroundTruth, gather

HEAD = DetectionHeadLayout.over("fcos", (64, 96), (8, 16, 32), classes=3)
POINTS, STRIDES = torch.from_numpy(HEAD.points()), torch.from_numpy(HEAD.point_strides())


def random_truth(rng: np.random.Generator, counts: list[int], size: tuple[int, int] = (64, 96)) -> GroundTruth:
    boxes = []
    for count in counts:
        corner = rng.random((count, 2)) * (size[1] - 20, size[0] - 20)
        sides = rng.random((count, 2)) * (50, 40) + 2
        boxes.append(torch.from_numpy(np.concatenate([corner, corner + sides], axis=1).astype(np.float32)))
    labels = [torch.from_numpy(rng.integers(0, 3, count)) for count in counts]
    return gather(boxes, labels, [torch.zeros(count, dtype=torch.bool) for count in counts], torch.device("cpu"))[0]


def random_answers(rng: np.random.Generator, images: int) -> tuple[Tensor, Tensor]:
    logits = torch.from_numpy(rng.normal(-1, 2, (images, HEAD.count, 3)).astype(np.float32))
    reach = torch.from_numpy(rng.random((images, HEAD.count, 4)).astype(np.float32)) * 4 * STRIDES[:, None]
    return logits, torch.cat([POINTS - reach[..., :2], POINTS + reach[..., 2:]], dim=-1)


def slow_iou(a: list[float], b: list[float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def slow_cost(logits: list[float], label: int, iou: float, distance: float) -> float:
    cost = -3 * math.log(iou + 1e-7) + 10 ** (distance - 3)
    for k, x in enumerate(logits):
        p, target = 1 / (1 + math.exp(-x)), iou if k == label else 0.0
        entropy = -target * math.log(p) - (1 - target) * math.log(1 - p)
        cost += entropy * (target - p) ** 2
    return cost


def slow_assign(logits: Tensor, boxes: Tensor, truth: GroundTruth) -> dict[int, tuple[int, float]]:
    """Cell -> (box, IoU)."""
    taken: dict[int, tuple[float, int, float]] = {}
    points, strides = POINTS.double().tolist(), STRIDES.tolist()
    for t, (box, label, n) in enumerate(zip(truth.boxes.tolist(), truth.labels.tolist(), truth.image.tolist(),
                                            strict=True)):
        centre = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        away = [math.dist(point, centre) for point in points]
        inside = [p for p, (x, y) in enumerate(points) if box[0] < x < box[2] and box[1] < y < box[3]]
        inside = inside or [away.index(min(away))]
        ious = {p: slow_iou(boxes[n, p].double().tolist(), box) for p in inside}
        k = max(1, int(sum(sorted(ious.values(), reverse=True)[:13])))
        costs = {p: slow_cost(logits[n, p].double().tolist(), label, ious[p], away[p] / strides[p]) for p in inside}
        for p in sorted(inside, key=lambda p: costs[p])[:k]:
            cell = n * len(points) + p
            taken[cell] = min(taken.get(cell, (math.inf, -1, 0.0)), (costs[p], t, ious[p]))
    return {cell: (t, iou) for cell, (_, t, iou) in taken.items()}


@pytest.mark.parametrize("seed", range(12))
def test_the_batch_is_the_slow_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = random_truth(rng, [3, 0, 7, 1])
    logits, boxes = random_answers(rng, 4)
    found, wanted = assign(logits, boxes, POINTS, STRIDES, truth), slow_assign(logits, boxes, truth)
    assert dict(zip(found.cells.tolist(), found.truths.tolist(), strict=True)) == {c: t for c, (t, _) in wanted.items()}
    assert len(found.cells.unique()) == len(found.cells)
    np.testing.assert_allclose(found.ious, [wanted[c][1] for c in found.cells.tolist()], rtol=1e-4, atol=1e-5)


def test_a_box_without_a_point_takes_the_nearest() -> None:
    boxes = torch.tensor([[45.0, 21, 47, 23], [5, 5, 30, 30]])
    held = candidates(boxes, POINTS)
    assert POINTS[held[0]].tolist() == [[44, 20]]
    assert held[1].sum() > 5
    truth = GroundTruth(boxes, torch.tensor([0, 1]), torch.tensor([0, 0]))
    logits, answers = random_answers(np.random.default_rng(0), 1)
    assert set(assign(logits, answers, POINTS, STRIDES, truth).truths.tolist()) == {0, 1}


def test_better_answers_are_preferred() -> None:
    """Of the points inside, those that already see the box and its class learn it."""
    truth = GroundTruth(torch.tensor([[8.0, 8, 56, 56]]), torch.tensor([1]), torch.tensor([0]))
    logits, (cell, other) = torch.full((1, HEAD.count, 3), -4.0), (3 * 12 + 4, 3 * 12 + 3)
    boxes = torch.cat([POINTS - 1, POINTS + 1], dim=-1)[None].clone()
    boxes[0, [cell, other]] = truth.boxes[0]
    k2: Assignment = assign(logits, boxes, POINTS, STRIDES, truth)
    assert set(k2.cells.tolist()) == {cell, other}
    logits[0, cell, 1], boxes[0, other] = 3.0, torch.tensor([8.0, 8, 56, 48])
    k1 = assign(logits, boxes, POINTS, STRIDES, truth)
    assert k1.cells.tolist() == [cell]
    assert k1.ious.tolist() == pytest.approx([1])


def test_no_boxes_no_points() -> None:
    logits, boxes = random_answers(np.random.default_rng(0), 2)
    found = assign(logits, boxes, POINTS, STRIDES, random_truth(np.random.default_rng(0), [0, 0]))
    assert [len(found.cells), len(found.truths), len(found.ious)] == [0, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5)), max_size=30))
def test_ranks_are_those_of_sorting_each_group(pairs) -> None:
    group = torch.tensor([g for g, _ in pairs], dtype=torch.int64)
    value = torch.tensor([v for _, v in pairs], dtype=torch.float32)
    wanted = [sum(g == h and (w, j) < (v, i) for j, (h, w) in enumerate(pairs)) for i, (g, v) in enumerate(pairs)]
    assert rank_within(group, value).tolist() == wanted
