"""Reducers that shrink a space before it is searched: one contract for all of them, and what angles take away."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hwnas.data import Dataset, load
from hwnas.errors import RunError, UsageError
from hwnas.search import resumable
from hwnas.search.angles import Angles
from hwnas.search.config import SearchConfig
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import shared_weights
from hwnas.search.log import SearchLog
from hwnas.search.reducers.angle import AngleShrinking
from hwnas.search.reducers.classes import TAU, ClassShrinking, easiest, thresholded
from hwnas.search.roles import REDUCERS, StagedReducer, create_reducer
from hwnas.search.shrinking import FILE
from hwnas.space import Space, SpaceConfig, build
from hwnas.train import TrainConfig, as_task
from hwnas.train.checkpoint import load_tensors

STAGED = sorted(name for name in REDUCERS.table if isinstance(create_reducer(name, 3), StagedReducer))
CHAIN = build(SpaceConfig("mobile", 16, 1, 10, 0.25, 1))
SWITCHES = build(SpaceConfig("nse", 16, 1, 10, 0.25, 1))
TINY = SearchConfig(warmup=1, epochs_per_evaluation=0.5, cycles=1, keep=3, settle=4,
                    train=TrainConfig(batch=32, lr=0.05))


class Killed(Exception):
    """Stands for a signal in the middle of the work."""


@pytest.fixture
def name() -> str:
    """Of a reducer, where a test is not of one alone."""
    return "angle"


@pytest.fixture
def space(name: str) -> Space:
    return SWITCHES if name == "evolve" else CHAIN


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load("digits").subset(80, 30, seed=0)


def searched(name: str, space: Space, data: Dataset, folder: Path, killed_at: int | None = None,
             **more: Any) -> resumable.SearchResult:
    def killer(what: str, done: int, total: int) -> None:
        if (what, done) == ("shrink", killed_at):
            raise Killed

    folder.mkdir(exist_ok=True)
    return resumable.run(space, data, replace(TINY, reduce=name), folder=folder, seed=1, progress=killer, **more)


@pytest.mark.parametrize("name", STAGED)
class TestStaged:
    """What every reducer must do that shrinks before a search."""

    def test_masks_only_shrink_and_keep_what_is_protected(self, name: str, space: Space, data: Dataset,
                                                          tmp_path: Path) -> None:
        protect = [0] * len(space.sizes) if name == "evolve" else [1, 4, 0]
        found = searched(name, space, data, tmp_path, protect=protect)
        shrunk = [np.array(row) for row in load_tensors(tmp_path / FILE)[1]["live"]]
        for i, (row, live) in enumerate(zip(shrunk, found.distribution.live, strict=True)):
            assert row[protect[i]]
            assert not (live & ~row).any()
        if name in ("angle", "evolve"):  # classes may find nothing to take away on so few images
            assert sum(int(row.sum()) for row in shrunk) < sum(space.sizes)
        for entry in SearchLog(tmp_path / "search.jsonl").entries:
            assert all(row[k] for row, k in zip(shrunk, entry.choice, strict=True))

    def test_killed_and_gone_on_with_is_the_undisturbed_one(self, name: str, space: Space, data: Dataset,
                                                            tmp_path: Path) -> None:
        whole = searched(name, space, data, tmp_path / "whole")
        for when in (1, 2, 3 if name == "evolve" else 4):
            with pytest.raises(Killed):
                searched(name, space, data, tmp_path / "cut", killed_at=when)
        cut = searched(name, space, data, tmp_path / "cut")
        assert cut.distribution.to_json() == whole.distribution.to_json()
        for file in (FILE, "search.safetensors"):
            ours, state = load_tensors(tmp_path / "cut" / file)
            theirs, expected = load_tensors(tmp_path / "whole" / file)
            assert state == expected
            assert [k for k in theirs if not torch.equal(ours[k], theirs[k])] == []

    def test_what_is_of_another_search_or_broken_is_refused(self, name: str, space: Space, data: Dataset,
                                                            tmp_path: Path) -> None:
        with pytest.raises(Killed):
            searched(name, space, data, tmp_path, killed_at=2)
        with pytest.raises(RunError, match="another search"):
            resumable.run(space, data, replace(TINY, reduce=name, ridge=3.0), folder=tmp_path, seed=1)
        (tmp_path / FILE).write_bytes(b"x" * 40)
        with pytest.raises(RunError):
            searched(name, space, data, tmp_path)

    def test_it_needs_shared_weights_and_a_strategy(self, name: str, space: Space, data: Dataset,
                                                    tmp_path: Path) -> None:
        for roles in ({"evaluator": "scratch"}, {"evaluator": "bn"}, {"searcher": "proxylessnas"}):
            with pytest.raises(UsageError, match=r"shared|asks no strategy"):
                resumable.run(space, data, replace(TINY, reduce=name, **roles), folder=tmp_path, seed=1)


@pytest.mark.parametrize("protect", [None, [6, 0, 3]])
def test_the_ops_of_the_least_mean_angle_go(space: Space, data: Dataset, protect: list[int] | None) -> None:
    """Against the mean over all 343 architectures."""
    evaluator = shared_weights(EvaluatorSetting(space, as_task(data), TINY, 1))
    reducer = AngleShrinking(1, protect)
    reducer.begin(evaluator)
    torch.manual_seed(0)
    with torch.no_grad():
        for number, p in enumerate(evaluator.supernet.parameters()):
            p.add_(torch.randn_like(p) * (number % 5) * 0.02)
    angles = Angles.between(reducer._base, evaluator.supernet)
    every = list(itertools.product(*map(range, space.sizes)))
    found = {choice: angles.of(choice) for choice in every}
    mask = reducer.shrink(space, [np.ones(k, dtype=np.bool_) for k in space.sizes], 0, evaluator)
    scores = {(i, k): np.mean([found[c] for c in every if c[i] == k]) for i, n in enumerate(space.sizes)
              for k in range(n)}
    gone = {place for place in scores if not mask[place[0]][place[1]]}
    stays = {place for place in scores if place not in gone}
    assert len(gone) == 3  # a third of half of the 18 that a search with keep 1 would prune
    removable = {(i, k) for i, k in stays if protect is None or protect[i] != k}
    assert stays - removable == (set() if protect is None else set(enumerate(protect)))
    assert max(scores[place] for place in gone) <= min(scores[place] for place in removable) + 0.01


def world(seed: int) -> tuple[bool, float]:
    """One choice of eight ops, effects of deviation 1, errors that grow with the classes: does the best op survive the
    three stages of ImageNet's 100, 300 and 1000 classes, and at which share of the work of all classes and all ops?"""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=8)
    live, work = [np.ones(8, dtype=np.bool_)], 0.0
    for classes, error in ((100, 0.2), (300, 0.25), (1000, 0.3)):
        work += classes * live[0].sum()
        seen = true + rng.normal(size=8) * error
        live = thresholded([seen], [np.full(8, error)], live, TAU, 2)
    return bool(live[0][true.argmax()]), work / (1000 * 8 * 3)


def test_the_best_op_survives_growing_classes_at_half_of_the_work() -> None:
    survived, work = zip(*map(world, range(100)), strict=True)
    assert sum(survived) >= 99
    assert np.mean(work) <= 0.5


def test_a_threshold_keeps_the_best_those_near_it_and_what_is_protected() -> None:
    effects, stderr = [np.array([0.0, -0.5, -3.0, -9.0, 1.0])], [np.full(5, 0.5)]
    live = [np.array([True, True, True, True, False])]
    kept = [np.flatnonzero(thresholded(effects, stderr, live, 0.05, least, protect)[0]).tolist()
            for least, protect in ((1, None), (3, None), (1, [3]), (1, [4]))]
    assert kept == [[0, 1], [0, 1, 2], [0, 1, 3], [0, 1]]


def test_easy_classes_come_first_and_stages_only_grow() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 50)
    shade = np.array([20, 220, 120, 125])[labels]  # the last two are hard to tell apart
    images = np.clip(shade[:, None, None, None] + rng.normal(size=(200, 16, 16, 1)) * 4, 0, 255).astype(np.uint8)
    data = Dataset("shades", images, labels, images, labels, ("a", "b", "c", "d"), "here")
    assert easiest(data, 2) == [0, 1]
    folds = [ClassShrinking(3).fold(as_task(data), stage) for stage in range(3)]
    shown = [set(np.unique(fold.data.val.labels).tolist()) for fold in folds]
    assert shown == [{0, 1}, {0, 1}, {0, 1, 2, 3}]
    assert [len(fold.train_images) for fold in folds] == [102, 102, 200]
    assert folds[2].data is data


def test_a_choice_keeps_one(space: Space, data: Dataset) -> None:
    evaluator = shared_weights(EvaluatorSetting(space, as_task(data), TINY, 1))
    reducer = AngleShrinking(1)
    reducer.begin(evaluator)
    mask = [np.array([True] + [False] * 6) for _ in space.sizes]
    assert [row.tolist() for row in reducer.shrink(space, mask, 2, evaluator)] == [row.tolist() for row in mask]
