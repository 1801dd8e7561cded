"""Intersection over union against sets of pixels."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.tasks import IGNORE, MeanIou, confusion

PIXELS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0, 1, 2, 3, IGNORE])), max_size=40)


def slow_ious(pixels: list[tuple[int, int]], classes: int) -> list[float]:
    counted = [(a, t) for a, t in pixels if t != IGNORE]
    found = []
    for k in range(classes):
        shared = sum(a == k and t == k for a, t in counted)
        union = sum(a == k or t == k for a, t in counted)
        found.append(100 * shared / union if union else math.nan)
    return found


def masks(pixels: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.array([p[i] for p in pixels], np.uint8) for i in range(2))  # type: ignore[return-value]


@given(PIXELS)
def test_figures_are_those_of_sets(pixels) -> None:
    result = MeanIou(confusion(*masks(pixels), 4))
    wanted = slow_ious(pixels, 4)
    assert result.per_class == pytest.approx(wanted, nan_ok=True)
    present = [v for v in wanted if not math.isnan(v)]
    assert result.miou == pytest.approx(sum(present) / len(present) if present else math.nan, nan_ok=True)
    right = [a == t for a, t in pixels if t != IGNORE]
    assert result.pixel_accuracy == pytest.approx(100 * sum(right) / len(right) if right else math.nan, nan_ok=True)


@given(PIXELS, PIXELS)
def test_batches_add_up(first, second) -> None:
    parts = confusion(*masks(first), 4) + confusion(*masks(second), 4)
    np.testing.assert_array_equal(parts, confusion(*masks(first + second), 4))


def test_rows_are_the_truth() -> None:
    answers, truth = np.array([[0, 1], [1, 1]]), np.array([[0, 0], [1, IGNORE]], np.uint8)
    assert confusion(answers, truth, 2).tolist() == [[1, 1], [0, 1]]


def test_nothing_to_judge_by_is_null_in_json() -> None:
    empty = MeanIou(np.zeros((2, 2), np.int64))
    assert json.loads(json.dumps(empty.to_json(), allow_nan=False)) == {
        "miou": None, "pixel_accuracy": None, "per_class": [None, None]}
    assert MeanIou(np.diag([3, 0])).to_json() == {"miou": 100, "pixel_accuracy": 100, "per_class": [100, None]}


def test_bad_masks() -> None:
    good = np.zeros((2, 2), np.uint8)
    with pytest.raises(InputError, match=r"the truth must hold classes 0\.\.2, not 0\.\.3"):
        confusion(good, np.array([[0, 3], [0, 0]], np.uint8), 3)
    with pytest.raises(InputError, match=r"the answers must hold classes 0\.\.2, not -1\.\.0"):
        confusion(np.array([[0, -1], [0, 0]]), good, 3)
    with pytest.raises(InputError, match="shape"):
        confusion(good, good[:1], 3)
