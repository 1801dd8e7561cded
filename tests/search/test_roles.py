"""The roles around a strategy: one contract for executors, reducers and evaluators each, and a search of every name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.data import Dataset, load
from hwnas.errors import InputError, RunError, UnknownName, UsageError
from hwnas.generate import solve
from hwnas.search import resumable
from hwnas.search.ask_tell import on_mask
from hwnas.search.config import SearchConfig
from hwnas.search.distribution import everything_live
from hwnas.search.evaluators.setting import EvaluatorSetting, NetworkEvaluator
from hwnas.search.log import Evaluation, Failure, SearchLog
from hwnas.search.registry import TABLE, create
from hwnas.search.roles import (
    EVALUATORS,
    REDUCERS,
    SearchOutcome,
    create_evaluator,
    create_executor,
    create_reducer,
)
from hwnas.search.strategy import Score
from hwnas.space import Space, SpaceConfig, build
from hwnas.train import TrainConfig, as_task

SIZES = (7, 7, 7)


@pytest.fixture(scope="module")
def space() -> Space:
    found = build(SpaceConfig("mobile", 16, 1, 10, 0.25, 1))
    assert tuple(found.sizes) == SIZES
    return found


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load("digits").subset(80, 30, seed=0)


# Reducers.


def outcome_of(name: str, evaluations: int = 40) -> SearchOutcome:
    strategy = create(name, SIZES, evaluations=evaluations, seed=0)
    while not strategy.done:
        (ask,) = strategy.ask(1)
        strategy.tell(ask.id, Score(float(-abs(np.array(ask.choice) - 2).sum())))
    return SearchOutcome(strategy.distribution(), strategy.best)


@pytest.mark.parametrize("name", sorted(REDUCERS.table))
@pytest.mark.parametrize("strategy", ["rea", "ddpnas", "asng"])
def test_a_reducer_leaves_something_that_was_live(name: str, strategy: str, space: Space) -> None:
    outcome = outcome_of(strategy)
    mask = create_reducer(name, 3, [5, 0, 5]).reduce(space, outcome)
    assert all(left.any() and not (left & ~live).any()
               for left, live in zip(mask, outcome.distribution.live, strict=True))
    law = on_mask(outcome.distribution, mask)
    assert all(np.array_equal(a, b) for a, b in zip(law.live, mask, strict=True))
    assert all(abs(b[left].mean()) < 1e-9 for b, left in zip(law.effects, mask, strict=True))


def test_migos_pruning_keeps_the_best_and_what_is_protected(space: Space) -> None:
    outcome = outcome_of("rea", 200)
    mask = create_reducer("migo", 3, [5, 0, 5]).reduce(space, outcome)
    assert [int(left.sum()) for left in mask] == [3, 3, 3]
    assert all(left[op] for left, op in zip(mask, [5, 0, 5], strict=True))
    for left, b in zip(mask, outcome.distribution.effects, strict=True):
        assert left[int(np.argmax(b))]
    several = create_reducer("migo", 1, [[5, 1], 0, [2, 3, 4]]).reduce(space, outcome)
    assert [np.flatnonzero(left).tolist() for left in several] == [[1, 5], [0], [2, 3, 4]]
    with pytest.raises(UsageError, match="at least 1 op"):
        create_reducer("migo", 0)


def test_a_law_without_mass_on_the_mask_is_uniform_there() -> None:
    law = everything_live([3, 2])
    one = on_mask(law, [np.array([True, False, False]), np.array([True, True])])
    none = on_mask(one, [np.array([False, True, True]), np.array([True, True])])
    assert none.probabilities[0].tolist() == [0, 0.5, 0.5]


# Evaluators.


TINY = SearchConfig(warmup=1, epochs_per_evaluation=0.5, cycles=1, keep=5, settle=6, evaluations=8,
                    train=TrainConfig(batch=32, lr=0.05))


def setting(space: Space, data: Dataset, **changes: Any) -> EvaluatorSetting:
    return EvaluatorSetting(space, as_task(data), replace(TINY, **changes), seed=1)


@pytest.fixture
def log(tmp_path: Path) -> str:
    """Scores of the architectures with an even first op."""
    path = tmp_path / "table.jsonl"
    lines = [f'{{"phase": "alone", "number": {49 * a + 7 * b + c}, "choice": [{a}, {b}, {c}], "score": {a + b - c}, '
             '"seconds": 0}\n' for a in (0, 2, 4, 6) for b in range(7) for c in range(7)]
    path.write_text("".join(lines))
    return str(path)


@pytest.fixture
def made(space: Space, data: Dataset, log: str) -> Callable[[str], NetworkEvaluator]:
    def make(name: str) -> NetworkEvaluator:
        table = {"evaluation_table": log} if name == "table" else {}
        found = create_evaluator(name, setting(space, data, **table))
        assert isinstance(found, NetworkEvaluator)
        return found

    return make


@pytest.mark.parametrize("name", sorted(EVALUATORS.table))
def test_an_evaluator_gives_one_architecture_one_score(name: str, made: Callable[[str], NetworkEvaluator],
                                                       space: Space) -> None:
    evaluator = made(name)
    first, other = (evaluator.evaluate((2, 1, 0), space) for _ in range(2))
    assert first.value == other.value == evaluator.score((2, 1, 0))
    assert made(name).evaluate((2, 1, 0), space).value == first.value
    net = evaluator.network(space.architecture((2, 1, 0)))
    assert net.arch.choice == (2, 1, 0)
    assert evaluator.fold_of(space) is evaluator.fold
    with pytest.raises(UsageError, match="knows no images"):
        evaluator.fold_of(build(SpaceConfig("mobile", 12, 1, 10, 0.25, 1)))


def test_a_table_fails_where_it_has_nothing(made: Callable[[str], NetworkEvaluator], space: Space, data: Dataset,
                                            tmp_path: Path) -> None:
    assert made("table").evaluate((2, 1, 0), space).value == 3
    with pytest.raises(InputError, match="no score"):
        made("table").evaluate((1, 1, 0), space)
    with pytest.raises(UsageError, match="--evaluation-table"):
        create_evaluator("table", setting(space, data))
    with pytest.raises(InputError, match="not there"):
        create_evaluator("table", setting(space, data, evaluation_table=str(tmp_path / "none")))


def test_shared_weights_stay_in_one_process(space: Space, data: Dataset) -> None:
    shared = create_evaluator("shared", setting(space, data))
    with pytest.raises(UsageError, match="shared weights change"):
        create_executor("processes", shared, space, 2)


def test_unknown_names_suggest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'scratch'"):
        create_evaluator("scrach", None)
    with pytest.raises(UnknownName, match="unknown reducer"):
        create_reducer("angles", 3)


# Every strategy through a search of networks.


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_strategy_ends_in_a_distribution_that_dpng_solves(name: str, space: Space, data: Dataset,
                                                                tmp_path: Path) -> None:
    config = replace(TINY, strategy=name, keep=3)
    found = resumable.run(space, data, config, folder=tmp_path, seed=2)
    law = found.distribution
    assert all(0 < mask.sum() <= 3 for mask in law.live)
    costs = [[op.flops for op in choice.ops] for choice in space.choices]
    limit = sum(max(row) for row in costs)
    answer = solve(law.utilities("effect"), costs, limit)
    assert all(mask[op] for op, mask in zip(answer.choice, law.live, strict=True))
    read = resumable.load(space, data, config, folder=tmp_path, seed=2)
    assert read.distribution.to_json() == law.to_json()
    assert read.best == found.best


@pytest.mark.parametrize(("evaluator", "workers"), [("scratch", 1), ("table", 1)])
def test_a_search_without_shared_weights_that_was_killed_is_the_undisturbed_one(
    evaluator: str, workers: int, space: Space, data: Dataset, tmp_path: Path, log: str
) -> None:
    table = log if evaluator == "table" else None
    config = replace(TINY, strategy="rea", evaluator=evaluator, evaluation_table=table, workers=workers)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    found = resumable.run(space, data, config, folder=whole)

    class Killed(Exception):
        pass

    def killer(what: str, done: int, total: int) -> None:
        if done == 4:
            raise Killed

    with pytest.raises(Killed):
        resumable.run(space, data, config, folder=cut, progress=killer)
    again = resumable.run(space, data, config, folder=cut)
    assert again.distribution.to_json() == found.distribution.to_json()
    assert again.best == found.best
    entries = [SearchLog(folder / "search.jsonl").asked() for folder in (whole, cut)]
    assert [(e.number, e.choice, e.score) for e in entries[0]] == [(e.number, e.choice, e.score) for e in entries[1]]
    failed = [SearchLog(folder / "search.jsonl").failures for folder in (whole, cut)]
    assert failed[0] == failed[1]
    assert len(entries[0]) + len(failed[0]) == 8
    assert bool(failed[0]) == (evaluator == "table")


def test_a_search_in_processes_is_the_one_inline_with_as_many_asks_out(space: Space, data: Dataset, tmp_path: Path,
                                                                       log: str, monkeypatch: pytest.MonkeyPatch
                                                                       ) -> None:
    config = replace(TINY, strategy="rea", evaluator="table", evaluation_table=log, workers=2)
    found, made = {}, []
    monkeypatch.setattr(resumable, "create_executor", lambda name, *given: made.append(name) or create_executor(
        name, *given))
    for name in ("inline", None):
        folder = tmp_path / str(name)
        folder.mkdir()
        result = resumable.run(space, data, replace(config, executor=name), folder=folder)
        lines = SearchLog(folder / "search.jsonl").lines
        found[name] = result.distribution.to_json(), result.best, [replace(e, seconds=0) if isinstance(e, Evaluation)
                                                                   else e for e in lines]
    assert made == ["inline", "processes"]
    assert found["inline"] == found[None]
    assert any(isinstance(line, Failure) for line in found["inline"][2])
    finished = tmp_path / "inline"  # where is computed may change
    assert resumable.run(space, data, replace(config, executor="processes"), folder=finished).best == found[None][1]


def test_a_search_of_which_everything_failed_says_so(space: Space, data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text('{"phase": "alone", "number": 0, "choice": [5, 5, 5], "score": 1, "seconds": 0}\n')
    config = replace(TINY, strategy="random", evaluator="table", evaluation_table=str(path))
    for _ in ("first", "resumed"):
        with pytest.raises(RunError, match="all 8 evaluations of the search failed, the first: the table"):
            resumable.run(space, data, config, folder=tmp_path)
    log = SearchLog(tmp_path / "search.jsonl")
    assert (len(log.entries), [e.number for e in log.failures]) == (0, list(range(8)))
