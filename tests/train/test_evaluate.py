"""Evaluation in eval mode, in pieces, without a trace on the network."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hwnas.train import accuracy, logits
from hwnas.train.evaluate import EVAL_BATCH


class Brightness(nn.Module):
    """Class 1 if the image is brighter than a half; batch norm would show any use of batch statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.batches: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        bright = self.norm(x).mean((1, 2, 3)) - 0.5
        return torch.stack([-bright, bright], 1)


def images(count: int) -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 256, (count, 1, 1, 1), dtype=np.uint8)
    return np.broadcast_to(values, (count, 4, 4, 3)).copy()


def test_accuracy_by_hand() -> None:
    pixels = images(200)
    truth = (pixels[:, 0, 0, 0] > 127).astype(np.int64)
    assert accuracy(Brightness(), pixels, truth) == 100
    truth[:50] = 1 - truth[:50]
    assert accuracy(Brightness(), pixels, truth) == pytest.approx(75)


@pytest.mark.parametrize("count", [1, EVAL_BATCH, EVAL_BATCH + 1, 2 * EVAL_BATCH + 7])
def test_logits_come_in_pieces_and_in_order(count: int) -> None:
    net = Brightness()
    pixels = images(count)
    out = logits(net, pixels)
    assert max(net.batches) <= EVAL_BATCH
    assert sum(net.batches) == count
    expected = pixels[:, 0, 0, 0].astype(np.float64) / 255 - 0.5
    np.testing.assert_allclose(out[:, 1].numpy(), expected, atol=1e-4)


def test_evaluation_uses_running_statistics_and_leaves_them() -> None:
    net = Brightness().train()
    before = copy.deepcopy(net.state_dict())
    accuracy(net, images(20), np.zeros(20, np.int64))
    assert not net.training
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
