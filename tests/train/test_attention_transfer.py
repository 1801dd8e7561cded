"""Attention of maps, and a student that is taught by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from hwnas.data.detection.parts import Frame
from hwnas.data.segmentation import SegmentationData, SegmentationPart
from hwnas.nets import Network
from hwnas.space import Space, SpaceConfig, Variant, build, scaled
from hwnas.train import Teacher, TrainConfig, fit
from hwnas.train.attention_transfer import attention, attention_distance

MEAN, STD = [0.5] * 3, [0.25] * 3


def maps(seed: int, channels: int = 6) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, channels, side, side, generator=generator) for side in (8, 4)]


def test_attention_is_where_not_what() -> None:
    """Scaling a map, swapping its channels or doubling them changes nothing; its length is 1."""
    found = attention(maps(0))
    for a, (x, side) in zip(found, zip(maps(0), (8, 4), strict=True), strict=True):
        assert a.shape == (3, side * side)
        torch.testing.assert_close(a.norm(dim=1), torch.ones(3))
        torch.testing.assert_close(a, attention([torch.cat([x.flip(1), x], 1) * 7])[0])


def test_the_distance_is_a_distance() -> None:
    one, other = attention(maps(0)), attention(maps(1, channels=2))
    assert float(attention_distance(one, one)) == 0
    assert 0 < float(attention_distance(one, other)) <= 2
    torch.testing.assert_close(attention_distance(one, other), attention_distance(other, one))


def test_the_student_learns_and_the_teacher_does_not() -> None:
    student, taught = ([x.requires_grad_() for x in maps(seed)] for seed in (0, 1))
    attention_distance(attention(student), attention(taught)).backward()  # type: ignore[no-untyped-call]
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in student)
    assert all(x.grad is None for x in taught)


@pytest.fixture
def space() -> Space:
    return build(SpaceConfig("mobile", 64, 3, 2, depth=1, head="lraspp", head_width=16))


def striped() -> SegmentationData:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (16, 64, 64, 3), dtype=np.uint8)
    masks = (images[..., 0] > 127).astype(np.uint8)
    part = SegmentationPart(images, masks, tuple(Frame(str(i), None, 64, 64) for i in range(len(images))))
    palette = np.array([[0, 0, 0], [255, 0, 0]], np.uint8)
    return SegmentationData("stripes", part, part, ("dark", "light"), palette, (64, 64), "made here")


def trained(space: Space, features: float) -> tuple[Network, Network]:
    torch.manual_seed(0)
    teacher = Network(space.largest(), MEAN, STD)
    student = Network(scaled(space, Variant(0.5)).largest(), MEAN, STD)
    config = TrainConfig(epochs=1, batch=8, lr=0.01)
    fit(student, striped(), config, seed=0, teacher=Teacher(teacher, features=features))
    return student, teacher


def test_a_thinner_student_is_taught_by_attention(space: Space) -> None:
    plain, taught = trained(space, 0.0)[0], trained(space, 5.0)[0]
    assert any(not torch.equal(a, b) for a, b in zip(plain.parameters(), taught.parameters(), strict=True))
    assert all(torch.isfinite(p).all() for p in taught.parameters())


class Foreign(nn.Module):
    """Maps of the sizes that the student's head reads, in a network that is none of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.classes = nn.Conv2d(3, 5, 3, 8, 1), nn.Conv2d(5, 2, 1)
        self.watched, self.kept = False, list[torch.Tensor]()

    def watch_taps(self) -> None:
        self.watched = True

    def unwatch(self) -> None:
        self.watched = False

    def taken_maps(self) -> list[torch.Tensor]:
        found, self.kept = self.kept, []
        return found

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        assert self.watched
        fine = self.conv(x)
        self.kept = [fine, fine[..., ::2, ::2]]
        return torch.nn.functional.interpolate(self.classes(fine), x.shape[2:])


def test_any_network_that_keeps_maps_teaches_by_them(space: Space) -> None:
    """A step moves the student towards where the foreign network looks."""
    torch.manual_seed(0)
    teacher, student = Teacher(Foreign(), features=1.0), Network(space.largest(), MEAN, STD)
    images = torch.rand(4, 3, 64, 64)
    with teacher.capture_features(student):
        before = _gap(teacher, student, images)
        before.backward()  # type: ignore[no-untyped-call]
        with torch.no_grad():
            for p in student.parameters():
                if p.grad is not None:
                    p -= 0.1 * p.grad
        assert _gap(teacher, student, images).item() < before.item()
    assert not teacher.net.watched
    assert not student.watched


def _gap(teacher: Teacher, student: Network, images: torch.Tensor) -> torch.Tensor:
    student.eval()(images)
    teacher.outputs(images, 0, 0)
    found = teacher.feature_loss(student)
    assert found is not None
    return found


def test_nobody_watches_afterwards(space: Space) -> None:
    for net in trained(space, 5.0):
        assert not net.watched
        assert not net.maps


def test_the_maps_are_those_that_the_head_reads(space: Space) -> None:
    net = Network(space.largest(), MEAN, STD)
    net.watch_taps()
    net(torch.rand(2, 3, 64, 64))
    assert [tuple(x.shape[2:]) for x in net.taken_maps()] == [(8, 8), (4, 4)]
    assert net.taken_maps() == []
    classifier = Network(build(SpaceConfig("mobile", 32, 3, 10, depth=1)).largest(), MEAN, STD)
    classifier.watch_taps()
    assert not classifier.watched
