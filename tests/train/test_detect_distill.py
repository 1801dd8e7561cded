"""Distillation of detectors: zero for a twin, gradients to the student only, the formula where it is small."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hwnas.tasks import DetectionHeadLayout
from hwnas.train.detect import distill_detection

HEADS = {kind: DetectionHeadLayout.over(kind, (32, 48), (8, 16), classes=2, reg_max=3) for kind in ("fcos", "ssdlite")}
KINDS = pytest.mark.parametrize("kind", ["fcos", "ssdlite"])


def random_maps(head: DetectionHeadLayout, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, head.channels, h, w, generator=generator).requires_grad_() for h, w in head.maps]


@KINDS
def test_a_twin_pays_nothing(kind: str) -> None:
    maps = random_maps(HEADS[kind], 0)
    found = distill_detection(maps, [m.detach().clone() for m in maps], HEADS[kind])
    assert float(found.detach()) == pytest.approx(0, abs=1e-5)


@KINDS
def test_gradients_reach_the_student_only(kind: str) -> None:
    student, teacher = random_maps(HEADS[kind], 0), random_maps(HEADS[kind], 1)
    loss = distill_detection(student, teacher, HEADS[kind])
    loss.backward()
    assert float(loss.detach()) > 0.01
    assert all(m.grad is not None and m.grad.abs().sum() > 0 for m in student)
    assert all(m.grad is None for m in teacher)


@KINDS
def test_following_the_gradient_leads_to_the_teacher(kind: str) -> None:
    student, teacher = random_maps(HEADS[kind], 0), random_maps(HEADS[kind], 1)
    optimizer = torch.optim.Adam(student, lr=0.1)
    first = float(distill_detection(student, teacher, HEADS[kind]).detach())
    for _ in range(100):
        optimizer.zero_grad()
        distill_detection(student, teacher, HEADS[kind]).backward()
        optimizer.step()
    assert float(distill_detection(student, teacher, HEADS[kind]).detach()) < first / 20


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_fcos_by_hand() -> None:
    """One point, one class, two bins."""
    head, t = DetectionHeadLayout("fcos", (8, 8), ((1, 1),), (8,), 1, reg_max=1), 2.0
    student, teacher = torch.zeros(1, 9, 1, 1), torch.zeros(1, 9, 1, 1)
    teacher[0, 0], teacher[0, 2] = 2.0, 1.0  # class; the second bin of the first side
    p, q = sigmoid(2 / t), sigmoid(1 / t)
    seen = p * math.log(p / 0.5) + (1 - p) * math.log((1 - p) / 0.5)
    reach = (q * math.log(q / 0.5) + (1 - q) * math.log((1 - q) / 0.5)) / 4
    loss = distill_detection([student], [teacher], head, temperature=t)
    assert float(loss) == pytest.approx(t * t * (seen + reach), rel=1e-5)


def test_ssdlite_by_hand() -> None:
    """Six anchors of one cell; the teacher is sure of one only, so its offsets alone count."""
    head, t = DetectionHeadLayout("ssdlite", (8, 8), ((1, 1),), (8,), 1), 2.0
    student, teacher = torch.zeros(1, 36, 1, 1), torch.zeros(1, 36, 1, 1)
    for a in range(6):
        teacher[0, a * 6] = 3.0
        teacher[0, a * 6 + 2 : a * 6 + 6] = 5.0  # offsets of anchors that are background
    teacher[0, 0], teacher[0, 1], teacher[0, 2:6] = 0.0, 2.0, 1.0
    weights = [sigmoid(2)] + [sigmoid(-3)] * 5

    def divergence(logit: float) -> float:
        p = sigmoid(logit / t)
        return p * math.log(p / 0.5) + (1 - p) * math.log((1 - p) / 0.5)

    seen = t * t * sum(w * divergence(z) for w, z in zip(weights, [2] + [3] * 5, strict=True)) / sum(weights)
    loss = distill_detection([student], [teacher], head, temperature=t)
    assert float(loss) == pytest.approx(seen + 1.0, rel=1e-5)


@KINDS
def test_boxes_of_an_unsure_teacher_are_not_learnt(kind: str) -> None:
    head = HEADS[kind]
    student, teacher = random_maps(head, 0), [m.detach().clone() for m in random_maps(head, 1)]
    for values in teacher:
        cells = values.view(2, head.per_cell, head.values, *values.shape[2:])
        cells[:, :, : head.classes + 1] = -9.0
        if kind == "ssdlite":
            cells[:, :, 0] = 9.0
    distill_detection(student, teacher, head).backward()
    for values in student:
        assert values.grad is not None
        cells = values.grad.view(2, head.per_cell, head.values, *values.shape[2:])
        boxes = cells[:, :, head.classes + (kind == "ssdlite") :]
        assert not boxes.any()
        assert cells.any()
