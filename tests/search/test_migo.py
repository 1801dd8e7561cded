"""MIGO against hand-computed vectors, and its invariants on random ragged problems."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hwnas.errors import UnknownName, UsageError
from hwnas.search.migo import MigoOptimizer
from hwnas.search.simplex import fisher_length
from tests.search.one_at_a_time import answer, following

SAMPLES = [[0, 1, 2], [1, 2, 3], [2, 3, 0], [3, 0, 1]]
SCORES = [0.9, 0.8, 0.7, 0.6]


def run_cycle(optimizer: MigoOptimizer, samples: Sequence[Sequence[int]], scores: Sequence[float]) -> None:
    """Make the next cycle the given one: through the saved state, as a resumed run would."""
    optimizer.load_state_dict(optimizer.state_dict() | {"plan": [list(sample) for sample in samples]})
    for sample, score in zip(samples, scores, strict=True):
        assert following(optimizer) == tuple(sample)
        answer(optimizer, sample, score)


def assert_shifted_rows(optimizer: MigoOptimizer, expected: Sequence[float]) -> None:
    for shift, row in enumerate(optimizer.distribution().probabilities):
        np.testing.assert_allclose(row, np.roll(expected, shift), rtol=0, atol=5e-7)


@pytest.mark.parametrize(
    ("gamma", "first", "second"),
    [
        (0.0, [0.414625, 0.290045, 0.184219, 0.111111], [0.472418, 0.286992, 0.129479, 0.111111]),  # T1
        (0.8, [0.289123, 0.261663, 0.238337, 0.210877], [0.359099, 0.282524, 0.217476, 0.140901]),  # T2
    ],
)
def test_reference_vectors(gamma: float, first: list[float], second: list[float]) -> None:
    optimizer = MigoOptimizer([4, 4, 4], mode="reference", gamma=gamma, s=3)
    run_cycle(optimizer, SAMPLES, SCORES)
    assert_shifted_rows(optimizer, first)
    run_cycle(optimizer, SAMPLES, SCORES)
    assert_shifted_rows(optimizer, second)


def test_reference_prunes_the_least_probable() -> None:
    optimizer = MigoOptimizer([4, 4, 4], mode="reference", gamma=0.0, s=2)
    run_cycle(optimizer, SAMPLES, SCORES)
    run_cycle(optimizer, SAMPLES, SCORES)
    assert [int(np.flatnonzero(~mask)[0]) for mask in optimizer.distribution().live] == [3, 0, 1]


def test_corrected_vector() -> None:
    optimizer = MigoOptimizer([4, 4, 4], mode="corrected")
    run_cycle(optimizer, SAMPLES, SCORES)
    assert_shifted_rows(optimizer, [0.369671, 0.260407, 0.204745, 0.165177])  # T2b
    unlifted = (optimizer.distribution().probabilities[0] - 1 / 9) / (1 - 4 / 9)
    np.testing.assert_allclose(unlifted, [0.465409, 0.268732, 0.168542, 0.097318], rtol=0, atol=2e-6)


def test_gamma_only_scales_the_first_corrected_step_away() -> None:
    laws = []
    for gamma in (0.0, 0.9):
        optimizer = MigoOptimizer([4, 4, 4], mode="corrected", gamma=gamma)
        run_cycle(optimizer, SAMPLES, SCORES)
        laws.append(optimizer.distribution().probabilities)
    np.testing.assert_allclose(laws[0], laws[1], rtol=1e-12)


@pytest.mark.parametrize("mode", ["reference", "corrected", "pooled"])
def test_equal_scores_leave_the_law_unchanged(mode: str) -> None:
    optimizer = MigoOptimizer([4, 4, 4], mode=mode)
    run_cycle(optimizer, SAMPLES, [0.3] * 4)
    np.testing.assert_array_equal(optimizer.distribution().probabilities, np.full((3, 4), 0.25))


def test_a_cycle_of_equal_scores_does_not_move_a_corrected_law() -> None:
    optimizer = MigoOptimizer([4, 4, 4], mode="corrected")
    run_cycle(optimizer, SAMPLES, SCORES)
    before = optimizer.state_dict()
    run_cycle(optimizer, SAMPLES, [0.3] * 4)
    assert optimizer.state_dict()["probabilities"] == before["probabilities"]


@pytest.mark.parametrize(("choices", "expected"), [([8] * 28, 105), ([7] * 21, 81), ([5] * 6, 42), ([8, 2, 3], 105)])
@pytest.mark.parametrize("mode", ["corrected", "pooled", "reference"])
def test_evaluation_counts(choices: list[int], expected: int, mode: str) -> None:
    if mode == "reference" and len(set(choices)) > 1:
        return
    optimizer, rng = MigoOptimizer(choices, mode=mode), np.random.default_rng(0)
    assert optimizer.evaluations == expected
    told = 0
    while not optimizer.done:
        answer(optimizer, following(optimizer), rng.normal())
        told += 1
    assert told == expected
    assert all(mask.sum() == 1 for mask in optimizer.distribution().live)


ragged = st.fixed_dictionaries(
    {
        "choices": st.lists(st.integers(1, 4), min_size=1, max_size=5),
        "mode": st.sampled_from(["corrected", "pooled"]),
        "s": st.integers(1, 2),
        "per_row": st.booleans(),
        "delta": st.sampled_from([0.1, 1.0, 5.0]),
        "seed": st.integers(0, 2**32),
    }
)


def scores_of(kind: int, rng: np.random.Generator) -> float:
    """Continuous, heavily tied, or huge scores."""
    return [rng.normal(), float(rng.integers(2)), 1e60 * rng.normal()][kind]


@settings(max_examples=300, deadline=None)
@given(ragged, st.integers(0, 2))
def test_invariants_on_random_ragged_problems(setup: dict[str, Any], kind: int) -> None:
    """Rows on the simplex; dead ops without mass, never sampled; every live op sampled equally often per cycle."""
    optimizer, rng = MigoOptimizer(**setup), np.random.default_rng(setup["seed"])
    law = optimizer.distribution()
    while not optimizer.done:
        length = max(int(mask.sum()) for mask in law.live)
        cycle = []
        for _ in range(length):
            cycle.append(following(optimizer))
            answer(optimizer, cycle[-1], scores_of(kind, rng))
        for i, mask in enumerate(law.live):
            counts = np.bincount([sample[i] for sample in cycle], minlength=len(mask))
            assert not counts[~mask].any()
            assert np.ptp(counts[mask]) <= 1
        law = optimizer.distribution()
        for p, mask in zip(law.probabilities, law.live, strict=True):
            assert abs(p.sum() - 1) < 1e-12
            assert p.min() >= 0
            assert not p[~mask].any()
            assert p[mask].min() > 0
        for v, mask in zip(optimizer.state_dict()["velocity"], law.live, strict=True):
            assert not np.array(v)[~mask].any()
    assert len(optimizer.state_dict()["records"]["samples"]) == optimizer.evaluations


def tangent_of(before: np.ndarray, after: np.ndarray, live: np.ndarray, free: int) -> np.ndarray:
    """Invert floor and exponential map: the tangent vector that led from one law to the next."""
    n = int(live.sum())
    tau = min(1 / (free * (n - 1)), 1 / (2 * n)) if n > 1 else 0.0
    moved = np.where(live, (after - tau) / (1 - n * tau), 0.0)
    logs = np.log(np.divide(moved, before, out=np.ones_like(before), where=live))
    return np.asarray(before * (logs - before @ logs))


@settings(max_examples=300, deadline=None)
@given(ragged.filter(lambda setup: max(setup["choices"]) > 1))
def test_every_step_has_fisher_length_delta(setup: dict[str, Any]) -> None:
    """Undone from the outside: floor and exponential inverted, the tangent is as long as the trust region."""
    setup = setup | {"s": 1000, "delta": min(setup["delta"], 1.0)}
    optimizer, rng = MigoOptimizer(**setup), np.random.default_rng(setup["seed"])
    free = sum(k > 1 for k in setup["choices"])
    for _ in range(3):
        before = optimizer.distribution()
        for _ in range(max(setup["choices"])):
            answer(optimizer, following(optimizer), rng.normal())
        after = optimizer.distribution().probabilities
        tangent = [
            tangent_of(b, a, mask, free) for b, a, mask in zip(before.probabilities, after, before.live, strict=True)
        ]
        if setup["per_row"]:
            for v, b in zip(tangent, before.probabilities, strict=True):
                length = fisher_length([v], [b])  # 0 where the samples that hold an op cancel exactly
                assert min(length, abs(length - setup["delta"] / np.sqrt(free))) < 1e-9
            continue
        assert fisher_length(tangent, list(before.probabilities)) == pytest.approx(setup["delta"], abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(1, 4), st.integers(0, 2**32), st.data())
def test_keep_and_protect(choices: list[int], keep: int, seed: int, data: st.DataObject) -> None:
    if keep >= max(choices) > 1:
        with pytest.raises(UsageError, match="keep"):
            MigoOptimizer(choices, keep=keep)
        return
    protect = [data.draw(st.integers(0, k - 1)) for k in choices]
    optimizer = MigoOptimizer(choices, keep=keep, protect=protect, s=1, seed=seed)
    assert optimizer.evaluations == sum(range(keep + 1, max(choices) + 1))
    while not optimizer.done:
        choice = following(optimizer)
        answer(optimizer, choice, -sum(x == p for x, p in zip(choice, protect, strict=True)))
    live = optimizer.distribution().live
    assert [int(mask.sum()) for mask in live] == [min(k, keep) for k in choices]
    assert all(mask[p] for mask, p in zip(live, protect, strict=True))


def test_protected_ops_would_have_been_pruned() -> None:
    for protect, expected in ((None, [[1, 2], [0, 2]]), ([0, 0], [[0, 2], [0, 2]])):
        optimizer = MigoOptimizer([3, 3], keep=2, protect=protect, s=20)
        while not optimizer.done:
            choice = following(optimizer)
            answer(optimizer, choice, [0, 5, 9][choice[0]] + [4, 0, 9][choice[1]])
        assert [np.flatnonzero(mask).tolist() for mask in optimizer.distribution().live] == expected


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(1, 4), st.integers(0, 2**32), st.data())
def test_several_ops_of_a_choice_are_protected(choices: list[int], keep: int, seed: int, data: st.DataObject) -> None:
    assume(keep < max(choices))
    protect = [data.draw(st.lists(st.integers(0, k - 1), min_size=1, max_size=3, unique=True)) for k in choices]
    optimizer = MigoOptimizer(choices, keep=keep, protect=protect, s=1, seed=seed)
    while not optimizer.done:
        choice = following(optimizer)
        answer(optimizer, choice, -sum(x in ops for x, ops in zip(choice, protect, strict=True)))
    live = optimizer.distribution().live
    assert all(mask[ops].all() for mask, ops in zip(live, protect, strict=True))
    left, least = [int(mask.sum()) for mask in live], [min(k, keep) for k in choices]
    assert left == least if max(map(len, protect)) <= keep else all(n >= k for n, k in zip(left, least, strict=True))
    again = MigoOptimizer(choices, keep=keep, protect=protect, s=1, seed=seed)
    again.load_state_dict(json.loads(json.dumps(optimizer.state_dict())))
    assert again.state_dict() == optimizer.state_dict()


def test_pooled_prunes_the_least_effect_and_not_the_least_probability() -> None:
    optimizer, rng, disagreed = MigoOptimizer([6] * 6, s=1, gamma=0.9), np.random.default_rng(0), 0
    before = optimizer.distribution()
    while not optimizer.done:
        answer(optimizer, following(optimizer), rng.normal())
        after = optimizer.distribution()
        for old, new, b, p in zip(before.live, after.live, after.effects, before.probabilities, strict=True):
            if old.sum() > new.sum():
                pruned = int(np.flatnonzero(old & ~new)[0])
                assert pruned == np.argmin(np.where(old, b, np.inf))
                disagreed += pruned != np.argmin(np.where(old, p, np.inf))
        before = after
    assert disagreed > 5


def test_narrow_choices_wait_for_the_wide_ones() -> None:
    optimizer, rng, seen = MigoOptimizer([2, 5], s=1), np.random.default_rng(0), []
    while not optimizer.done:
        seen.append(tuple(int(mask.sum()) for mask in optimizer.distribution().live))
        answer(optimizer, following(optimizer), rng.normal())
    assert list(dict.fromkeys(seen)) == [(2, 5), (2, 4), (2, 3), (2, 2)]


def test_a_drift_of_the_scores_is_not_an_effect() -> None:
    """A supernet that trains on gains much more between cycles than ops differ; pooling must not see it."""
    optimizer, told = MigoOptimizer([4, 4, 4], keep=3, s=6), 0
    while not optimizer.done:
        choice = following(optimizer)
        answer(optimizer, choice, 100.0 * (told // 4) + choice[0])
        told += 1
    effects = optimizer.distribution().effects
    assert effects[0][3] > effects[0][2] > effects[0][1] > effects[0][0]
    assert max(np.abs(effects[1]).max(), np.abs(effects[2]).max()) < 1.0


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"mode": "fast"}, "unknown mode"),
        ({"utility": "logg"}, "Did you mean 'log'"),
        ({"s": 0}, "s must"),
        ({"s": 1.5}, "s must"),
        ({"delta": 0.0}, "delta must"),
        ({"gamma": 1.0}, "gamma must"),
        ({"gamma": float("nan")}, "gamma must"),
        ({"h": -1.0}, "h must"),
        ({"ridge": float("inf")}, "ridge must"),
        ({"keep": 0}, "keep must"),
        ({"keep": 4}, "keep must"),
        ({"protect": [0]}, "one op per choice"),
        ({"protect": [0, 4, 0]}, "protect of choice 1"),
        ({"seed": -1}, "seed must"),
        ({"mode": "reference"}, "same number of ops"),
    ],
)
def test_settings_out_of_range(options: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        MigoOptimizer([3, 4, 4], **options)


def test_unknown_mode_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName):
        MigoOptimizer([3], mode="pooling")


def test_numpy_settings_are_saved_as_plain_numbers() -> None:
    optimizer = MigoOptimizer(np.array([3, 3]), s=np.int64(2), protect=np.array([0, 1]), delta=np.float64(1))  # type: ignore[arg-type]
    options = optimizer.state_dict()["options"]
    assert {type(options[name]) for name in ("s", "delta", "per_row")} == {int, float}
    assert options["protect"] == [0, 1]
