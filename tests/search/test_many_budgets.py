import itertools
import json

import numpy as np
import pytest

from hwnas.errors import RunError, UsageError
from hwnas.search.many_budgets import ManyBudgets

SIZES = (3, 4, 3, 2)
UTILITIES = [np.random.default_rng((1, i)).normal(size=k) for i, k in enumerate(SIZES)]
COSTS = [np.random.default_rng((2, i)).uniform(0.1, 1.0, size=k) for i, k in enumerate(SIZES)]
EVERY = list(itertools.product(*map(range, SIZES)))


def total(rows: list[np.ndarray], choice: tuple[int, ...]) -> float:
    return float(sum(row[k] for row, k in zip(rows, choice, strict=True)))


BUDGETS = np.quantile([total(COSTS, x) for x in EVERY], [0.1, 0.3, 0.5, 0.9]).tolist()


def finished(search: ManyBudgets) -> list[tuple[int, ...]]:
    asked = []
    while not search.done:
        asked.append(search.ask())
        assert search.ask() == asked[-1]
        search.tell(asked[-1], total(UTILITIES, asked[-1]), total(COSTS, asked[-1]))
    return asked


@pytest.mark.parametrize("seed", range(4))
def test_every_budget_gets_its_best_from_a_third_of_the_space(seed: int) -> None:
    search = ManyBudgets(SIZES, BUDGETS, 24, seed)
    finished(search)
    for budget, answer in zip(BUDGETS, search.answers(), strict=True):
        best = max(total(UTILITIES, x) for x in EVERY if total(COSTS, x) <= budget)
        assert answer is not None
        choice, score, cost = answer
        assert cost == total(COSTS, choice) <= budget
        assert score == pytest.approx(best)


def test_the_same_seed_asks_the_same() -> None:
    asks = [finished(ManyBudgets(SIZES, BUDGETS, 20, seed)) for seed in (3, 3, 4)]
    assert asks[0] == asks[1] != asks[2]


def test_only_what_may_be_asked_is_asked() -> None:
    among = EVERY[::3]
    search = ManyBudgets(SIZES, BUDGETS, len(among), 0, among=among)
    asked = finished(search)
    assert set(asked) == set(among)


def test_a_budget_that_nothing_meets_has_no_answer() -> None:
    search = ManyBudgets(SIZES, [0.0, BUDGETS[1]], 20, 0)
    finished(search)
    assert search.answers()[0] is None
    assert search.answers()[1] is not None


def test_more_evaluations_than_architectures() -> None:
    search = ManyBudgets([2, 2], [10.0], 7, 0)
    while not search.done:
        choice = search.ask()
        search.tell(choice, 1.0, 1.0)
    assert search.answers()[0] is not None


@pytest.mark.parametrize(("budgets", "evaluations"), [([], 5), ([1.0], 0), ([float("nan")], 5)])
def test_wrong_input(budgets: list[float], evaluations: int) -> None:
    with pytest.raises(UsageError):
        ManyBudgets(SIZES, budgets, evaluations)


def test_a_tell_that_answers_no_ask_changes_nothing() -> None:
    search = ManyBudgets(SIZES, BUDGETS, 5, 0)
    with pytest.raises(UsageError, match="last ask"):
        search.tell((0, 0, 0, 0), 1.0, 1.0)
    choice = search.ask()
    with pytest.raises(UsageError, match="finite"):
        search.tell(choice, 1.0, float("nan"))
    assert search.ask() == choice
    finished(search)
    with pytest.raises(UsageError, match="done"):
        search.ask()


@pytest.mark.parametrize("among", [None, EVERY[::2]])
def test_resume_is_bit_for_bit_at_every_point(among: list[tuple[int, ...]] | None) -> None:
    search = ManyBudgets(SIZES, BUDGETS, 16, 1, among=among)
    states, asked = [], []
    while not search.done:
        states.append(json.loads(json.dumps(search.state_dict(), allow_nan=False)))
        asked.append(search.ask())
        search.tell(asked[-1], total(UTILITIES, asked[-1]), total(COSTS, asked[-1]))
    for at, state in enumerate(states):
        resumed = ManyBudgets(SIZES, BUDGETS, 16, 99, among=among)
        resumed.load_state_dict(state)
        assert finished(resumed) == asked[at:]
        assert resumed.answers() == search.answers()


def test_a_foreign_or_broken_state_is_refused_and_changes_nothing() -> None:
    search = ManyBudgets(SIZES, BUDGETS, 16, 1)
    choice = search.ask()
    search.tell(choice, 1.0, 1.0)
    before = search.state_dict()
    other = ManyBudgets(SIZES, BUDGETS[:1], 16, 1).state_dict()
    torn = ({"scores": []}, {"samples": [[9, 9, 9, 9]]}, {"priors": [[1]] * 2})
    for bad in (other, {}, *(before | part for part in torn)):
        with pytest.raises(RunError, match="new run"):
            search.load_state_dict(bad)
        assert search.state_dict() == before
