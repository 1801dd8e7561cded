"""The roles around a strategy: one contract for executors, reducers and evaluators each, and a search of every name."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.data import Dataset, load
from hwnas.errors import InputError, RunError, TrainingDiverged, UnknownName, UsageError
from hwnas.generate import solve
from hwnas.search import resumable
from hwnas.search.ask_tell import AskTell, answers, on_mask
from hwnas.search.config import SearchConfig
from hwnas.search.distribution import everything_live
from hwnas.search.evaluators.setting import EvaluatorSetting, NetworkEvaluator
from hwnas.search.log import SearchLog
from hwnas.search.registry import TABLE, create
from hwnas.search.roles import (
    EVALUATORS,
    EXECUTORS,
    REDUCERS,
    Evaluator,
    Executor,
    SearchBudget,
    SearchContext,
    SearchOutcome,
    create_evaluator,
    create_executor,
    create_reducer,
)
from hwnas.search.strategy import Ask, Choice, Failed, Score
from hwnas.space import Space, SpaceConfig, build
from hwnas.train import TrainConfig, as_task

SIZES = (7, 7, 7)


class Additive(Evaluator):
    """Deterministic; some architectures fail, some end their process, one error is a bug."""

    def __init__(self, dies: Choice | None = None, bug: Choice | None = None, seconds: float = 0.0) -> None:
        self.dies, self.bug, self.seconds, self.home = dies, bug, seconds, os.getpid()

    def evaluate(self, arch: Choice, space: Space) -> Score:
        if arch == self.dies and os.getpid() != self.home:
            os.kill(os.getpid(), signal.SIGKILL)
        if arch == self.bug:
            raise ZeroDivisionError("a bug")
        if arch[0] == 1 and arch[1] == 1:
            raise TrainingDiverged("the loss became NaN")
        if arch[0] == 2 and arch[1] == 2:
            return Score(float("nan"))
        time.sleep(self.seconds * arch[2])
        return Score(float(np.sin([3 * arch[0], 5 * arch[1] + 1, 7 * arch[2] + 2]).sum()))


@pytest.fixture(scope="module")
def space() -> Space:
    found = build(SpaceConfig("mobile", 16, 1, 10, 0.25, 1))
    assert tuple(found.sizes) == SIZES
    return found


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load("digits").subset(80, 30, seed=0)


def searched(space: Space, executor: Executor, name: str = "rea", batch: int = 2, seed: int = 0) -> SearchOutcome:
    strategy = create(name, space.sizes, evaluations=24, seed=seed)
    context = SearchContext(space, strategy, Additive(), executor, create_reducer("none", 3))
    return AskTell().run(context, SearchBudget(batch=batch))


@pytest.mark.parametrize("name", sorted(EXECUTORS.table))
class TestExecutors:
    """What every executor must do."""

    def test_every_ask_is_answered_once(self, name: str, space: Space) -> None:
        asks = [Ask(i, (i % 6, i // 6, 3)) for i in range(18)]
        with create_executor(name, Additive(), space) as executor:
            for ask in asks:
                executor.submit(ask)
            found = [executor.completed() for _ in asks]
            with pytest.raises(UsageError, match="nothing was submitted"):
                executor.completed()
        assert sorted(ask.id for ask, _ in found) == [ask.id for ask in asks]
        for ask, answer in found:
            if ask.choice[:2] == (1, 1):
                assert answer == Failed("the loss became NaN")
            elif ask.choice[:2] == (2, 2):
                assert isinstance(answer, Failed)
                assert "no finite number" in answer.reason
            else:
                assert isinstance(answer, Score)
                assert answer.value == Additive().evaluate(ask.choice, space).value

    def test_a_bug_of_the_evaluator_comes_through(self, name: str, space: Space) -> None:
        with create_executor(name, Additive(bug=(0, 0, 0)), space) as executor:
            executor.submit(Ask(0, (0, 0, 0)))
            with pytest.raises((ZeroDivisionError, RuntimeError), match="a bug"):
                executor.completed()

    def test_what_is_not_collected_ends_with_it(self, name: str, space: Space) -> None:
        with create_executor(name, Additive(seconds=0.2), space) as executor:
            for i in range(3):
                executor.submit(Ask(i, (i, 0, 5)))


def test_processes_give_what_one_process_gives(space: Space) -> None:
    with create_executor("inline", Additive(), space) as executor:
        alone = searched(space, executor)
    with create_executor("processes", Additive(seconds=0.002), space, 2) as executor:
        together = searched(space, executor)
    assert alone.evaluated == together.evaluated
    assert alone.failed == together.failed
    assert alone.distribution.to_json() == together.distribution.to_json()


@pytest.mark.timeout(60)
def test_a_worker_that_is_killed_is_a_failed_evaluation(space: Space) -> None:
    asks = [Ask(i, (0, i, 3)) for i in range(6)]
    with create_executor("processes", Additive(dies=(0, 2, 3)), space, 2) as executor:
        for ask in asks:
            executor.submit(ask)
        found = {ask.id: answer for ask, answer in (executor.completed() for _ in asks)}
    assert found.pop(2) == Failed("the worker process was killed (SIGKILL)")
    assert all(isinstance(answer, Score) for answer in found.values())


class Stillborn(Evaluator):
    """Cannot be made in another process."""

    def __setstate__(self, state: object) -> None:
        os._exit(3)

    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}

    def evaluate(self, arch: Choice, space: Space) -> Score:
        raise NotImplementedError


@pytest.mark.timeout(60)
def test_workers_that_never_start_are_no_endless_search(space: Space) -> None:
    strategy = create("random", space.sizes, evaluations=50, seed=0)
    with create_executor("processes", Stillborn(), space, 2) as executor, pytest.raises(UsageError, match="importable"):
        list(answers(strategy, executor, 2))


def test_answers_are_told_in_the_order_of_the_asks(space: Space) -> None:
    class Backwards(Executor):
        workers = 4

        def __init__(self) -> None:
            self.held: list[Ask] = []

        def submit(self, ask: Ask) -> None:
            self.held.append(ask)

        def completed(self) -> tuple[Ask, Score | Failed]:
            return self.held[-1], Score(float(self.held.pop().id))

        def close(self) -> None:
            self.held.clear()

    strategy = create("random", space.sizes, evaluations=20, seed=0)
    told = list(answers(strategy, Backwards(), 4, most=10))
    assert [ask.id for ask, _ in told] == list(range(10))
    assert [answer for _, answer in told] == [Score(float(i)) for i in range(10)]


def test_shared_weights_stay_in_one_process(space: Space, data: Dataset) -> None:
    shared = create_evaluator("shared", setting(space, data))
    with pytest.raises(UsageError, match="shared weights change"):
        create_executor("processes", shared, space, 2)


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


@pytest.mark.parametrize(("evaluator", "workers"), [("scratch", 1), ("table", 1), ("table", 2)])
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
    assert len(entries[0]) <= 8


def test_a_search_of_which_everything_failed_says_so(space: Space, data: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "other.jsonl"
    path.write_text('{"phase": "alone", "number": 0, "choice": [5, 5, 5], "score": 1, "seconds": 0}\n')
    config = replace(TINY, strategy="random", evaluator="table", evaluation_table=str(path))
    with pytest.raises(RunError, match="every evaluation of the search failed"):
        resumable.run(space, data, config, folder=tmp_path)
