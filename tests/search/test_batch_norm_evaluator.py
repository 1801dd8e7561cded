"""BN-NAS: what its indicator is, that nothing but norms learns, and that DPNG finds the best sum of all."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from hwnas.data import Dataset, load
from hwnas.errors import UsageError
from hwnas.generate import solve
from hwnas.search.additive import epochs_of, law_of
from hwnas.search.config import SearchConfig
from hwnas.search.evaluators.batch_norm import SCOPES, BatchNormEvaluator, Scope, batch_norms
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.space import Space, SpaceConfig, build
from hwnas.train import TrainConfig, as_task

CONFIG = SearchConfig(evaluator="bn", train=TrainConfig(batch=16, lr=0.1))


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load("digits").subset(80, 30, seed=0)


@pytest.fixture(scope="module", params=["mobile", "nasbench201"])
def space(request: pytest.FixtureRequest) -> Space:
    return build(SpaceConfig(request.param, 16, 1, 10, 0.25, 1))


def made(space: Space, data: Dataset, scope: Scope = "last") -> BatchNormEvaluator:
    return batch_norms(EvaluatorSetting(space, as_task(data), replace(CONFIG, bn_scope=scope), seed=1))


def trained(evaluator: BatchNormEvaluator, steps: int = 10) -> None:
    rng = np.random.default_rng(0)
    paths = iter([evaluator.supernet.space.sample(rng).choice for _ in range(steps)])
    evaluator.train(paths, 0, steps, [0.1] * steps)


def test_the_indicator_is_the_mean_size_of_the_last_scales(space: Space, data: Dataset) -> None:
    evaluator = made(space, data)
    assert all(row.sum() == np.ceil(row).sum() for row in evaluator.additive())  # every norm begins with 1
    last = evaluator._last
    number, op = next(place for place in last if len(last[place].weight) >= 3)
    choice = space.choice_of[number]
    assert choice is not None
    before = evaluator.additive()[choice][op]
    with torch.no_grad():
        last[number, op].weight[:3] = torch.tensor([1.0, -2.0, 3.0])
    count = len(last[number, op].weight)
    after = evaluator.additive()[choice][op]
    assert after - before == pytest.approx(3 / count)  # (1 + 2 + 3) / 3 = 2 over three channels
    with torch.no_grad():
        last[number, op].weight.copy_(last[number, op].weight.flip(0))
    assert evaluator.additive()[choice][op] == pytest.approx(after)


def test_every_op_that_gives_something_has_a_score_and_none_has_not(space: Space, data: Dataset) -> None:
    for row, choice in zip(made(space, data).additive(), space.choices, strict=True):
        assert [value > 0 for value in row] == [not op.cuts for op in choice.ops]


@pytest.mark.parametrize("scope", SCOPES)
def test_nothing_but_norms_learns(space: Space, data: Dataset, scope: Scope) -> None:
    evaluator = made(space, data, scope)
    net = evaluator.supernet
    before = {name: value.clone() for name, value in net.named_parameters()}
    trained(evaluator)
    norms = {f"{name}.{part}" for name, module in net.named_modules() if isinstance(module, _BatchNorm)
             for part in ("weight", "bias")}
    last = {id(p) for norm in evaluator._last.values() for p in norm.parameters()}
    free = {name for name, p in net.named_parameters() if (id(p) in last if scope == "last" else name in norms)}
    changed = {name for name, value in net.named_parameters() if not torch.equal(value, before[name])}
    assert changed
    assert changed <= free


@pytest.mark.parametrize("scope", SCOPES)
def test_a_cell_that_is_cut_is_no_path_to_learn_on(data: Dataset, scope: Scope) -> None:
    cell = build(SpaceConfig("nasbench201", 16, 1, 10, 0.25, 1))
    evaluator = made(cell, data, scope)
    assert np.isfinite(evaluator.train(iter([(0,) * 6, (0, 1, 0, 0, 0, 0), (3,) * 6]), 0, 1, [0.1]))


def test_norms_that_were_added_stay_here(space: Space, data: Dataset) -> None:
    evaluator = made(space, data)
    trained(evaluator)
    smallest = space.architecture([next(k for k, op in enumerate(choice.ops) if not op.cuts)
                                   for choice in space.choices])
    assert not any(".norms." in name for name in evaluator.network(smallest).state_dict())
    assert any(".norms." in name for name in evaluator.supernet.state_dict())


def test_widths_are_refused(space: Space, data: Dataset) -> None:
    with pytest.raises(UsageError, match="one width"):
        batch_norms(EvaluatorSetting(space, as_task(data), replace(CONFIG, widths=(0.5,)), seed=1))


def test_a_tenth_of_the_epochs() -> None:
    assert epochs_of(SearchConfig(warmup=10, epochs_per_evaluation=0.5), 100) == 6
    assert epochs_of(SearchConfig(warmup=1, epochs_per_evaluation=0.5), 2) == 1


def test_effects_are_in_points_and_in_the_order_of_the_table() -> None:
    table = [np.array([0.0, 1.0, 3.0]), np.array([2.0, 1.0])]
    evaluated = [((0, 0), 40.0), ((2, 1), 44.0)]
    law = law_of(table, evaluated)
    sums = [2.0, 4.0]
    assert np.ptp([sum(e[k] for e, k in zip(law.effects, c, strict=True)) for c, _ in evaluated]) == pytest.approx(4.0)
    assert np.ptp(sums) == 2
    for row, effects in zip(table, law.effects, strict=True):
        assert (np.argsort(row) == np.argsort(effects)).all()
    assert [len(row) for row in law_of(table, [((0, 0), 40.0)]).effects] == [3, 2]


def best_of_evolution(table: np.ndarray, costs: np.ndarray, limit: float, rng: np.random.Generator) -> float:
    """The search of the paper: 20 generations of 50, the best 10 mutated (a tenth of the ops) and crossed by halves."""
    layers, ops = table.shape

    def worth(choice: np.ndarray) -> float:
        return float(table[range(layers), choice].sum())

    def fits(choice: np.ndarray) -> bool:
        return float(costs[range(layers), choice].sum()) <= limit

    def drawn() -> np.ndarray:
        while True:
            choice = rng.integers(0, ops, layers)
            if fits(choice):
                return choice

    population = [drawn() for _ in range(50)]
    for _ in range(20):
        top = sorted(population, key=worth, reverse=True)[:10]
        children: list[np.ndarray] = []
        for mutates in [True] * 25 + [False] * 25:
            for _ in range(20):
                child = top[rng.integers(10)].copy()
                fresh = rng.integers(0, ops, layers) if mutates else top[rng.integers(10)]
                child = np.where(rng.random(layers) < (0.1 if mutates else 0.5), fresh, child)
                if fits(child):
                    children.append(child)
                    break
        population = [*top, *children]
    return max(map(worth, population))


@pytest.mark.parametrize("seed", range(20))
def test_dpng_is_never_behind_the_evolution_of_the_paper(seed: int) -> None:
    rng = np.random.default_rng(seed)
    table, costs = rng.random((21, 6)), rng.integers(1, 100, (21, 6))
    limit = int(costs.mean() * 21 * 0.9)
    found = solve(list(table), [list(map(int, row)) for row in costs], limit)
    ours = float(table[range(21), list(found.choice)].sum())
    assert costs[range(21), list(found.choice)].sum() <= limit
    assert ours >= best_of_evolution(table, costs, limit, rng) - 1e-9


def test_dpng_equals_enumeration() -> None:
    rng = np.random.default_rng(0)
    table, costs = rng.random((8, 3)), rng.integers(1, 20, (8, 3))
    limit = int(costs.mean() * 8)
    best = max(float(table[range(8), list(c)].sum()) for c in itertools.product(range(3), repeat=8)
               if costs[range(8), list(c)].sum() <= limit)
    found = solve(list(table), [list(map(int, row)) for row in costs], limit)
    assert float(table[range(8), list(found.choice)].sum()) == pytest.approx(best, abs=1e-12)
