"""What every executor must do; workers that die, and what depends on the executor (nothing)."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from hwnas.errors import TrainingDiverged, UsageError
from hwnas.search.ask_tell import AskTell, answers
from hwnas.search.registry import create
from hwnas.search.roles import (
    EXECUTORS,
    Evaluator,
    Executor,
    SearchBudget,
    SearchContext,
    SearchOutcome,
    create_executor,
    create_reducer,
)
from hwnas.search.strategy import Ask, Choice, Failed, Score
from hwnas.space import Space, SpaceConfig, build


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
    return build(SpaceConfig("mobile", 16, 1, 10, 0.25, 1))


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

    def test_its_workers_are_asks_that_may_be_out(self, name: str, space: Space) -> None:
        with create_executor(name, Additive(), space, 3) as executor:
            assert executor.workers == 3
        with pytest.raises(UsageError, match="at least 1"):
            create_executor(name, Additive(), space, 0)

    def test_weights_that_move_are_scored_inline_one_by_one(self, name: str, space: Space) -> None:
        class Moving(Additive):
            weights_move = True

        for workers in (1, 2):
            if (name, workers) == ("inline", 1):
                create_executor(name, Moving(), space, workers).close()
                continue
            with pytest.raises(UsageError, match="take the executor inline"):
                create_executor(name, Moving(), space, workers)

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
