"""Schedules: as many rounds as evaluations, one learning rate per fair cycle, drops when they are due."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hwnas.search import create
from hwnas.search.cycle import planned_evaluations
from hwnas.search.schedule import FLOOR, LAST_SHARE, cycle_learning_rates, fair_rounds, path_rounds

CHOICES = st.lists(st.integers(2, 9), min_size=1, max_size=6)


def cycles(largest: int, s: int, keep: int) -> list[int]:
    """Lengths of the fair cycles of a search, in order."""
    return [n for n in range(largest, keep, -1) for _ in range(s)]


def drops(rates: list[float]) -> list[int]:
    return [i for i, (a, b) in enumerate(itertools.pairwise(rates), 1) if b < a]


@given(choices=CHOICES, s=st.integers(1, 6), data=st.data())
def test_path_search_has_a_tick_per_evaluation(choices: list[int], s: int, data: st.DataObject) -> None:
    keep = data.draw(st.integers(1, max(choices) - 1))
    rounds = path_rounds(choices, s, keep, 4, 0.1)
    assert len(rounds) == planned_evaluations(choices, s, keep)
    assert len(rounds) == create("migo", choices, s=s, keep=keep).evaluations
    assert [t.number for t in rounds] == list(range(len(rounds)))
    assert all(t.evaluates and len(t.rates) == 4 for t in rounds)
    assert all(len(set(t.rates)) == 1 for t in rounds[1:])
    assert rounds[0].rates == pytest.approx((0.025, 0.05, 0.075, 0.1))


@given(choices=CHOICES, s=st.integers(1, 8), peak=st.sampled_from([0.1, 0.5]), data=st.data())
def test_rates_are_constant_within_a_cycle_and_only_fall_by_ten(
    choices: list[int], s: int, peak: float, data: st.DataObject
) -> None:
    keep = data.draw(st.integers(1, max(choices) - 1))
    rates = cycle_learning_rates(choices, s, keep, peak)
    start = 0
    for length in cycles(max(choices), s, keep):
        assert len(set(rates[start : start + length])) == 1
        start += length
    assert start == len(rates)
    assert rates[0] == peak
    for before, after in itertools.pairwise(rates):
        assert after == before or after == max(before / 10, FLOOR)
    assert min(rates) >= FLOOR


@pytest.mark.parametrize(("choices", "expected"), [([8] * 28, [51, 101]), ([5] * 6, [33])])
def test_drops_of_the_published_search(choices: list[int], expected: list[int]) -> None:
    """DARTS: after the 0-based epochs 50 and 100; NAS-Bench-201: after 32 (MIGO-NAS reference, s = 3)."""
    rates = cycle_learning_rates(choices, 3, 1, 0.1)
    assert drops(rates) == expected
    assert rates[expected[0]] == pytest.approx(0.01)


def test_a_drop_waits_for_the_end_of_the_cycle_in_which_it_falls_due() -> None:
    rates = cycle_learning_rates([7] * 21, 3, 1, 0.1)
    due = 50 * 7 / 8
    ends = list(itertools.accumulate(cycles(7, 3, 1)))
    assert drops(rates) == [next(end for end in ends if end >= due)]


def test_rates_never_fall_below_the_floor() -> None:
    rates = cycle_learning_rates([8], 3, 1, 5 * FLOOR)
    assert min(rates) == FLOOR
    assert rates[-1] == FLOOR


@given(evaluations=st.integers(1, 60), warmup=st.lists(st.integers(1, 9), max_size=5), steps=st.integers(1, 9))
def test_fair_search_warms_up_and_then_evaluates(evaluations: int, warmup: list[int], steps: int) -> None:
    rounds = fair_rounds(evaluations, warmup, steps, 0.1)
    assert [t.number for t in rounds] == list(range(len(warmup) + evaluations))
    assert [t.evaluates for t in rounds] == [False] * len(warmup) + [True] * evaluations
    assert [len(t.rates) for t in rounds] == [*warmup, *[steps] * evaluations]
    assert all(rate > 0 for t in rounds for rate in t.rates)


@example(evaluations=1000, peak=0.1)
@given(evaluations=st.integers(1, 1000), peak=st.sampled_from([0.01, 0.1, 1.0]))
def test_fair_rates_rise_to_the_peak_and_fall_to_the_last_share(evaluations: int, peak: float) -> None:
    rates = [rate for part in fair_rounds(evaluations, [], 20, peak) for rate in part.rates]
    top = rates.index(max(rates))
    assert top <= 0.05 * len(rates) + 1
    assert all(a < b for a, b in itertools.pairwise(rates[: top + 1]))
    assert all(a >= b for a, b in itertools.pairwise(rates[top:]))
    assert rates[-1] >= LAST_SHARE * peak
    assert rates[-1] == pytest.approx(LAST_SHARE * peak, rel=0.2) or evaluations < 3


@pytest.mark.parametrize("evaluations", [10, 1000])
def test_fair_rates_never_exceed_the_peak(evaluations: int) -> None:
    rates = [rate for part in fair_rounds(evaluations, [], 20, 0.1) for rate in part.rates]
    assert max(rates) <= 0.1
    assert max(rates) == pytest.approx(0.1, rel=0.05)
