"""Learners of a product law with any scores and any options: still a law, still resumable, or refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import UsageError
from hwnas.search.distribution_learning.fpnas import FpNas
from hwnas.search.distribution_learning.parsec import Parsec
from hwnas.search.registry import create
from tests.search.one_at_a_time import answer, following

NAMES = ["asng", "ddpnas", "fpnas", "mdenas", "parsec", "pbil", "sng"]


def law(strategy: Any) -> list[np.ndarray]:
    return list(strategy.distribution().probabilities)


def additive(rows: Sequence[np.ndarray], x: Sequence[int]) -> float:
    return float(sum(row[op] for row, op in zip(rows, x, strict=True)))


@pytest.mark.parametrize("name", NAMES)
def test_equal_scores_leave_the_preference_alone(name: str) -> None:
    strategy = create(name, [4, 2, 3], evaluations=80, seed=1)
    while not strategy.done:
        answer(strategy, following(strategy), 0.3)
    for p, mask in zip(law(strategy), strategy.distribution().live, strict=True):
        np.testing.assert_allclose(p, mask / mask.sum(), rtol=0, atol=1e-12)


@settings(max_examples=70, deadline=None)
@given(st.sampled_from(NAMES), st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(0, 2**32),
       st.sampled_from([1.0, 1e60]))
def test_the_law_stays_a_law(name: str, choices: list[int], seed: int, size: float) -> None:
    strategy, rng = create(name, choices, evaluations=50, seed=seed), np.random.default_rng(seed)
    while not strategy.done:
        answer(strategy, following(strategy), size * float(rng.integers(3)) if seed % 2 else size * rng.normal())
        for p in strategy.law():  # type: ignore[attr-defined]
            assert abs(p.sum() - 1) < 1e-12
            assert p.min() >= 0


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("fpnas", {"factors": [[2, 3], [1], [4]], "coarse": 20, "costs": [[1.0] * 6, [0.0], [0.0, 1.0, 2.0, 3.0]],
               "target": 2.0}),
    ("ddpnas", {"s": 2, "gamma": 0.5, "scale": 0.01}),
    ("asng", {"lam": 6, "delta0": 4.0}),
    ("mdenas", {"lr": 0.2, "rounds": 1}),
    ("pbil", {"lam": 5, "mu": 2, "eta": 1.0}),
]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_resume_with_other_options(name: str, options: dict[str, Any]) -> None:
    def make(seed: int) -> Any:
        return create(name, [6, 1, 4], evaluations=40, seed=seed, **options)

    rows = [np.random.default_rng(i).normal(size=k) for i, k in enumerate((6, 1, 4))]
    strategy, states, asks = make(1), [], []
    while not strategy.done:
        states.append(json.dumps(strategy.state_dict(), allow_nan=False))
        asks.append(following(strategy))
        answer(strategy, asks[-1], additive(rows, asks[-1]))
    for at, state in enumerate(states):
        resumed = make(9)
        resumed.load_state_dict(json.loads(state))
        for choice in asks[at:]:
            assert following(resumed) == choice
            answer(resumed, choice, additive(rows, choice))
        assert resumed.state_dict() == strategy.state_dict()


def test_going_joint_changes_no_probability() -> None:
    rows = [np.random.default_rng(i).normal(size=k) for i, k in enumerate((6, 4))]
    for coarse in range(1, 40, 7):
        joint, still = (FpNas([6, 4], 80, seed=3, factors=[[2, 3], [4]], coarse=n) for n in (coarse, 80))
        while len(joint.state_dict()["logits"]) == 9:
            choice = following(joint)
            assert following(still) == choice
            for strategy in (joint, still):
                answer(strategy, choice, additive(rows, choice))
        assert len(joint.state_dict()["logits"]) == 10
        assert joint.state_dict()["learnt"] >= coarse
        for p, q in zip(law(joint), law(still), strict=True):
            np.testing.assert_allclose(p, q, rtol=0, atol=1e-12)
        assert joint.state_dict()["adam"]["t"] == 0


@pytest.mark.parametrize(
    ("name", "options", "match"),
    [
        ("pbil", {"lam": 4, "mu": 4}, "mu must be below lam"),
        ("pbil", {"eta": 1.5}, "eta must be at most 1"),
        ("sng", {"lam": 1}, "lam must be a whole number of at least 2"),
        ("sng", {"delta": 0}, "delta must be a finite number above 0"),
        ("asng", {"alpha": float("inf")}, "alpha must be a finite number above 0"),
        ("asng", {"delta0": -1}, "delta0 must be"),
        ("mdenas", {"lr": float("nan")}, "lr must be"),
        ("mdenas", {"rounds": 0}, "rounds must be"),
        ("ddpnas", {"s": 0}, "s must be"),
        ("ddpnas", {"gamma": 1.0}, "gamma must be at least 0 and below 1"),
        ("ddpnas", {"scale": 0.0}, "scale must be"),
        ("parsec", {"k": 1}, "k must be a whole number of at least 2"),
        ("parsec", {"temperature": 0}, "temperature must be"),
        ("fpnas", {"k_min": 1}, "k_min must be"),
        ("fpnas", {"factors": [[2, 2], [3]]}, "coarse must be"),
        ("fpnas", {"factors": [[2, 2], [2]], "coarse": 5}, "factors must multiply"),
        ("fpnas", {"factors": [[-2, -2], [3]], "coarse": 5}, "a factor must be"),
        ("fpnas", {"coarse": 5}, "needs factors"),
        ("fpnas", {"target": 5.0}, "go together"),
        ("fpnas", {"costs": [[1.0], [2.0]], "target": 1.0}, "costs must have"),
        ("fpnas", {"costs": [[1.0] * 4, [1, 2, float("inf")]], "target": 1.0}, "finite"),
        ("fpnas", {"costs": [[1.0] * 4, [1, 2, 3]], "target": 0.0}, "target must be"),
    ],
)
def test_settings_out_of_range_are_refused(name: str, options: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        create(name, [4, 3], evaluations=20, **options)


def test_batches_need_not_fit_the_evaluations() -> None:
    parsec = Parsec([3, 3], 40, k=16)
    while not parsec.done:
        choice = following(parsec)
        answer(parsec, choice, float(sum(choice)))
    assert parsec.state_dict()["learnt"] == 32
    assert parsec.best == ((2, 2), 4.0)
