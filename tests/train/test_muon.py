"""Orthogonal steps: what they are, which weights take them, and that they go on as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hwnas.data import Dataset
from hwnas.nets import Network
from hwnas.space import SpaceConfig, build
from hwnas.train import TrainConfig, fit
from hwnas.train.loop import optimizer_of
from hwnas.train.muon import RATE, Muon, is_orthogonal, orthogonal

CONFIG = TrainConfig(epochs=3, batch=32, lr=0.05, optimizer="muon")


class Killed(Exception):
    """Stands for a signal in the middle of the work."""


def network(data: Dataset, seed: int = 0) -> Network:
    torch.manual_seed(seed)
    net = Network(build(SpaceConfig("mobile", 16, data.channels, len(data.classes), 0.25, 1)).largest(),
                  data.mean.tolist(), data.std.tolist())
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99))
def test_a_step_is_next_to_orthogonal(rows: int, columns: int, seed: int) -> None:
    """It has the singular vectors of the matrix, and singular values about 1 where those of the matrix are not tiny."""
    matrix = torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    found = left.T @ orthogonal(matrix) @ right.T
    torch.testing.assert_close(found, torch.diag(found.diagonal()), atol=1e-6, rtol=0)
    large = values > 0.05 * values.norm()
    assert ((found.diagonal()[large] > 0.6) & (found.diagonal()[large] < 1.3)).all()


def test_one_step_by_hand() -> None:
    torch.manual_seed(0)
    conv, plain = nn.Conv2d(3, 4, 3), nn.Linear(2, 2)
    before, biases = conv.weight.clone(), plain.weight.clone()
    optimizer = Muon([{"params": [conv.weight], "orthogonal": True}, {"params": plain.parameters()}], 0.1, 0.9)
    gradient = torch.randn_like(conv.weight)
    conv.weight.grad, plain.weight.grad = gradient.clone(), torch.ones(2, 2)
    optimizer.step()
    turned = orthogonal(1.9 * gradient.flatten(1)).reshape_as(before)
    torch.testing.assert_close(conv.weight, before - 0.1 * RATE * turned)
    torch.testing.assert_close(plain.weight, biases - 0.1 * 1.9 * torch.ones(2, 2))
    moved = conv.weight.clone()
    optimizer.step()  # no gradient is left
    assert torch.equal(conv.weight, moved)


def test_convolutions_over_several_channels_take_orthogonal_steps(digits: Dataset) -> None:
    net = network(digits)
    turned, decayed, plain = optimizer_of(net, CONFIG).param_groups
    names = {id(p): name for name, p in net.named_parameters()}
    assert all(p.ndim == 4 and p.shape[1] > 1 for p in turned["params"])
    assert {p.ndim for p in decayed["params"]} == {2, 4}  # classes, depthwise and what sees one grey channel
    assert all(p.ndim == 1 for p in plain["params"])
    assert (turned["weight_decay"], decayed["weight_decay"], plain["weight_decay"]) == (0, 5e-4, 0)
    assert len({id(p) for g in (turned, decayed, plain) for p in g["params"]}) == len(names)
    assert not is_orthogonal(nn.Parameter(torch.zeros(8, 1, 3, 3)))


def test_it_learns(digits: Dataset) -> None:
    history = fit(network(digits), digits, TrainConfig(epochs=8, batch=32, lr=0.1, optimizer="muon"), seed=0)
    assert history.score > 60  # guessing gives 10


def test_killed_and_resumed_is_as_if_nothing_happened(digits: Dataset, tmp_path: Path) -> None:
    whole, net, again = network(digits), network(digits), network(digits, seed=5)
    fit(whole, digits, CONFIG, seed=3)

    def kill(what: str, done: int, total: int) -> None:
        if done > total // 2:
            raise Killed

    with pytest.raises(Killed):
        fit(net, digits, CONFIG, seed=3, checkpoint=tmp_path / "x.checkpoint", progress=kill)
    fit(again, digits, CONFIG, seed=3, checkpoint=tmp_path / "x.checkpoint")
    for one, two in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, two)
