"""A mixture over the candidates: one-hot it is a path, its gradients are those of finite differences, dead is dead."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hwnas.nets import Mixture, Supernet
from hwnas.space import Op, Position, Space, SpaceConfig, build

Scramble = Callable[[nn.Module], None]
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]


def joined() -> Space:
    """Two positions beside each other in a concatenation, one of which may be nothing, and a choice behind them."""
    beside = {"reads": "stem", "writes": "join", "merge": "concat"}
    return Space(SpaceConfig("joined", 16, 3, 5), (
        Position("stem", (Op("conv", 3, 8, 16, 16, kernel=3, stride=2, act="relu"),)),
        Position("left", (Op("conv", 8, 8, 8, 8, act="relu"), Op("none", 8, 8, 8, 8)), **beside),  # type: ignore[arg-type]
        Position("right", (Op("conv", 8, 8, 8, 8, act="relu"), Op("identity", 8, 8, 8, 8)), **beside),  # type: ignore[arg-type]
        Position("mix", (Op("conv", 16, 8, 8, 8, act="relu"), Op("conv", 16, 8, 8, 8, kernel=3, act="relu"))),
        Position("head", (Op("head", 8, 5, 8, 8, act="relu", hidden=(12,)),)),
    ))


SPACES = {
    "mobile": build(SpaceConfig("mobile", 16, 3, 5, 0.25, 2)),
    "nasbench201": build(SpaceConfig("nasbench201", 16, 3, 5, 0.25, 1)),
    "joined": joined(),
}


@pytest.mark.parametrize("name", SPACES)
def test_a_one_hot_mixture_is_the_path(name: str, scramble: Scramble) -> None:
    """In cells too, where an edge that gives nothing leaves out what only fed it."""
    space, rng, x = SPACES[name], np.random.default_rng(0), torch.rand(3, 3, 16, 16)
    supernet = Supernet(space, MEAN, STD)
    scramble(supernet)
    for _ in range(8):
        arch = space.sample(rng)
        weights = [{op: 1.0 if i % 2 else torch.tensor(1.0)} for i, op in enumerate(arch.choice)]
        mixture = Mixture.of_choices(space, weights)
        with torch.no_grad():
            torch.testing.assert_close(supernet.eval()(x, mixture), supernet(x, arch), rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(supernet.subnet(mixture)(x), supernet(x, mixture))


@pytest.mark.parametrize("name", SPACES)
def test_gradients_to_the_weights_are_those_of_finite_differences(name: str, scramble: Scramble) -> None:
    space, x = SPACES[name], torch.rand(3, 3, 16, 16, dtype=torch.float64)
    supernet = Supernet(space, MEAN, STD)
    scramble(supernet)
    supernet.double().eval()
    torch.manual_seed(1)
    rows = [torch.randn(k, dtype=torch.float64, requires_grad=True) for k in space.sizes]

    def loss() -> Tensor:
        mixture = Mixture.of_choices(space, [dict(enumerate(torch.softmax(row, 0).unbind())) for row in rows])
        out = supernet(x, mixture)
        assert isinstance(out, Tensor)
        return out.square().mean()

    grads = torch.autograd.grad(loss(), rows)
    for i, k in ((0, 0), (len(rows) // 2, 1), (len(rows) - 1, space.sizes[-1] - 1)):
        with torch.no_grad():
            values = []
            for change in (1e-5, -2e-5):
                rows[i][k] += change
                values.append(float(loss()))
            rows[i][k] += 1e-5
        assert float(grads[i][k]) == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-4, abs=1e-10)


def test_what_reaches_no_output_neither_runs_nor_learns() -> None:
    space = SPACES["nasbench201"]
    supernet = Supernet(space, MEAN, STD).train()
    arch = space.architecture([3, 0, 3, 3, 0, 0])  # 1<-0 and 2<-1 lead nowhere
    rows = [torch.zeros(k, requires_grad=True) for k in space.sizes]
    weights = [{op: torch.softmax(row, 0)[op]} for op, row in zip(arch.choice, rows, strict=True)]
    out = supernet(torch.rand(4, 3, 16, 16), Mixture.of_choices(space, weights))
    assert isinstance(out, Tensor)
    out.square().sum().backward()
    moved = {p.tie for p, c in zip(space.positions, supernet.candidates, strict=True)
             if p.tie and any(w.grad is not None for w in c.parameters())}
    assert moved == {choice.tie or choice.name for choice, op, row in zip(space.choices, arch.choice, rows, strict=True)
                     if row.grad is not None and choice.ops[op].params}
    assert not {"op_1_0", "op_2_1"} & moved


def test_positions_of_one_choice_may_run_differently() -> None:
    """Weights stand per position: one cell as a mixture, the others as the network that was derived."""
    space = build(SpaceConfig("nasbench201", 16, 3, 5, 0.25, 2))
    supernet = Supernet(space, MEAN, STD).eval()
    torch.manual_seed(0)
    x, derived = torch.rand(2, 3, 16, 16), space.architecture([3] * len(space.sizes))
    rows = [torch.randn(k) for k in space.sizes]
    tied = [p.tie for p in space.positions]
    first = {tie: tied.index(tie) for tie in tied if tie}
    weights = [{0: 1.0} if choice is None else
               dict(enumerate(torch.softmax(rows[choice], 0).unbind())) if first[position.tie] == i else
               {derived.choice[choice]: 1.0}
               for i, (position, choice) in enumerate(zip(space.positions, space.choice_of, strict=True))]
    with torch.no_grad():
        mixed, network = supernet(x, Mixture(weights)), supernet(x, derived)
        one_hot = [{0: 1.0} if c is None else {derived.choice[c]: 1.0} for c in space.choice_of]
        torch.testing.assert_close(supernet(x, Mixture(one_hot)), network, rtol=1e-5, atol=1e-5)
    assert isinstance(mixed, Tensor)
    assert isinstance(network, Tensor)
    assert not torch.allclose(mixed, network)


def test_a_position_without_weights_gives_nothing() -> None:
    space = SPACES["joined"]
    supernet, x = Supernet(space, MEAN, STD).eval(), torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        left_out = supernet(x, Mixture([{0: 1.0}, {}, {0: 1.0}, {1: 1.0}, {0: 1.0}]))
        torch.testing.assert_close(left_out, supernet(x, space.architecture([1, 0, 1])), rtol=1e-5, atol=1e-6)
