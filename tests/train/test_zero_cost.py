"""Scores of networks that nobody trained, against what they are by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hwnas.nets import Network
from hwnas.space import SpaceConfig, build
from hwnas.train.zero_cost import ZERO_COST, _without_norms


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def net(*choice: int) -> Network:
    space = build(SpaceConfig("nasbench201", 8, 3, 4, 0.5, 1))
    torch.manual_seed(0)
    return Network(space.architecture(choice), [0.5] * 3, [0.25] * 3)


@pytest.mark.parametrize("name", sorted(ZERO_COST))
def test_a_score_is_a_number_that_changes_nothing(name: str, images: Tensor) -> None:
    found = net(3, 3, 3, 3, 3, 3)
    before = {key: value.clone() for key, value in found.state_dict().items()}
    first = ZERO_COST[name](found, images)
    assert math.isfinite(first)
    assert ZERO_COST[name](found, images) == pytest.approx(first)
    assert all(torch.equal(value, before[key]) for key, value in found.state_dict().items())
    assert all(p.grad is None for p in found.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in found.modules())


@pytest.mark.parametrize("name", ["params", "flops", "synflow", "naswot", "zen"])
def test_more_convolutions_score_higher(name: str, images: Tensor) -> None:
    assert ZERO_COST[name](net(3, 3, 3, 3, 3, 3), images) > ZERO_COST[name](net(1, 0, 0, 0, 0, 1), images)


def test_params_and_flops_are_counted(images: Tensor) -> None:
    found = net(2, 1, 0, 3, 4, 1)
    assert ZERO_COST["params"](found, images) == sum(p.numel() for p in found.parameters())
    assert ZERO_COST["flops"](found, images) == sum(op.flops for op in found.arch.live_ops)


def test_synflow_is_every_layers_share_of_one_sum(images: Tensor) -> None:
    """Without biases the sum of w dw of every layer is the answer itself, so the score is layers times the answer; what
    has two ways into it counts for its share."""
    found = net(0, 0, 0, 3, 0, 0)  # one convolution from the input of a cell to its output
    for module in found.modules():
        if getattr(module, "bias", None) is not None:
            torch.nn.init.zeros_(module.bias)
    import copy

    whole = copy.deepcopy(found).double().eval()
    with _without_norms(whole), torch.no_grad():
        for p in whole.parameters():
            p.abs_()
        out = whole(torch.ones(1, 3, 8, 8, dtype=torch.float64) + whole.normalize.mean).sum()
    score = math.exp(ZERO_COST["synflow"](found, images))
    layers = score / float(out)
    assert layers > 1
    assert score == pytest.approx(float(out) * layers)
    # stem, three cells of one convolution, a classifier: every image passes these five; the reductions add their share
    assert 5 <= layers <= 5 + 2 * 2


def test_jacob_cov_by_hand(images: Tensor) -> None:
    found = net(3, 0, 0, 3, 0, 3).train()
    x = images.clone().requires_grad_(True)
    rows = torch.autograd.grad(found(x).sum(), x)[0].flatten(1).double().numpy()
    values = np.linalg.eigvalsh(np.corrcoef(rows)) + 1e-5
    found = net(3, 0, 0, 3, 0, 3)
    assert ZERO_COST["jacob_cov"](found, images) == pytest.approx(float(-(np.log(values) + 1 / values).sum()), rel=1e-3)


def test_a_network_that_tells_nothing_apart_is_the_worst(images: Tensor) -> None:
    same = images[:1].repeat(8, 1, 1, 1)
    assert ZERO_COST["naswot"](net(3, 3, 3, 3, 3, 3), same) == -math.inf
