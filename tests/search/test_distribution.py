"""The distribution: invariants, utilities, JSON, and the weights of ranks."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import InputError, UnknownName, UsageError
from hwnas.search.distribution import Distribution
from hwnas.search.rank_weights import distance_log_weights, log_weights


def example() -> Distribution:
    return Distribution(
        [np.array([0.25, 0.0, 0.75]), np.array([1.0]), np.array([0.5, 0.5])],
        [np.array([True, False, True]), np.array([True]), np.array([True, True])],
        [np.array([1.0, 9.0, -1.0]), np.array([0.0]), np.array([-0.5, 0.5])],
        [np.array([0.1, 0.2, 0.1]), np.array([0.0]), np.array([0.4, 0.4])],
    )


def test_mode_breaks_ties_by_effect() -> None:
    assert example().mode() == (2, 0, 1)
    even = dataclasses.replace(example(), effects=[np.zeros(3), np.zeros(1), np.zeros(2)])
    assert even.mode() == (2, 0, 0)


def test_entropy_is_that_of_the_product() -> None:
    expected = -0.25 * math.log(0.25) - 0.75 * math.log(0.75) + math.log(2)
    assert example().entropy() == pytest.approx(expected, abs=1e-15)


def test_sample_follows_the_law_and_the_generator() -> None:
    law, rng = example(), np.random.default_rng(0)
    draws = np.array([law.sample(rng) for _ in range(4000)])
    np.testing.assert_allclose(np.bincount(draws[:, 0], minlength=3) / 4000, [0.25, 0, 0.75], atol=0.03)
    again = np.random.default_rng(0)
    assert [law.sample(again) for _ in range(5)] == [tuple(row) for row in draws[:5].tolist()]


@pytest.mark.parametrize(
    ("kind", "z", "first", "last"),
    [
        ("prob", 1.0, [0.25, -np.inf, 0.75], [0.5, 0.5]),
        ("logprob", 1.0, [math.log(0.25), -np.inf, math.log(0.75)], [math.log(0.5)] * 2),
        ("effect", 1.0, [1.0, -np.inf, -1.0], [-0.5, 0.5]),
        ("effect_lcb", 1.0, [0.9, -np.inf, -1.1], [-0.9, 0.1]),
        ("effect_lcb", 2.0, [0.8, -np.inf, -1.2], [-1.3, -0.3]),
    ],
)
def test_utilities(kind: str, z: float, first: list[float], last: list[float]) -> None:
    rows = example().utilities(kind, z)
    np.testing.assert_allclose(rows[0], first, atol=1e-15)
    np.testing.assert_allclose(rows[2], last, atol=1e-15)
    assert all(row.dtype == np.float64 for row in rows)


def test_utilities_refuse_unknown_kinds_and_negative_errors() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'effect'"):
        example().utilities("effects")
    for z in (-1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="z must"):
            example().utilities("effect_lcb", z)


def test_json_round_trip_is_exact() -> None:
    law = dataclasses.replace(example(), probabilities=[np.array([0.1, 0, 0.9]), np.ones(1), np.array([1 / 3, 2 / 3])])
    value = json.loads(json.dumps(law.to_json(), allow_nan=False))
    assert value["hwnas_distribution"] == 1
    back = Distribution.from_json(value)
    assert back.to_json() == law.to_json()
    assert back.choices == (3, 1, 2)
    assert back.live[0].dtype == np.bool_


def test_it_is_frozen_and_owns_its_arrays() -> None:
    row = np.array([0.5, 0.5])
    law = Distribution([row], [np.ones(2, dtype=bool)], [np.zeros(2)], [np.zeros(2)])
    row[0] = 7.0
    assert law.probabilities[0][0] == 0.5
    with pytest.raises(ValueError, match="read-only"):
        law.effects[0][0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        law.live = []  # type: ignore[misc]


@pytest.mark.parametrize(
    ("field", "rows", "match"),
    [
        ("probabilities", [[0.5, 0.25, 0.25], [1.0], [0.5, 0.5]], "dead ops"),
        ("probabilities", [[0.5, 0.0, 0.4], [1.0], [0.5, 0.5]], "sum to 1"),
        ("probabilities", [[1.5, 0.0, -0.5], [1.0], [0.5, 0.5]], r"probabilities\.0\.0"),
        ("probabilities", [[0.5, 0.5], [1.0], [0.5, 0.5]], "one length"),
        ("probabilities", [[0.25, 0.0, 0.75], [1.0]], "same number of rows"),
        ("live", [[False] * 3, [True], [True, True]], "at least one op"),
        ("effects", [[1.0, float("nan"), 0.0], [0.0], [0.0, 0.0]], "finite"),
        ("stderr", [[0.1, -0.1, 0.1], [0.0], [0.0, 0.0]], "stderr"),
        ("effects", [["a", 0, 0], [0.0], [0.0, 0.0]], "broken"),
        ("effects", None, "broken"),
    ],
)
def test_broken_files_are_refused(field: str, rows: Any, match: str) -> None:
    with pytest.raises(InputError, match=match):
        Distribution.from_json(example().to_json() | {field: rows})


@pytest.mark.parametrize("value", [{}, [], None, {"hwnas_distribution": 2}, {"hwnas_distribution": 1}])
def test_other_files_are_refused(value: Any) -> None:
    with pytest.raises(InputError, match="distribution"):
        Distribution.from_json(value)


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (4, [0.509186, 0.151796, -0.151796, -0.509186]),
        (5, [0.5545, 0.2476, 0.0, -0.2476, -0.5545]),
        (7, [0.6104, 0.3665, 0.1741, 0.0, -0.1741, -0.3665, -0.6104]),
        (8, [0.6290, 0.4068, 0.2312, 0.0752, -0.0752, -0.2312, -0.4068, -0.6290]),
    ],
)
def test_log_weights_vectors(n: int, expected: list[float]) -> None:
    order = np.random.default_rng(n).permutation(n)
    weights = log_weights(-order.astype(float), 0.4)
    np.testing.assert_allclose(weights, np.array(expected)[order], atol=6e-5)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9), st.floats(0.05, 3))
def test_weights_sum_to_zero_and_follow_the_scores(scores: list[int], h: float) -> None:
    f = np.array(scores, dtype=np.float64)
    for weigh in (log_weights, distance_log_weights):
        weights = weigh(f, h)
        assert abs(weights.sum()) < 1e-12
        for a in range(len(f)):
            for b in range(len(f)):
                assert weights[a] >= weights[b] - 1e-12 if f[a] >= f[b] else weights[a] <= weights[b] + 1e-12
                assert f[a] != f[b] or weights[a] == weights[b]
