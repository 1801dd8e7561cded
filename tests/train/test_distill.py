"""Distillation against its formula, and a teacher that is asked once per step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hwnas.train import Teacher, distill


class Counting(nn.Module):
    """A linear teacher that counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.dropout = nn.Dropout(0.9)
        self.asked = 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += 1
        return self.linear(self.dropout(x))  # type: ignore[no-any-return]


def by_hand(student: np.ndarray, teacher: np.ndarray, plain: float, weight: float, t: float) -> float:
    """(1 - w) * plain + w * T^2 * mean over images of sum_k p_k ln(p_k / q_k), in float64."""
    def soft(z: np.ndarray) -> np.ndarray:
        e = np.exp(z / t - (z / t).max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    p, q = soft(teacher), soft(student)
    return (1 - weight) * plain + weight * t * t * float((p * np.log(p / q)).sum(1).mean())


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), weight=st.floats(0, 1), t=st.floats(0.5, 10), n=st.integers(1, 5))
def test_loss_is_the_formula(seed: int, weight: float, t: float, n: int) -> None:
    rng = np.random.default_rng(seed)
    student, teacher, plain = rng.normal(size=(n, 7)) * 3, rng.normal(size=(n, 7)) * 3, float(rng.random())
    loss = Teacher(nn.Identity(), weight=weight, temperature=t).loss(
        torch.from_numpy(student), torch.from_numpy(teacher), torch.tensor(plain, dtype=torch.float64)
    )
    assert float(loss) == pytest.approx(by_hand(student, teacher, plain, weight, t), rel=1e-9, abs=1e-12)


def test_a_student_that_agrees_pays_only_the_plain_part() -> None:
    logits, plain = torch.randn(4, 5), torch.tensor(2.0)
    assert float(Teacher(nn.Identity(), weight=0.25).loss(logits, logits + 3, plain)) == pytest.approx(1.5)
    assert float(Teacher(nn.Identity(), weight=0.0).loss(logits, -logits, plain)) == 2.0


def test_gradients_reach_the_student_only() -> None:
    net = Counting()
    teacher = Teacher(net)
    student = torch.randn(2, 3, requires_grad=True)
    teacher.loss(student, teacher.outputs(torch.randn(2, 4), 0, 0), student.sum()).backward()
    assert student.grad is not None
    assert all(p.grad is None for p in net.parameters())


def test_the_teacher_is_frozen_in_eval_mode() -> None:
    net = Counting().train()
    teacher = Teacher(net)
    x = torch.randn(2, 4)
    assert not net.training
    assert torch.equal(teacher.outputs(x, 0, 0), teacher.outputs(x, 0, 1))  # dropout is off


def test_memory_is_asked_once_per_step() -> None:
    net = Counting()
    teacher = Teacher(net, remember=True)
    batches = {(e, s): torch.randn(2, 4) for e in range(2) for s in range(3)}
    first = {key: teacher.outputs(x, *key).clone() for key, x in batches.items()}
    assert net.asked == 6
    assert all(torch.equal(teacher.outputs(x, *key), first[key]) for key, x in batches.items())
    assert net.asked == 6
    assert len({tuple(v.flatten().tolist()) for v in first.values()}) == 6
    assert not any(v.requires_grad for v in first.values())


def test_without_memory_it_is_asked_every_time() -> None:
    net = Counting()
    teacher = Teacher(net)
    for _ in range(2):
        teacher.outputs(torch.randn(2, 4), 0, 0)
    assert net.asked == 2
    assert teacher.cache is None


def test_it_remembers_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Counting()
    wanted = net.eval()(x := torch.ones(2, 4))
    monkeypatch.setattr(distill, "REMEMBERED", 3 * wanted.nbytes)
    teacher, asked = Teacher(net, remember=True), net.asked
    for _ in range(2):
        for step in range(5):
            assert torch.equal(teacher.outputs(x, 0, step), wanted)
    assert net.asked - asked == 5 + 2
    assert teacher.cache is not None
    assert len(teacher.cache) == 3
