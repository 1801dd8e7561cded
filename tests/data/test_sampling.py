"""Which images an epoch shows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.data.sampling import SAMPLERS, balanced, order_of, sampler_of
from hwnas.errors import UnknownName, UsageError


@given(st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=40), st.integers(0, 99))
def test_an_epoch_has_as_many_images_as_there_are(truth: list[list[int]], seed: int) -> None:
    rows = [np.array(row, np.int64) for row in truth]
    order, again = (order_of(balanced, rows, np.random.default_rng(seed)) for _ in range(2))
    assert (order.shape, order.dtype) == ((len(rows),), np.int64)
    assert set(order.tolist()) <= set(range(len(rows)))
    np.testing.assert_array_equal(order, again)


def test_rare_classes_are_shown_more_often() -> None:
    labels = np.repeat([0, 1, 2], [900, 90, 10])
    truth = list(labels[:, None])
    shown = np.mean([np.bincount(labels[balanced(truth, np.random.default_rng(i))]) for i in range(5)], axis=0)
    # Mean share 1/3: factors 1, sqrt(0.333 / 0.09) = 1.92, sqrt(0.333 / 0.01) = 5.77.
    weights = np.array([900, 90 * 1.925, 10 * 5.774])
    np.testing.assert_allclose(shown, 1000 * weights / weights.sum(), atol=2)


def test_equal_classes_are_all_shown_once() -> None:
    truth = list(np.repeat([0, 1], 50)[:, None])
    assert sorted(balanced(truth, np.random.default_rng(0)).tolist()) == list(range(100))


@pytest.mark.parametrize("wrong", [[0], [0, 5], [0.0, 1.0], [-1, 0]])
def test_a_sampler_is_held_to_its_rules(wrong: list[float]) -> None:
    with pytest.raises(UsageError, match="2 whole numbers from 0 to 1"):
        order_of(lambda truth, rng: np.array(wrong), [np.array([0]), np.array([1])], np.random.default_rng(0))


def test_names() -> None:
    assert SAMPLERS.names() == ["balanced"]
    assert sampler_of("balanced") is balanced
    assert sampler_of("hwnas.data.sampling:balanced") is balanced
    with pytest.raises(UnknownName, match="Did you mean 'balanced'"):
        sampler_of("balance")
