"""Binary cross entropy of many labels: held against torch by hand, weighed, from a teacher."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwnas.data.arrays import ArrayPart
from hwnas.data.multilabel import MultiLabelData
from hwnas.data.recipe import LossPart
from hwnas.errors import UsageError
from hwnas.train import Teacher
from hwnas.train.multilabel import HEAVIEST, BinaryCrossEntropy

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]], requires_grad=True)
TRUTH = np.array([[1, 0, 1], [0, 1, 0]], np.float32)


def by_hand(truth: np.ndarray, weights: np.ndarray | None = None) -> float:
    p = 1 / (1 + np.exp(-LOGITS.detach().numpy().astype(np.float64)))
    w = np.ones(3) if weights is None else weights
    return float(-(w * truth * np.log(p) + (1 - truth) * np.log(1 - p)).sum(1).mean())


def test_it_is_the_sum_over_the_classes() -> None:
    loss = BinaryCrossEntropy()
    assert float(loss.loss(LOGITS, TRUTH, 0.0).detach()) == pytest.approx(by_hand(TRUTH))
    assert float(loss.loss(LOGITS, TRUTH, 0.2).detach()) == pytest.approx(by_hand(TRUTH * 0.8 + 0.1))


def test_a_student_that_says_what_its_teacher_says_pays_the_plain_loss_alone() -> None:
    loss, teacher = BinaryCrossEntropy(), Teacher(torch.nn.Identity(), weight=0.5)
    plain = loss.loss(LOGITS, TRUTH, 0.0)
    assert float(loss.distilled(LOGITS, LOGITS, plain, teacher).detach()) == pytest.approx(0.5 * float(plain.detach()))
    assert loss.distilled(LOGITS, -LOGITS, plain, teacher) > 0.5 * plain


def test_rare_labels_weigh_more_where_a_recipe_asks() -> None:
    labels = np.zeros((40, 3), np.uint8)
    labels[:30, 0], labels[:10, 1], labels[0, 2] = 1, 1, 1
    part = ArrayPart(np.zeros((40, 8, 8, 3), np.uint8), labels)
    data = MultiLabelData("x", part, part, ("a", "b", "c"), "x")
    weighed = BinaryCrossEntropy().weighed(LossPart(class_weights="balanced"), data)
    assert weighed.weights is not None
    assert weighed.weights.tolist() == [1.0, 3.0, HEAVIEST]
    assert float(weighed.loss(LOGITS, TRUTH, 0.0).detach()) == pytest.approx(
        by_hand(TRUTH, np.array([1.0, 3.0, HEAVIEST])), rel=1e-6)
    with pytest.raises(UsageError, match="hard_only"):
        BinaryCrossEntropy().weighed(LossPart(hard_only=True), data)
