"""Training by a recipe: mixed targets, blocks left out, batches in parts, an early end; killed and resumed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from hwnas.data import Dataset
from hwnas.data.recipe import Recipe
from hwnas.errors import UsageError
from hwnas.nets import Network
from hwnas.nets.block import Block, dropped_paths
from hwnas.space import SpaceConfig, build
from hwnas.tasks import find
from hwnas.tasks.classify import Classify
from hwnas.train import EpochLog, History, Teacher, TrainConfig, Workload, fit
from hwnas.train.loop import train_step
from hwnas.train.parts import parts_of

MIXED = Recipe.model_validate({"name": "mine", "policy": {"shift": 2, "cutout": 4}, "sampler": "balanced",
                               "transforms": [{"random_resized_crop": {"scale": [0.6, 1.0]}}, {"trivial_augment": {}}],
                               "mixing": {"mixup": 0.4, "cutmix": 1.0, "share": 0.7}})
CONFIG = TrainConfig(epochs=3, batch=32, lr=0.05, ema=0.9, drop_path=0.3)


class Killed(Exception):
    """Stands for a signal in the middle of the work."""


def network(data: Dataset, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    space = build(SpaceConfig("mobile", 16, data.channels, len(data.classes), 0.25, 2))
    net = Network(space.architecture((0,) * len(space.sizes)), data.mean.tolist(), data.std.tolist())
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def workload(data: Dataset, recipe: Recipe = MIXED) -> Workload:
    return Workload(find("classify"), data, recipe=recipe)


def digest(net: nn.Module) -> str:
    state = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        state.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return state.hexdigest()


def test_it_learns_from_mixed_images(digits: Dataset) -> None:
    net = network(digits)
    history = fit(net, workload(digits), TrainConfig(epochs=12, batch=32, lr=0.1, drop_path=0.1), seed=0)
    assert history.score > 20  # guessing gives 10; few steps, strongly changed images
    assert not any(block.drop for block in net.modules() if isinstance(block, Block))


@pytest.mark.parametrize("finished", [0, 1, 2])
def test_killed_and_resumed_is_as_if_nothing_happened(digits: Dataset, tmp_path: Path, finished: int) -> None:
    whole, net = network(digits), network(digits)
    fit(whole, workload(digits), CONFIG, seed=3)
    path = tmp_path / "x.checkpoint"

    def kill(what: str, done: int, total: int) -> None:
        if done > finished * total // 3 + 1:
            raise Killed

    with pytest.raises(Killed):
        fit(net, workload(digits), CONFIG, seed=3, checkpoint=path, progress=kill)
    again = network(digits, seed=9)
    if not path.exists():  # nothing was kept: the weights that it began with are those of the seed
        again = network(digits)
    fit(again, workload(digits), CONFIG, seed=3, checkpoint=path)
    assert digest(again) == digest(whole)


def test_a_teacher_sees_the_mixed_pixels(digits: Dataset) -> None:
    seen: list[Tensor] = []

    class Watched(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.clone())
            found: Tensor = self.inner(x)
            return found

    net, teacher = Watched(network(digits)), Teacher(Watched(network(digits, 1)))
    work = workload(digits)
    images, targets = next(iter(work.epoch(8, np.random.default_rng(0))))
    assert targets.dtype == np.float32
    net.train()
    train_step(net, torch.optim.SGD(net.parameters(), 0.1), images, targets, work, TrainConfig(), teacher)
    assert torch.equal(seen[0], seen[1])


def test_targets_between_classes_cost_what_their_classes_do(digits: Dataset) -> None:
    """Cross entropy is linear in the target."""
    work, out = workload(digits), torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    first, second = np.arange(6), np.arange(6)[::-1].copy()
    soft = (0.3 * np.eye(10)[first] + 0.7 * np.eye(10)[second]).astype(np.float32)
    both = 0.3 * work.loss(out, first, 0.1) + 0.7 * work.loss(out, second, 0.1)
    torch.testing.assert_close(work.loss(out, soft, 0.1), both)


class Plain(nn.Module):
    """A network without batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 8, 3, stride=4), nn.Linear(128, 10)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.last(functional.relu(self.first(x)).flatten(1))
        return found


@pytest.mark.parametrize("parts", [2, 3, 5])
@pytest.mark.parametrize("taught", [False, True])
def test_a_batch_in_parts_is_the_whole_batch_without_batch_norm(digits: Dataset, parts: int, taught: bool) -> None:
    nets = []
    for count in (1, parts):
        torch.manual_seed(0)
        net, teacher = Plain(), Teacher(Plain(), remember=True) if taught else None
        fit(net, workload(digits), TrainConfig(epochs=2, batch=32, lr=0.05, accumulate=count), seed=1, teacher=teacher)
        nets.append(net)
    for one, two in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


@given(st.integers(1, 40), st.integers(1, 12))
def test_parts_are_the_batch(count: int, parts: int) -> None:
    images = np.arange(count)[:, None, None, None]
    targets = [list(np.arange(count)[:, None]), [np.array([i]) for i in range(count)]]
    found = [*parts_of(images, targets, parts)]
    np.testing.assert_array_equal(np.concatenate([some for some, _ in found]), images)
    assert [int(i[0]) for _, (first, _) in found for i in first] == list(range(count))
    assert all(len(some) == len(first) == len(second) for some, (first, second) in found)
    assert len(found) <= parts
    assert count < 2 or min(len(some) for some, _ in found) >= 2
    masks = np.zeros((count, 4, 4))
    assert sum(len(truth) for _, truth in parts_of(images, masks, parts)) == count


def test_parts_that_cannot_be() -> None:
    with pytest.raises(UsageError, match="in 1 part or more, not in 0"):
        next(parts_of(np.zeros((4, 1, 1, 1)), np.zeros(4), 0))
    with pytest.raises(UsageError, match="take --accumulate 1"):
        next(parts_of(np.zeros((4, 1, 1, 1)), {"a": 1}, 2))


def epochs(*scores: float) -> History:
    return History([EpochLog(i, 1.0, score, 0.0) for i, score in enumerate(scores)])


def test_when_training_has_stalled() -> None:
    assert not epochs(1, 2, 3).stalled(0)
    assert not epochs(1, 2, 3).stalled(2)
    assert not epochs(5, 4).stalled(2)  # the first alone is no better score than those before
    assert epochs(5, 4, 5).stalled(2)
    assert not epochs(5, 4, 6).stalled(2)


def test_training_ends_early_and_stays_ended(digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([10.0, 30.0, 20.0, 30.0, 99.0])
    asked: list[bool] = []

    def score(self: Workload, net: nn.Module, *, quick: bool = False) -> float:
        asked.append(quick)
        return next(scores)

    monkeypatch.setattr(Workload, "score", score)
    config, path = TrainConfig(epochs=9, batch=64, lr=0.01, patience=2), tmp_path / "x.checkpoint"
    net = network(digits)
    history = fit(net, workload(digits), config, seed=0, checkpoint=path)
    assert [epoch.val_score for epoch in history.epochs] == [10.0, 30.0, 20.0, 30.0]
    assert asked == [False] * 4
    before = digest(net)
    again = fit(net, workload(digits), config, seed=0, checkpoint=path)
    assert (len(again.epochs), digest(net)) == (4, before)
    assert len(fit(net, workload(digits), replace(config, patience=0, epochs=5), seed=0, checkpoint=path).epochs) == 5


def test_blocks_are_left_out_of_some_images_in_training_alone(digits: Dataset) -> None:
    net = network(digits)
    block = next(module for module in net.modules() if isinstance(module, Block) and module.residual)
    first = next(module for module in block.modules() if isinstance(module, nn.Conv2d))
    x = torch.randn(400, first.in_channels, 4, 4)
    block.eval()  # so that images do not depend on each other
    whole = block.steps(x)
    with dropped_paths(net, 0.4):
        rates = [module.drop for module in net.modules() if isinstance(module, Block) and module.residual]
        assert rates == pytest.approx([0.4 * (i + 1) / len(rates) for i in range(len(rates))])
        block.drop = 0.25
        torch.testing.assert_close(block(x), whole + x)
        block.training = True
        out = block(x)
    left = (out == x).flatten(1).all(1)
    assert 60 < left.sum() < 140
    torch.testing.assert_close(out[~left], (whole / 0.75 + x)[~left])
    assert block.drop == 0


def test_a_task_whose_epoch_takes_no_recipe_is_trained_as_small_says(digits: Dataset) -> None:
    class Older(Classify):
        name = "older"

        def epoch(self, data: Any, batch: int, rng: np.random.Generator) -> Iterator[Any]:  # type: ignore[override]
            return super().epoch(data, batch, rng)

    with pytest.raises(UsageError, match="recipe 'mine' changes images, and the `epoch` of task 'older'"):
        Workload(Older(), digits, recipe=MIXED)
    plain = Recipe.model_validate({"training": {"ema": 0.9}})
    assert len([*Workload(Classify(), digits, recipe=plain).epoch(32, np.random.default_rng(0))]) == 5
