"""The losses of segmenters against loops over pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hwnas.data import Dataset
from hwnas.data.detection.parts import Frame
from hwnas.data.recipe import Recipe
from hwnas.data.segmentation import SegmentationData, SegmentationPart
from hwnas.errors import UsageError
from hwnas.tasks import IGNORE
from hwnas.train import workload_of
from hwnas.train.segment import LEAST_SHARE, SURE, SegmentationLoss, balanced_weights, distill_segmentation


def batch(seed: int = 0, classes: int = 4) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    masks = rng.choice([*range(classes), IGNORE], (2, 5, 7)).astype(np.uint8)
    return torch.from_numpy(rng.normal(0, 2, (2, classes, 5, 7)).astype(np.float32)), torch.from_numpy(masks)


def slow_entropies(logits: Tensor, masks: Tensor) -> list[tuple[float, int]]:
    """Entropy and class of every pixel that counts."""
    found = []
    for n, y, x in np.ndindex(*masks.shape):
        truth = int(masks[n, y, x])
        if truth != IGNORE:
            row = logits[n, :, y, x].double()
            found.append((float(row.exp().sum().log() - row[truth]), truth))
    return found


@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 2.5, 0.5]])
def test_the_loss_is_the_weighted_mean(weights: list[float] | None) -> None:
    logits, masks = batch()
    pixels = slow_entropies(logits, masks)
    each = weights or [1.0] * 4
    wanted = sum(each[k] * e for e, k in pixels) / sum(each[k] for _, k in pixels)
    assert float(SegmentationLoss(4, weights=weights)(logits, masks)) == pytest.approx(wanted, rel=1e-5)


def test_hard_pixels_only() -> None:
    logits, masks = batch(1)
    pixels = [e for e, _ in slow_entropies(logits, masks)]
    hard = [e for e in pixels if math.exp(-e) < SURE]
    assert 0 < len(hard) < len(pixels)
    assert float(SegmentationLoss(4, hard_only=True)(logits, masks)) == pytest.approx(np.mean(hard), rel=1e-5)


def test_a_sixteenth_is_hard_where_all_is_well() -> None:
    logits, masks = batch(1)
    right = torch.nn.functional.one_hot(torch.where(masks == IGNORE, 0, masks).long(), 4).permute(0, 3, 1, 2)
    logits = 6.0 * right + 0.2 * logits
    worst = sorted((e for e, _ in slow_entropies(logits, masks)), reverse=True)
    assert math.exp(-worst[0]) > SURE
    least = math.ceil(LEAST_SHARE * len(worst))
    assert float(SegmentationLoss(4, hard_only=True)(logits, masks)) == pytest.approx(
        np.mean(worst[:least]), rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("hard_only", [False, True])
def test_nothing_that_counts_is_zero_with_a_gradient(hard_only: bool) -> None:
    logits = batch()[0].requires_grad_()
    loss = SegmentationLoss(4, hard_only=hard_only)(logits, torch.full((2, 5, 7), IGNORE, dtype=torch.uint8))
    loss.backward()
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_ignored_pixels_have_no_gradient() -> None:
    logits, masks = batch()
    logits.requires_grad_()
    SegmentationLoss(4)(logits, masks).backward()
    assert logits.grad is not None
    touched = logits.grad.abs().sum(dim=1) > 0
    assert torch.equal(touched, masks != IGNORE)


def test_the_truth_is_least() -> None:
    logits, masks = batch()
    sure = torch.nn.functional.one_hot(torch.where(masks == IGNORE, 0, masks).long(), 4).permute(0, 3, 1, 2) * 20.0
    loss = SegmentationLoss(4)
    assert float(loss(sure, masks)) < 1e-6 < float(loss(sure + 8 * logits, masks))


@pytest.mark.parametrize("weights", [[1.0, 2.0], [1.0, -1.0, 1.0, 1.0], [1.0, 1.0, 1.0, math.nan]])
def test_bad_weights(weights: list[float]) -> None:
    with pytest.raises(UsageError, match="4 classes need as many weights"):
        SegmentationLoss(4, weights=weights)


def test_a_twin_pays_nothing_and_the_teacher_gets_no_gradient() -> None:
    student, teacher = batch(0)[0].requires_grad_(), batch(1)[0].requires_grad_()
    assert float(distill_segmentation(student, student.detach().clone()).detach()) == pytest.approx(0, abs=1e-6)
    loss = distill_segmentation(student, teacher)
    loss.backward()
    assert float(loss.detach()) > 0
    assert student.grad is not None
    assert student.grad.any()
    assert teacher.grad is None


def divergence(student: np.ndarray, teacher: np.ndarray, t: float) -> float:
    p, q = (np.exp(z / t) / np.exp(z / t).sum() for z in (teacher, student))
    return float(t * t * (p * np.log(p / q)).sum())


def test_distillation_is_the_formula() -> None:
    student, teacher = (batch(seed)[0].double().numpy() for seed in (0, 1))
    pixels = [divergence(student[n, :, y, x], teacher[n, :, y, x], 2.0) for n, y, x in np.ndindex(2, 5, 7)]
    pair = torch.from_numpy(student), torch.from_numpy(teacher)
    assert float(distill_segmentation(*pair, temperature=2.0)) == pytest.approx(np.mean(pixels), rel=1e-4)



def test_rare_classes_weigh_more_but_not_without_bound() -> None:
    found = balanced_weights(np.array([400, 100, 25, 0, 1]))  # the median is 62.5
    assert found == pytest.approx([0.395, 0.791, 1.581, 1.0, 5.0], abs=1e-3)
    assert balanced_weights(np.zeros(2, np.int64)) == [1.0, 1.0]


def test_a_recipe_weighs_the_classes_of_masks() -> None:
    masks = np.zeros((4, 8, 8), np.uint8)
    masks[0, 0, :4] = 1
    masks[:, 7] = 255
    frames = tuple(Frame(str(i), None, 8, 8) for i in range(4))
    part = SegmentationPart(np.zeros((4, 8, 8, 3), np.uint8), masks, frames)
    data = SegmentationData("x", part, part, ("a", "b"), (8, 8), np.zeros((2, 3), np.uint8), "x")
    logits = torch.zeros(1, 2, 8, 8)
    logits[:, 0] = 1.0  # sure of a
    plain, weighed = (workload_of(data).with_recipe(Recipe.model_validate({"loss": loss}))
                      for loss in ({}, {"class_weights": "balanced"}))
    weights = torch.tensor(balanced_weights(np.array([4 * 56 - 4, 4])))
    expected = SegmentationLoss(2, weights=weights.tolist())(logits, torch.from_numpy(masks[:1]))
    assert weighed.loss(logits, masks[:1], 0.1) == expected > plain.loss(logits, masks[:1], 0.1)
    hard = workload_of(data).with_recipe(Recipe.model_validate({"loss": {"hard_only": True}}))
    assert hard.loss(logits, masks[:1], 0.1) == SegmentationLoss(2, hard_only=True)(logits, torch.from_numpy(masks[:1]))


def test_only_masks_have_hard_pixels(digits: Dataset) -> None:
    recipe = Recipe.model_validate({"name": "mine", "loss": {"hard_only": True}})
    with pytest.raises(UsageError, match="hard_only is of pixels, for --task segment"):
        workload_of(digits).with_recipe(recipe)
