"""Supernets whose choices see a part of the channels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hwnas.data import load
from hwnas.errors import UsageError
from hwnas.nets import Mixture, Supernet
from hwnas.nets.partial import SHARE, PartialSupernet
from hwnas.search.config import SearchConfig
from hwnas.search.differentiable.normalised import EdgeNormalised
from hwnas.search.evaluators.partial import partial_channels
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.space import SpaceConfig, build
from hwnas.train import TrainConfig, as_task

SPACE = build(SpaceConfig("darts", 16, 1, 10, depth=3))
NONE, SKIP = 0, 3


def supernet() -> PartialSupernet:
    torch.manual_seed(0)
    return PartialSupernet(SPACE, [0.5], [0.25]).eval()


def test_what_passes_a_choice_is_all_there_but_shuffled() -> None:
    net, x = supernet(), torch.randn(2, 16, 16, 16)
    number = SPACE.choice_of.index(0)
    op = SPACE.positions[number].ops[SKIP]
    out = net._run((0,) * number + (SKIP,), number, op, x)
    wanted = torch.nn.functional.channel_shuffle(x, SHARE)
    assert torch.equal(out, wanted)
    empty = net._run_mixture(Mixture([{NONE: 1.0}] * len(SPACE.positions)), number, op, x)
    assert int((empty == 0).all(dim=0).all(dim=1).all(dim=1).sum()) == 16 // SHARE


def test_maps_are_halved_where_the_op_halves_them() -> None:
    net = supernet()
    number = next(i for i, p in enumerate(SPACE.positions) if p.is_choice and p.ops[-1].stride == 2)
    op, x = SPACE.positions[number].ops[-1], torch.randn(2, 32, 16, 16)
    assert net._run((7,) * (number + 1), number, op, x[:, : op.in_channels]).shape == (2, *op.out_shape)


def test_it_has_fewer_weights_and_gives_the_same_shape() -> None:
    net, whole = supernet(), Supernet(SPACE, [0.5], [0.25])
    assert net.partial == {i for i, p in enumerate(SPACE.positions) if p.is_choice}
    count, full = (sum(p.numel() for p in n.parameters()) for n in (net, whole))
    assert count < 0.5 * full
    rows = [torch.zeros(len(row), requires_grad=True, dtype=torch.float64)
            for row in EdgeNormalised(SPACE).begin(SPACE.sizes)]
    weights = EdgeNormalised(SPACE).weights(rows, None, 0.0)  # type: ignore[arg-type]
    out = net(torch.rand(2, 1, 16, 16), Mixture.of_choices(SPACE, weights))
    assert isinstance(out, torch.Tensor)
    assert out.shape == (2, 10)
    grads = torch.autograd.grad(out.square().sum(), rows)
    assert all(float(g.abs().max()) > 0 for g in grads)


def test_weights_of_a_node_sum_to_one() -> None:
    relaxation = EdgeNormalised(SPACE)
    rows = [torch.randn(len(row), dtype=torch.float64) for row in relaxation.begin(SPACE.sizes)]
    weights = relaxation.weights(rows, None, 0.0)  # type: ignore[arg-type]
    ends = [SPACE.edges[SPACE.choice_of.index(i)].target for i in range(28)]
    for node in set(ends):
        total = sum(float(w) for i, end in enumerate(ends) if end == node for w in weights[i].values())
        assert total == pytest.approx(1.0, abs=1e-5)
    derived = relaxation.derived([row.numpy() for row in rows])
    for node in set(ends):
        assert sum(derived[i] != NONE for i, end in enumerate(ends) if end == node) == 2


def test_a_chain_is_refused_and_networks_begin_anew() -> None:
    data = load("digits").subset(80, 30, seed=0)
    config = SearchConfig(evaluator="partial", train=TrainConfig(batch=32))
    chain = EvaluatorSetting(build(SpaceConfig("mobile", 16, 1, 10, depth=1)), as_task(data), config, seed=1)
    with pytest.raises(UsageError, match="take the evaluator shared"):
        partial_channels(chain)
    setting = replace(chain, space=build(SpaceConfig("nasbench201", 16, 1, 10, depth=1)))
    evaluator = partial_channels(setting)
    first, again = (evaluator.network(setting.space.largest()).state_dict() for _ in range(2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert evaluator.score(setting.space.largest().choice) == evaluator.score(setting.space.largest().choice)
    with pytest.raises(UsageError, match="leave out widths"):
        partial_channels(replace(setting, config=replace(config, widths=(0.5,))))
