"""What is learnt: folds, prepared networks, optimisers and averages that resume bit for bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hwnas.data import Dataset, load
from hwnas.nets import Network
from hwnas.space import SpaceConfig, build
from hwnas.tasks import DetectionHeadLayout, task_of
from hwnas.tasks.head_layout import layout_of
from hwnas.train import TrainConfig, fit, workload_of
from hwnas.train.detect.objective import PRIOR, DetectionObjective

CONFIG = TrainConfig(epochs=3, batch=32, lr=2e-3, warmup=1.0, optimizer="adamw", ema=0.9)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits", limit=120)


def network(digits: Dataset) -> Network:
    torch.manual_seed(0)
    space = build(SpaceConfig("mobile", digits.imgsz, digits.channels, 10, 0.5, 1))
    return Network(space.smallest(), digits.mean.tolist(), digits.std.tolist())


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_a_training_that_was_cut_off_goes_on_bit_for_bit(digits: Dataset, tmp_path: Path, optimizer: str,
                                                         ema: float) -> None:
    config = replace(CONFIG, optimizer=optimizer, ema=ema)  # type: ignore[arg-type]
    whole, halves = network(digits), network(digits)
    fit(whole, digits, config, seed=3)

    class Cut(Exception):
        pass

    def cut(what: str, done: int, total: int) -> None:
        if done == 6:  # in the second of three epochs
            raise Cut

    with pytest.raises(Cut):
        fit(halves, digits, config, seed=3, checkpoint=tmp_path / "c", progress=cut)
    resumed = network(digits)
    history = fit(resumed, digits, config, seed=3, checkpoint=tmp_path / "c")
    assert len(history.epochs) == 3
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_the_average_is_what_is_kept(digits: Dataset) -> None:
    plain, averaged = network(digits), network(digits)
    fit(plain, digits, replace(CONFIG, ema=0.0), seed=1)
    history = fit(averaged, digits, CONFIG, seed=1)
    differs = [not torch.equal(a, b) for a, b in zip(plain.parameters(), averaged.parameters(), strict=True)]
    assert any(differs)
    assert history.score == workload_of(digits).score(averaged)


@pytest.mark.parametrize("head", ["fcos", "ssdlite"])
def test_a_prepared_detector_finds_nothing_at_first(head: str) -> None:
    torch.manual_seed(0)
    space = build(SpaceConfig("mobile", 64, 3, 5, 0.5, 1, head=head))
    layout = layout_of(space)
    net = Network(space.largest(), [0.5] * 3, [0.25] * 3).eval()
    DetectionObjective(layout).prepare(net)
    with torch.no_grad():
        maps = [m.numpy() for m in net(torch.rand(2, 3, 64, 64))]
    _, scores = layout.decode(maps)
    assert scores.shape == (2, layout.count, 5)
    if head == "fcos":
        assert np.median(scores) == pytest.approx(PRIOR, rel=0.5)
        assert (scores < 0.1).all()


@pytest.mark.parametrize(("head", "task"), [("", "classify"), ("fcos", "detect"), ("deeplab", "segment")])
def test_a_space_says_what_its_networks_do(head: str, task: str) -> None:
    assert task_of(build(SpaceConfig("mobile", 64, 3, 5, head=head))).name == task


@pytest.mark.parametrize("head", ["fcos", "ssdlite"])
def test_layouts_round_trip(head: str) -> None:
    layout = layout_of(build(SpaceConfig("mobile", 96, 3, 5, width=160, head=head)))
    assert DetectionHeadLayout.from_json(layout.to_json()) == layout
    assert layout.size == (96, 160)
