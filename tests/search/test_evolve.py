"""NSE's subsets: every branch is tried, what the front uses goes on, and the front is what brute force says."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import UsageError
from hwnas.search.reducers.evolve import ROUNDS, EvolvingSubsets, candidates, layers_of, on_front, subset_size
from hwnas.space import Architecture, Space, SpaceConfig, build

SPACE = build(SpaceConfig("nse", 32, 1, 10, 0.5))
POINTS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=9)


def judge(worth: Any, space: Space = SPACE) -> Any:
    """An evaluator that knows what an architecture is worth."""
    return SimpleNamespace(seed=3, evaluate=lambda choice, _: SimpleNamespace(value=worth(space.architecture(choice))))


def on(mask: Any) -> set[int]:
    return {i for i, row in enumerate(mask) if row[1]}


@given(POINTS)
def test_the_front_is_that_of_brute_force(points: list[tuple[int, int]]) -> None:
    wanted = []
    for k, (cost, score) in enumerate(points):
        beaten = any(c <= cost and s >= score and (c < cost or s > score) for c, s in points)
        wanted.append(not beaten and (cost, score) not in points[:k])
    assert on_front(points) == wanted


def test_every_branch_is_tried_once_in_three_rounds() -> None:
    """One branch a layer goes on in every round: 10 at first, then 9 new ones beside it, of 27; one layer has 26."""
    reducer = EvolvingSubsets(3)
    evaluator = judge(lambda arch: -sum(arch.choice))  # nothing is worth it: nothing goes on
    reducer.begin(evaluator)
    live, tried = reducer.first(SPACE), list[set[int]]()
    for stage in range(ROUNDS):
        tried.append(on(live))
        live = reducer.shrink(SPACE, live, stage, evaluator)
    for layer in layers_of(SPACE):
        own = [found & {*layer} for found in tried]
        assert [len(found) for found in own] == [10, 9, len(layer) - 19]
        assert set().union(*own) == {*layer}
        assert sum(len(found) for found in own) == len(layer)
    assert on(live) == set()
    assert subset_size(27) == 10
    assert subset_size(2) == 2
    assert subset_size(1) == 1


def test_what_is_worth_its_flops_is_left() -> None:
    """Two branches of every layer are worth something: they are found, whenever they are tried, and stay."""
    good = {layer[k] for layer in layers_of(SPACE) for k in (4, 20)}

    def worth(arch: Architecture) -> float:
        return sum(3.0 if i in good else -1.0 for i, k in enumerate(arch.choice) if k)

    reducer, evaluator = EvolvingSubsets(3), judge(worth)
    reducer.begin(evaluator)
    live = reducer.first(SPACE)
    for stage in range(ROUNDS):
        before = on(live)
        live = reducer.shrink(SPACE, live, stage, evaluator)
    assert on(live) <= before
    assert len(on(live) & good) >= 0.75 * len(good)  # a round has as many scores as switches
    assert len(on(live) - good) <= 0.5 * len(SPACE.sizes)


def test_candidates_use_what_is_left_and_grow() -> None:
    rng = np.random.default_rng(0)
    live = [np.array([True, bool(rng.integers(2))]) for _ in SPACE.sizes]
    effects = [np.array([-b, b]) for b in rng.normal(size=len(SPACE.sizes))]
    found = candidates(SPACE, effects, live)
    assert all(row[k] for choice in found for k, row in zip(choice, live, strict=True))
    worth = [sum(row[k] for k, row in zip(choice, effects, strict=True)) for choice in found]
    assert worth == sorted(worth)
    assert {*found[-1]} == {0, 1}
    assert all(k == int(live[i][1] and effects[i][1] > 0) for i, k in enumerate(found[-1]))


def test_no_layer_is_ever_empty() -> None:
    assert SPACE.smallest().connected
    assert not any(SPACE.smallest().choice)
    assert SPACE.reference.choice.count(1) == len(layers_of(SPACE))


def test_spaces_of_other_choices_are_refused() -> None:
    with pytest.raises(UsageError, match="take --space nse"):
        EvolvingSubsets(3).first(build(SpaceConfig("mobile", 32)))
