"""Regularised evolution, local search and REINFORCE: their rules against brute force, counts and finite differences."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import RunError, UsageError
from hwnas.search.distribution_learning.batch_weights import softmax
from hwnas.search.distribution_learning.learner import score_gradient
from hwnas.search.distribution_learning.reinforce import Policy, Reinforce
from hwnas.search.evolution.local import LocalSearch
from hwnas.search.evolution.mutation import edit_law, edited, neighbours, unseen_choice
from hwnas.search.evolution.rea import NASBENCH201_MUTATES, RegularisedEvolution
from hwnas.search.strategy import Strategy
from tests.search.one_at_a_time import answer, following

Choice = tuple[int, ...]
Score = Callable[[Choice], float]

SPACES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def rugged(choices: Sequence[int], seed: int) -> Score:
    """An independent score for every architecture: many local optima."""
    table = np.random.default_rng(seed).normal(size=tuple(choices))
    return lambda x: float(table[x])


def run(strategy: Strategy, score: Score) -> list[Choice]:
    asks = []
    while not strategy.done:
        asks.append(following(strategy))
        answer(strategy, asks[-1], score(asks[-1]))
    return asks


def differences(a: Choice, b: Choice) -> int:
    return sum(x != y for x, y in zip(a, b, strict=True))


def chi_square(counts: Sequence[int], expected: Sequence[float]) -> float:
    return sum((c - e) ** 2 / e for c, e in zip(counts, expected, strict=True))


@pytest.mark.parametrize("weights", [None, [1, 2, 3, 0.5], NASBENCH201_MUTATES[:4]])
def test_a_mutation_changes_one_choice_to_another_op_by_its_law(weights: Sequence[float] | None) -> None:
    choices, start, n = (3, 1, 5, 2), (2, 0, 1, 1), 7_000
    law, rng = edit_law(choices, weights), np.random.default_rng(0)
    children = [edited(start, choices, law, rng) for _ in range(n)]
    assert {differences(start, child) for child in children} == {1}
    counts = [children.count(child) for child in neighbours(start, choices)]
    assert sum(counts) == n  # every child is a neighbour
    raw = np.array([1.0] * 4 if weights is None else weights) * (np.array(choices) > 1)
    expected = [n * raw[i] / raw.sum() / (k - 1) for i, k in enumerate(choices) for _ in range(k - 1)]
    assert chi_square(counts, expected) < 24.3  # 6 degrees of freedom: exceeded by chance in 0.05 % of the runs
    assert np.allclose(law, raw / raw.sum())


def test_the_benchmarks_law_draws_the_node_first() -> None:
    nodes = [NASBENCH201_MUTATES[:1], NASBENCH201_MUTATES[1:3], NASBENCH201_MUTATES[3:]]
    assert [sum(edges) for edges in nodes] == pytest.approx([1 / 3] * 3)
    assert [len(set(edges)) for edges in nodes] == [1, 1, 1]


@pytest.mark.parametrize("bad", [[1.0], [1, -1, 1], [1, math.nan, 1], [0, 0, 0], [0, 1, 0]])
def test_weights_of_no_law_are_refused(bad: list[float]) -> None:
    with pytest.raises(UsageError, match="mutates"):
        RegularisedEvolution([3, 1, 2], 5, mutates=bad)


@given(SPACES)
def test_neighbours_are_all_at_distance_one(choices: Choice) -> None:
    space = list(itertools.product(*map(range, choices)))
    for x in space[:5]:
        found = neighbours(x, choices)
        assert sorted(found) == [y for y in space if differences(x, y) == 1]
        assert len(found) == len(set(found)) == sum(choices) - len(choices)


@given(SPACES, st.data())
def test_unseen_choice_is_unseen_until_all_are_seen(choices: Choice, data: st.DataObject) -> None:
    space = list(itertools.product(*map(range, choices)))
    seen = set(data.draw(st.permutations(space))[: data.draw(st.integers(0, len(space)))])
    found = unseen_choice(choices, seen, len(seen), np.random.default_rng(0))
    assert (found is None) == (len(seen) == len(space))
    assert found is None or (found in space and found not in seen)


def test_the_last_unseen_architectures_are_equally_likely() -> None:
    space = list(itertools.product(range(10), repeat=3))
    left, rng = space[::250], np.random.default_rng(1)
    seen = set(space) - set(left)
    drawn = [unseen_choice((10, 10, 10), seen, len(seen), rng) for _ in range(400)]
    assert chi_square([drawn.count(x) for x in left], [100.0] * 4) < 17.7  # 3 degrees of freedom, 0.05 %


def test_evolution_breeds_from_the_last_members_only() -> None:
    """The best architecture comes first; with all members compared, its children end when it is of age."""
    choices, population = (6,) * 8, 4
    strategy = RegularisedEvolution(choices, 60, 3, population=population, sample=60)
    asks, scores = [], []
    while not strategy.done:
        asks.append(following(strategy))
        scores.append(100.0 - len(scores))  # always older is better: the oldest member is the parent
        answer(strategy, asks[-1], scores[-1])
    for at in range(population, len(asks)):
        assert differences(asks[at], asks[at - population]) == 1
    elite = run(RegularisedEvolution(choices, 60, 3, population=60, sample=60), lambda _: 0.0)
    assert elite[:population] == asks[:population]  # no child before the population is full


def test_evolution_takes_the_best_of_its_sample() -> None:
    choices = (2,) * 12

    def found(sample: int) -> float:
        runs = [run(RegularisedEvolution(choices, 80, seed, sample=sample), sum) for seed in range(10)]
        return float(np.mean([max(map(sum, asks)) for asks in runs]))

    one, many = found(1), found(5)
    assert many > one + 1


def test_evolution_with_few_evaluations_is_a_beginning_of_a_longer_one() -> None:
    score = rugged((4, 4, 4), 0)
    assert run(RegularisedEvolution((4, 4, 4), 40, 5), score)[:15] == run(RegularisedEvolution((4, 4, 4), 15, 5), score)


@settings(max_examples=40, deadline=None)
@given(SPACES, st.integers(0, 10_000))
def test_local_search_leaves_a_centre_for_its_best_neighbour_or_an_optimum(choices: Choice, seed: int) -> None:
    score, size = rugged(choices, seed), math.prod(choices)
    strategy = LocalSearch(choices, size + 3, seed)
    centres: list[Choice] = []
    asks: list[Choice] = []
    while not strategy.done:
        asks.append(following(strategy))
        centre = tuple(strategy.state_dict()["centre"])
        if not centres or centre != centres[-1]:
            centres.append(centre)
            if len(centres) > 1 and centre != asks[-1]:
                assert centre in climb(centres[-2], choices, score)
            if len(centres) > 1 and centre == asks[-1]:  # a new start: what it left is an optimum, and known to be one
                end = climb(centres[-2], choices, score)[-1]
                assert set(asks[:-1]).issuperset(neighbours(end, choices))
        answer(strategy, asks[-1], score(asks[-1]))
    assert sorted(asks[:size]) == sorted(itertools.product(*map(range, choices)))  # all once, before any twice


def climb(x: Choice, choices: Choice, score: Score) -> list[Choice]:
    """Best improvement from x to a local optimum, both included."""
    trail = [x]
    while True:
        best = max(neighbours(trail[-1], choices), key=score, default=trail[-1])
        if score(best) <= score(trail[-1]):
            return trail
        trail.append(best)


def test_local_search_climbs_to_the_optimum_of_a_smooth_objective() -> None:
    choices, goal = (5, 5, 5, 5), (3, 1, 4, 1)
    asks = run(LocalSearch(choices, 70, 2), lambda x: -differences(x, goal))
    assert goal in asks
    assert len(set(asks)) == 70


def test_a_centre_from_nowhere_is_refused() -> None:
    strategy = LocalSearch([3, 3], 9)
    state = strategy.state_dict()
    with pytest.raises(RunError, match="centre"):
        strategy.load_state_dict(state | {"centre": [1, 1]})
    assert strategy.state_dict() == state


def test_policy_gradient_is_that_of_the_log_likelihood() -> None:
    rng = np.random.default_rng(4)
    logits, sample = [rng.normal(size=k) for k in (3, 1, 5)], (2, 0, 1)

    def log_likelihood(rows: list[Any]) -> float:
        return float(sum(np.log(softmax(row)[op]) for row, op in zip(rows, sample, strict=True)))

    for i, row in enumerate(score_gradient([sample], np.ones(1), [softmax(row) for row in logits])):
        for k, slope in enumerate(row):
            ends = []
            for step in (1e-6, -1e-6):
                moved = [r.copy() for r in logits]
                moved[i][k] += step
                ends.append(log_likelihood(moved))
            assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-8)


def test_policy_steps_are_those_of_adam_with_the_baseline_of_the_released_code() -> None:
    """Worked by hand: the first baseline is the first score, so the first advantage is 0."""
    policy = Policy((2,), learning_rate=0.1, momentum=0.9)
    policy.learn((0,), 4.0)
    assert not policy.logits[0].any()
    policy.learn((1,), 6.0)
    baseline = (0.9 * 0.1 * 4 + 0.1 * 6) / (0.9 * 0.1 + 0.1)
    g = (6 - baseline) / (6 - 4) * np.array([-0.5, 0.5])
    m, v = 0.1 * g / (1 - 0.9**2), 0.001 * g**2 / (1 - 0.999**2)
    np.testing.assert_allclose(policy.logits[0], 0.1 * m / (np.sqrt(v) + 1e-8), rtol=1e-12)


def test_reinforce_learns_what_is_better() -> None:
    strategy = Reinforce([4, 4], 300, learning_rate=0.05)
    run(strategy, lambda x: float(x[0] == 2) - 0.5 * (x[1] == 3))
    first, second = strategy.distribution().probabilities
    assert first[2] > 0.6
    assert second[3] < 0.1


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: RegularisedEvolution([3], 5, population=0), "population"),
        (lambda: RegularisedEvolution([3], 5, sample=1.5), "sample"),  # type: ignore[arg-type]
        (lambda: Reinforce([3], 5, learning_rate=0), "learning_rate"),
        (lambda: Reinforce([3], 5, momentum=1), "momentum"),
    ],
)
def test_settings_out_of_range_are_refused(build: Callable[[], Strategy], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        build()
