"""From scores to weights: ranks, ties and scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.search.distribution_learning.batch_weights import (
    all_tied,
    importance_weights,
    in_nats,
    piecewise_weights,
    spread,
    truncation_weights,
)


def test_piecewise() -> None:
    np.testing.assert_allclose(piecewise_weights(np.array([0.6, 0.9])), [-1, 1], atol=1e-12)
    np.testing.assert_allclose(piecewise_weights(np.array([5.0, 3, 4, 1, 2])), [0.5, 0, 0.5, -0.5, -0.5], atol=1e-12)
    np.testing.assert_allclose(piecewise_weights(np.array([2.0, 2, 1, 0])), [0.5, 0.5, 0, -1], atol=1e-12)


def test_truncation() -> None:
    np.testing.assert_allclose(truncation_weights(np.array([1.0, 3, 2, 0]), 2), [0, 0.5, 0.5, 0], atol=1e-12)
    np.testing.assert_allclose(truncation_weights(np.array([1.0, 3, 1, 0]), 2), [0.25, 0.5, 0.25, 0], atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_equal_scores_weigh_nothing(n: int) -> None:
    scores = np.full(n, 0.3)
    assert not piecewise_weights(scores).any()
    assert not truncation_weights(scores, 1).any()
    assert all_tied(scores)
    assert spread(scores) == 0
    np.testing.assert_allclose(importance_weights(in_nats(scores, spread(scores))), np.full(n, 1 / n), atol=1e-12)


def test_the_spread_is_that_of_the_better_half() -> None:
    good = np.array([90.0, 91, 92, 93, 94])
    assert spread(good) == pytest.approx(2 * (1 + 2) / 5)
    assert spread(np.append(good, [10.0])) < 2
    assert spread(np.array([1.0, 1, 1, 0])) == pytest.approx(np.std([1, 1, 1, 0]))


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=12))
def test_rank_weights_sum_to_what_the_ranks_do(scores: list[float]) -> None:
    f = np.array(scores)
    assert abs(piecewise_weights(f).sum()) < 1e-12
    assert all_tied(f) or truncation_weights(f, 1).sum() == pytest.approx(1)
