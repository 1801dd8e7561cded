"""The losses of both heads: against formulas written out, least at the truth, finite where there is nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hwnas.errors import InputError
from hwnas.tasks import DetectionHeadLayout
from hwnas.train.detect import DetectionLoss
from hwnas.train.detect.assign import assign
from hwnas.train.detect.fcos import boxes_at, true_distances
from hwnas.train.detect.overlap import giou
from hwnas.train.detect.ssdlite import encode, hardest, match
from hwnas.train.detect.targets import gather, raw_rows

HEADS = {kind: DetectionHeadLayout.over(kind, (64, 96), (8, 16, 32), classes=3) for kind in ("fcos", "ssdlite")}
KINDS = pytest.mark.parametrize("kind", ["fcos", "ssdlite"])
NOTHING = ([torch.zeros(0, 4)] * 2, [torch.zeros(0, dtype=torch.int64)] * 2, [torch.zeros(0, dtype=torch.bool)] * 2)


def random_maps(head: DetectionHeadLayout, images: int = 2, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(images, head.channels, h, w, generator=generator).requires_grad_() for h, w in head.maps]


def some_truth() -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    boxes = [torch.tensor([[4.0, 6, 40, 50], [50, 20, 90, 60]]), torch.tensor([[10.0, 10, 30, 24]])]
    return boxes, [torch.tensor([0, 2]), torch.tensor([1])], [torch.zeros(2, dtype=torch.bool),
                                                             torch.zeros(1, dtype=torch.bool)]


def as_maps(rows: Tensor, head: DetectionHeadLayout) -> list[Tensor]:
    """Raw rows (N, P, values) back to maps."""
    maps, first = [], 0
    for h, w in head.maps:
        own = rows[:, first : first + h * w * head.per_cell].reshape(len(rows), h, w, -1)
        maps.append(own.permute(0, 3, 1, 2).contiguous())
        first += h * w * head.per_cell
    return maps


@KINDS
def test_rows_are_ordered_as_the_decoder_orders_them(kind: str) -> None:
    head = HEADS[kind]
    maps = random_maps(head)
    rows = raw_rows(maps, head)
    for level, ours in zip(maps, as_maps(rows, head), strict=True):
        assert torch.equal(level, ours)
    _, scores = head.decode([values.detach().numpy() for values in maps])
    logits = rows.detach()[..., : head.classes + (kind == "ssdlite")]
    soft = logits.sigmoid() if kind == "fcos" else logits.softmax(-1)[..., 1:]
    np.testing.assert_allclose(soft, scores, rtol=1e-5, atol=1e-6)


def test_boxes_in_torch_are_the_decoders() -> None:
    head = HEADS["fcos"]
    maps = random_maps(head)
    wanted, _ = head.decode([values.detach().numpy() for values in maps])
    bins = raw_rows(maps, head)[..., 3:].unflatten(-1, (4, 8))
    points, strides = torch.from_numpy(head.points()), torch.from_numpy(head.point_strides())
    np.testing.assert_allclose(boxes_at(points, strides, bins).detach(), wanted, rtol=1e-4, atol=1e-4)


@KINDS
def test_no_boxes_at_all_gives_a_finite_loss_that_teaches_background(kind: str) -> None:
    loss, maps = DetectionLoss(HEADS[kind]), random_maps(HEADS[kind])
    value = loss(maps, *NOTHING)
    value.backward()
    assert math.isfinite(float(value.detach()))
    assert float(value.detach()) > 0
    assert all(values.grad is not None and torch.isfinite(values.grad).all() for values in maps)
    assert any(values.grad.abs().sum() > 0 for values in maps)  # type: ignore[union-attr]
    assert loss.parts["box"] == 0


@KINDS
def test_gradients_reach_every_kind_of_output(kind: str) -> None:
    head = HEADS[kind]
    rows = raw_rows(random_maps(head), head).detach().requires_grad_()
    DetectionLoss(head)(as_maps(rows, head), *some_truth()).backward()
    assert rows.grad is not None
    assert torch.isfinite(rows.grad).all()
    assert (rows.grad.abs().sum(dim=(0, 1)) > 0).all()


@KINDS
def test_parts_sum_to_the_loss(kind: str) -> None:
    loss = DetectionLoss(HEADS[kind])
    value = loss(random_maps(HEADS[kind]), *some_truth())
    assert sum(loss.parts.values()) == pytest.approx(float(value.detach()), rel=1e-5)
    assert set(loss.parts) == ({"class", "distribution", "box"} if kind == "fcos" else {"class", "box"})


def test_fcos_is_its_formula() -> None:
    """Every term in float64 loops, given the assignment."""
    head, maps = HEADS["fcos"], random_maps(HEADS["fcos"], seed=3)
    points, strides = torch.from_numpy(head.points()), torch.from_numpy(head.point_strides())
    truth, _ = gather(*some_truth(), torch.device("cpu"))
    rows = raw_rows(maps, head).detach()
    bins = rows[..., 3:].unflatten(-1, (4, 8))
    found = assign(rows[..., :3], boxes_at(points, strides, bins), points, strides, truth)
    owner = dict(zip(found.cells.tolist(), zip(found.truths.tolist(), found.ious.tolist(), strict=True), strict=True))
    quality = distribution = box = 0.0
    for cell, row in enumerate(rows.flatten(0, 1).double()):
        t, overlap = owner.get(cell, (-1, 0.0))
        for k in range(3):
            p, target = 1 / (1 + math.exp(-row[k])), overlap if t >= 0 and truth.labels[t] == k else 0.0
            quality += (target - p) ** 2 * -(target * math.log(p) + (1 - target) * math.log(1 - p))
        if t < 0:
            continue
        p_ = cell % head.count
        true = truth.boxes[t : t + 1]
        for side, distance in enumerate(true_distances(points[p_ : p_ + 1], strides[p_ : p_ + 1], true)[0].tolist()):
            reach = min(max(distance, 0), 7)
            shares = row[3 + side * 8 : 11 + side * 8].softmax(0).tolist()
            for bin_, share in enumerate(shares):
                distribution -= max(0, 1 - abs(reach - bin_)) * math.log(share) / 4
        one = boxes_at(points[p_ : p_ + 1], strides[p_ : p_ + 1], bins.flatten(0, 1)[cell][None])
        box += 1 - float(giou(one, true))
    loss = DetectionLoss(head)
    loss(maps, *some_truth())
    count = len(owner)
    assert count > 3
    assert loss.parts == pytest.approx(
        {"class": quality / count, "distribution": 0.25 * distribution / count, "box": 2 * box / count}, rel=1e-4)


def test_ssdlite_is_its_formula() -> None:
    head, maps = HEADS["ssdlite"], random_maps(HEADS["ssdlite"], seed=3)
    truth, _ = gather(*some_truth(), torch.device("cpu"))
    anchors, rows = torch.from_numpy(head.anchors()), raw_rows(maps, head).detach()
    matches = match(anchors, truth, 2)
    logs = rows[..., :4].log_softmax(-1)
    hard = hardest(-logs[..., 0], matches < 0, matches >= 0)
    entropy = offset = 0.0
    for n, p in (matches >= 0).logical_or(hard).nonzero().tolist():
        t = int(matches[n, p])
        entropy -= float(logs[n, p, 0 if t < 0 else int(truth.labels[t]) + 1])
        if t >= 0:
            wrong = (rows[n, p, 4:] - encode(truth.boxes[t : t + 1], anchors[p : p + 1])[0]).abs()
            offset += sum(0.5 * d * d if d < 1 else d - 0.5 for d in wrong.tolist())
    count = int((matches >= 0).sum())
    loss = DetectionLoss(head)
    loss(maps, *some_truth())
    assert loss.parts == pytest.approx({"class": entropy / count, "box": offset / count}, rel=1e-4)


def perfect_fcos() -> tuple[DetectionHeadLayout, Tensor, tuple[list[Tensor], list[Tensor], list[Tensor]]]:
    """A box of nine points whose distances are whole strides; all answers sure and right."""
    head = DetectionHeadLayout("fcos", (64, 96), ((8, 12),), (8,), classes=3)
    truth = ([torch.tensor([[4.0, 12, 36, 44]])], [torch.tensor([1])], [torch.tensor([False])])
    points, strides = torch.from_numpy(head.points()), torch.from_numpy(head.point_strides())
    rows = torch.full((1, head.count, head.values), -15.0)
    distances = true_distances(points, strides, truth[0][0].expand(head.count, 4))
    inside = (distances > 0).all(dim=1)
    assert int(inside.sum()) == 9
    rows[0, inside, 1] = 15.0
    rows[..., 3:].unflatten(-1, (4, 8)).scatter_(-1, distances.clamp(0, 7).long()[None, ..., None], 15.0)
    return head, rows, truth


def perfect_ssd() -> tuple[DetectionHeadLayout, Tensor, tuple[list[Tensor], list[Tensor], list[Tensor]]]:
    head = HEADS["ssdlite"]
    truth = ([torch.tensor([[4.0, 12, 36, 44], [50, 10, 80, 60]])], [torch.tensor([1, 0])], [torch.tensor([False] * 2)])
    anchors, (flat, _) = torch.from_numpy(head.anchors()), gather(*truth, torch.device("cpu"))
    matches = match(anchors, flat, 1)[0]
    rows = torch.zeros(1, head.count, head.values)
    label = torch.where(matches >= 0, flat.labels[matches] + 1, 0)
    rows[0, torch.arange(head.count), label] = 15.0
    rows[0, :, 4:] = encode(flat.boxes[matches], anchors)
    return head, rows, truth


@pytest.mark.parametrize("perfect", [perfect_fcos, perfect_ssd])
def test_the_truth_costs_nothing_and_every_step_away_costs(perfect) -> None:
    head, rows, truth = perfect()
    loss = DetectionLoss(head)
    assert float(loss(as_maps(rows, head), *truth)) < 1e-3
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        away = torch.randn(rows.shape, generator=generator)
        costs = [float(loss(as_maps(rows + step * away, head), *truth)) for step in (0, 4, 12)]
        assert costs == sorted(costs)
        assert costs[-1] > 0.05


@KINDS
def test_nothing_is_learnt_in_a_crowd(kind: str) -> None:
    head = HEADS[kind]
    loss = DetectionLoss(head)
    truth = ([torch.tensor([[8.0, 8, 60, 60], [70, 20, 90, 44]])], [torch.tensor([0, 2])])
    held = torch.from_numpy(head.points())
    held = ((held > 8) & (held < 60)).all(dim=1)
    rows = raw_rows(random_maps(head, images=1), head).detach().requires_grad_()
    loss(as_maps(rows, head), *truth, [torch.tensor([True, False])]).backward()
    assert rows.grad is not None
    touched = rows.grad[0].abs().sum(dim=1) > 0
    assert not touched[held].any()
    assert touched[~held].any()
    rows.grad = None
    loss(as_maps(rows, head), *truth, [torch.tensor([False, False])]).backward()
    assert (rows.grad[0].abs().sum(dim=1) > 0)[held].any()  # type: ignore[index]


def test_a_box_inside_a_crowd_is_learnt() -> None:
    head = HEADS["fcos"]
    corners, flags = torch.tensor([[0.0, 0, 96, 64], [20, 20, 44, 44]]), torch.tensor([True, False])
    loss = DetectionLoss(head)
    loss(random_maps(head, images=1), [corners], [torch.tensor([0, 2])], [flags])
    assert loss.parts["box"] > 0
    assert loss.parts["class"] > 0


@KINDS
def test_maps_of_another_head_are_refused(kind: str) -> None:
    with pytest.raises(InputError, match="the network gave 2"):
        DetectionLoss(HEADS[kind])(random_maps(HEADS[kind])[:2], *NOTHING)
