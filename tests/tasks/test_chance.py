"""Intervals and tests against scipy, and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from hwnas.tasks import chance
from hwnas.tasks.chance import LEVEL, differs, exceeds, informed, mean_recall, spread_of_miou, wilson

COUNTS = st.integers(0, 60)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_is_wilsons(pair: tuple[int, int]) -> None:
    right, images = pair
    wanted = binomtest(right, images).proportion_ci(method="wilson")
    assert wilson(right, images) == pytest.approx((100 * wanted.low, 100 * wanted.high), abs=1e-4)


@given(COUNTS, COUNTS)
def test_the_sign_test_is_the_exact_binomial_test(gained: int, lost: int) -> None:
    if gained + lost:
        assert differs(gained, lost) == pytest.approx(binomtest(gained, gained + lost).pvalue)
        assert exceeds(gained, lost) == pytest.approx(binomtest(gained, gained + lost, alternative="greater").pvalue)
    assert differs(gained, lost) == differs(lost, gained)


def test_nothing_differs_without_a_difference() -> None:
    assert differs(0, 0) == exceeds(0, 0) == 1.0
    assert differs(30_000, 30_000) == 1.0
    assert differs(31_000, 29_000) < 1e-10


def test_answers_that_know_nothing_are_told_from_those_that_know() -> None:
    always = np.array([[28, 0], [18, 0]])
    assert informed(always) == 1.0
    assert mean_recall(always) == 50
    assert informed(np.diag([28, 18])) < LEVEL
    assert informed(np.array([[14, 14], [9, 9]])) > LEVEL
    rare = np.array([[86, 4], [1, 9]])  # no more accurate than always the first, and yet it finds the second
    assert exceeds(9, 4) > LEVEL
    assert informed(rare) < LEVEL


def test_one_lucky_image_is_no_knowledge() -> None:
    assert informed(np.array([[28, 0, 0], [14, 1, 0], [3, 0, 0]])) > LEVEL


@pytest.mark.parametrize("matrix", [[[300, 100], [290, 115]], [[90, 60, 50], [85, 64, 45], [40, 33, 29]]])
def test_the_normal_law_is_near_the_shuffles(matrix: list[list[int]]) -> None:
    table = np.array(matrix)
    assert chance._normal(table) == pytest.approx(informed(table), abs=0.04)


def test_large_sets_take_the_normal_law() -> None:
    assert informed(np.array([[9000, 0], [1000, 0]])) == 1.0
    assert informed(np.array([[8900, 100], [700, 300]])) < 1e-9


def test_the_spread_of_a_difference_covers_none_between_equals_and_tells_a_real_one() -> None:
    rng = np.random.default_rng(0)
    each = np.stack([np.array([[90 + int(rng.integers(9)), 5], [6, 40 + int(rng.integers(9))]]) for _ in range(40)])
    assert spread_of_miou(each, each) == (0.0, 0.0)
    worse = each + np.array([[0, 30], [10, 0]])
    low, high = spread_of_miou(worse, each)
    assert low < high < 0
    assert spread_of_miou(each, worse) == pytest.approx((-high, -low))
