"""The searchers parsec and fpnas: what a step does to logits and weights, by the formulas, and what settings are."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from hwnas.data import Dataset, load
from hwnas.errors import RunError, UsageError
from hwnas.search.config import SearchConfig
from hwnas.search.differentiable.evidence import PARSEC_SAMPLES, Evidence, fpnas, parsec
from hwnas.search.differentiable.settings import settings_table
from hwnas.search.distribution_learning.batch_weights import softmax
from hwnas.search.distribution_learning.learner import entropy
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import SupernetEvaluator, shared_weights
from hwnas.search.schedule import Round
from hwnas.space import Op, Space, SpaceConfig, build
from hwnas.train import TrainConfig, as_task

CONFIG = SearchConfig(warmup=0, epochs_per_evaluation=1.0, evaluations=4, settle=0,
                      train=TrainConfig(batch=32, lr=0.05, label_smoothing=0.0))


@pytest.fixture(scope="module")
def space() -> Space:
    return build(SpaceConfig("mobile", 16, 1, 10, 0.25, 1))


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load("digits").subset(160, 30, seed=0)


def made(space: Space, data: Dataset, make: object = parsec, **changes: object) -> tuple[Evidence, SupernetEvaluator]:
    setting = EvaluatorSetting(space, as_task(data), replace(CONFIG, **changes), seed=1)  # type: ignore[arg-type]
    return make(setting), shared_weights(setting)  # type: ignore[operator]


def steps(count: int, number: int = 0) -> Round:
    return Round(number, True, (0.05,) * count)


def test_settings_of_a_full_grid_have_a_law_each() -> None:
    """The law over 3 x 2 x 2 ops made of 7 logits is the product of three softmaxes."""
    blank = Op("mbconv", 8, 8, 8, 8, kernel=3, act="relu")
    grid = list(itertools.product((3, 5, 7), (3, 6), ("relu", "hswish")))
    table = settings_table([blank.replaced(kernel=k, expand=e, act=a) for k, e, a in grid])
    assert table.shape == (12, 7)
    rows = np.split(np.random.default_rng(0).normal(size=7), [3, 5])
    joint = softmax(table @ np.concatenate(rows))
    product = [math.prod(laws) for laws in itertools.product(*map(softmax, rows))]
    assert np.abs(joint - product).max() < 1e-12


def test_an_op_without_work_has_a_kind_alone() -> None:
    blank = Op("mbconv", 8, 8, 8, 8, kernel=3, act="relu")
    ops = [blank, blank.replaced(kernel=5), blank.replaced(kind="skip", kernel=1, act="none")]
    assert settings_table(ops).tolist() == [[1, 0, 1, 0], [1, 0, 0, 1], [0, 1, 0, 0]]
    assert settings_table([blank, blank]).tolist() == [[1, 0], [0, 1]]  # that no setting tells apart


def test_settings_of_the_widest_space() -> None:
    found = build(SpaceConfig("fbnetv2", 64, depth=1))
    tables = [settings_table(choice.ops) for choice in found.choices]
    assert {table.shape[0] for table in tables} == {24}
    assert {table.shape[1] for table in tables} == {2 + 2 + 3 + 3}  # kind, kernel, expansion, splits
    assert all(len({*map(tuple, table.tolist())}) == len(table) for table in tables)


def test_the_law_over_ops_begins_as_the_law_over_settings_ended(space: Space, data: Dataset) -> None:
    searcher, evaluator = made(space, data, fpnas, architecture_lr=0.3)
    assert searcher.coarse
    searcher.train(evaluator, steps(3), 0.0)
    before = searcher.probabilities()
    assert max(float(np.ptp(row)) for row in before) > 0.01
    searcher.refine()
    assert not searcher.coarse
    for row, after in zip(before, searcher.probabilities(), strict=True):
        assert np.abs(row - after).max() < 1e-12


def test_weights_climb_the_mean_likelihood(space: Space, data: Dataset) -> None:
    """The step is that of SGD on minus the logarithm of the mean of the likelihoods, over a batch's images."""
    (searcher, ours), (_, theirs) = made(space, data), made(space, data)
    drawn = Counter({tuple(0 for _ in space.sizes): 2, tuple(1 for _ in space.sizes): 1})
    batch = next(ours.batches(0, 1))
    for evaluator in (ours, theirs):
        evaluator.supernet.train()
        evaluator.optimizer.param_groups[0].update(momentum=0.0, weight_decay=0.0)
    searcher.weights_step(ours, drawn, batch, 0)
    pixels = theirs.fold.accelerator.pixels(batch[0])
    likelihoods = []
    for choice, times in drawn.items():
        out = theirs.supernet(pixels, space.architecture(choice))
        loss = theirs.fold.loss(out, batch[1], 0.0)
        likelihoods.append(-len(batch[0]) * loss + math.log(times))
    (-torch.logsumexp(torch.stack(likelihoods), 0) / len(batch[0])).backward()
    theirs.fold.accelerator.step(theirs.optimizer, theirs.supernet.parameters(), theirs.config.clip)
    for (name, a), b in zip(ours.supernet.named_parameters(), theirs.supernet.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6), name


def test_logits_move_towards_what_is_likely(space: Space, data: Dataset) -> None:
    """One network is made the likeliest by its weights: its ops alone gain."""
    searcher, evaluator = made(space, data, architecture_lr=0.1)
    good, bad = tuple(0 for _ in space.sizes), tuple(1 for _ in space.sizes)
    likely = {good: -10.0, bad: -11.0}
    evaluator.supernet.train()
    drawn = Counter({good: 1, bad: 1})
    searcher.likelihoods = lambda *a: np.array([likely[c] for c in drawn])  # type: ignore[method-assign]
    searcher.learn(evaluator, drawn, next(evaluator.batches(0, 1)), 0)
    worth = softmax(np.array([-10.0, -11.0]))
    assert worth == pytest.approx([0.731059, 0.268941], abs=1e-6)
    for row in searcher.probabilities():
        assert row[0] > 1 / len(row) > row[2:].max()  # Adam's first step has one length whatever the gradient


def test_costs_above_the_target_push_away(space: Space, data: Dataset) -> None:
    """Equal likelihoods: without a target both that were drawn gain alike; with one the large network loses."""
    large, small = space.largest().choice, space.smallest().choice
    drawn = Counter({large: 1, small: 1})
    for share in (None, 0.5):
        searcher, evaluator = made(space, data, architecture_lr=0.1, cost_target=share)
        searcher.likelihoods = lambda *a: np.zeros(2)  # type: ignore[method-assign]
        searcher.learn(evaluator, drawn, next(evaluator.batches(0, 1)), 0)
        gained = [row[small[i]] > row[large[i]] for i, row in enumerate(searcher.probabilities())
                  if small[i] != large[i]]
        assert all(gained) == (share is not None)


def test_a_law_that_is_sure_asks_less(space: Space, data: Dataset) -> None:
    searcher, evaluator = made(space, data, fpnas, architecture_lr=1.0)
    first = searcher.count
    assert first == math.ceil(entropy([np.full(k, 1 / k) for k in space.sizes]) / 4)
    counts = []
    for number in range(4):
        searcher.train(evaluator, steps(6, number), number / 4)
        counts.append(searcher.count)
    assert counts[-1] <= first
    assert min(counts) >= 2
    assert made(space, data)[0].count == PARSEC_SAMPLES
    assert searcher.samples <= 4 * 6 * first


def test_state_of_another_search_changes_nothing(space: Space, data: Dataset) -> None:
    searcher, evaluator = made(space, data, fpnas)
    searcher.train(evaluator, steps(1), 0.0)
    state = searcher.state_dict()
    again = made(space, data, fpnas)[0]
    again.load_state_dict(state)
    assert again.state_dict() == state
    for broken in ({**state, "coarse": 1}, {**state, "samples": "x"}, {**state, "logits": 3}, {"logits": 3}):
        with pytest.raises(RunError, match="saved logits"):
            again.load_state_dict(broken)
        assert again.state_dict() == state
    with pytest.raises(RunError, match="saved logits"):
        made(space, data)[0].load_state_dict(state)  # a law over settings, for one that has none


def test_widths_are_refused(space: Space, data: Dataset) -> None:
    with pytest.raises(UsageError, match="one width"):
        made(space, data, widths=(0.5,))
