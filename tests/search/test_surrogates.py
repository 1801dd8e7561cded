"""PNAS and the Gaussian process: their numerics against direct formulas, their searches against brute force."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from hwnas.errors import RunError, UnknownName, UsageError
from hwnas.search.strategy import Strategy
from hwnas.search.surrogates import mlp
from hwnas.search.surrogates.gaussian_process import (
    LENGTHS,
    NOISES,
    Distances,
    Setting,
    condition,
    fit,
    lower_solve,
    squared_distances,
)
from hwnas.search.surrogates.gp import GaussianProcessSearch, mutants, near
from hwnas.search.surrogates.interaction_gp import expected_gain, quantiles
from hwnas.search.surrogates.paths import FEATURES, path_encoding
from hwnas.search.surrogates.pnas import ProgressiveSearch, stages
from hwnas.search.surrogates.prefixes import OPEN, completed, op_shares, widened
from tests.search.one_at_a_time import answer, following

Choice = tuple[int, ...]
Score = Callable[[Choice], float]


def additive(choices: Sequence[int], seed: int) -> tuple[Score, Choice]:
    """A sum over the choices, and where it is greatest."""
    rows = [np.random.default_rng((seed, i)).normal(size=k) for i, k in enumerate(choices)]
    best = tuple(int(np.argmax(row)) for row in rows)
    return lambda x: float(sum(row[op] for row, op in zip(rows, x, strict=True))), best


def run(strategy: Strategy, score: Score) -> list[Choice]:
    asks = []
    while not strategy.done:
        asks.append(following(strategy))
        answer(strategy, asks[-1], score(asks[-1]))
    return asks


@given(st.integers(1, 130), st.integers(1, 4), st.integers(0, 99))
def test_forward_substitution_solves(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    factor = np.tril(rng.normal(size=(n, n))) / n + np.eye(n)
    right = rng.normal(size=(n, m))
    np.testing.assert_allclose(factor @ lower_solve(factor, right, block=32), right, atol=1e-9)


@pytest.mark.parametrize("share", [0.0, 0.25])
def test_posterior_is_that_of_the_dense_formula(share: float) -> None:
    rng = np.random.default_rng(0)
    told, asked = rng.integers(3, size=(60, 5)), rng.integers(3, size=(7, 5))
    y, setting = rng.normal(size=60), Setting(0.4, share, 0.03)

    def between(a: np.ndarray, b: np.ndarray) -> Distances:
        differ = np.array([[np.mean(p != q) for q in b] for p in a])
        return Distances(differ, squared_distances(a.astype(float), b.astype(float)) if share else None)

    def dense(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        ops = np.array([[math.exp(-np.mean(p != q) / 0.4) for q in b] for p in a])
        more = np.array([[math.exp(-math.sqrt(np.sum((p - q) ** 2)) / 0.4) for q in b] for p in a])
        return (1 - share) * ops + share * more

    inverse = np.linalg.inv(dense(told, told) + 0.03 * np.eye(60))
    cross, s2 = dense(asked, told), y @ inverse @ y / 60
    posterior = condition(between(told, told), y, setting)
    mean, sd = posterior.predict(between(asked, told))
    np.testing.assert_allclose(mean, cross @ inverse @ y, atol=1e-9)
    np.testing.assert_allclose(sd**2, s2 * (1 - np.einsum("ij,jk,ik->i", cross, inverse, cross)), atol=1e-9)
    law = stats.multivariate_normal(np.zeros(60), s2 * (dense(told, told) + 0.03 * np.eye(60)))
    constant = -30 * (1 + math.log(2 * math.pi))
    assert posterior.log_likelihood() + constant == pytest.approx(law.logpdf(y), abs=1e-8)


def test_fit_takes_the_most_likely_setting_of_the_grid() -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(4, size=(40, 6))
    within = Distances(np.array([[np.mean(p != q) for q in x] for p in x]), None)
    y = rng.normal(size=40)
    likelihoods = {
        (length, noise): condition(within, y, Setting(length, 0.0, noise)).log_likelihood()
        for length in LENGTHS for noise in NOISES
    }
    chosen = fit(within, y)
    assert (chosen.length, chosen.noise) == max(likelihoods, key=likelihoods.__getitem__)
    assert near(LENGTHS[0]) == LENGTHS[:2]
    assert near(LENGTHS[-1]) == LENGTHS[-2:]
    assert near(LENGTHS[2]) == LENGTHS[1:4]


@pytest.mark.parametrize(("mean", "sd", "incumbent"), [(0.3, 1.2, 0.5), (2.0, 0.4, 0.0), (-3.0, 0.9, 0.1), (0, 1, 0)])
def test_expected_improvement_is_the_integral(mean: float, sd: float, incumbent: float) -> None:
    law = stats.norm(mean, sd)
    exact, _ = integrate.quad(lambda f: (f - incumbent) * law.pdf(f), incumbent, mean + 12 * sd, epsabs=1e-13)
    value = expected_gain(np.array([mean]), np.array([sd]), np.array([incumbent]))[0]
    assert value[0] == pytest.approx(exact, rel=1e-8, abs=1e-12)


def test_expected_improvement_without_doubt_is_the_gain() -> None:
    gain = expected_gain(np.array([1.0, 3.0]), np.full(2, 1e-12), np.array([2.5]))[0]
    np.testing.assert_allclose(gain, [0.0, 0.5], atol=1e-10)


@given(st.lists(st.integers(-3, 3).map(float), min_size=1, max_size=30))
def test_normal_scores_are_quantiles_of_mean_ranks(values: list[float]) -> None:
    scores = np.array(values)
    expected = stats.norm.ppf((stats.rankdata(scores) - 0.5) / len(scores))
    np.testing.assert_allclose(quantiles(scores), expected, atol=1e-9)


def test_mutants_differ_in_one_choice_and_all_are_equally_likely() -> None:
    choices, n = (3, 1, 4), 6000
    children = mutants(np.tile([2, 0, 1], (n, 1)), choices, np.random.default_rng(2))
    found, counts = np.unique(children, axis=0, return_counts=True)
    assert found.tolist() == [[0, 0, 1], [1, 0, 1], [2, 0, 0], [2, 0, 2], [2, 0, 3]]
    expected = n / 2 / np.array([2, 2, 3, 3, 3])
    assert ((counts - expected) ** 2 / expected).sum() < 20.0  # 4 degrees of freedom, 0.05 %


@pytest.mark.parametrize("encode", [None, lambda x: np.array([float(x[0] == x[1]), sum(x)])])
def test_the_process_asks_nothing_twice_and_finds_the_optimum(encode: Callable[[Choice], np.ndarray] | None) -> None:
    choices = (4, 4, 4, 4)
    score, best = additive(choices, 1)
    asks = run(GaussianProcessSearch(choices, 50, 0, encode=encode), score)
    assert len(set(asks)) == 50
    assert best in asks
    small = run(GaussianProcessSearch((2, 1, 3), 9, 0), lambda x: float(sum(x)))
    assert len(set(small[:6])) == 6


def test_a_told_encoding_counts() -> None:
    """Scores that are noise in the ops but smooth in the encoding: with it the better half is recognised."""
    choices, hidden = (5,) * 5, np.random.default_rng(0).normal(size=(5,) * 5)
    chosen = {
        flag: run(GaussianProcessSearch(choices, 60, 1, encode=(lambda x: hidden[x][None]) if flag else None),
                  lambda x: float(hidden[x]))
        for flag in (False, True)
    }
    late = {flag: float(np.mean([hidden[x] for x in asks[20:]])) for flag, asks in chosen.items()}
    assert late[True] > late[False] + 0.5


@pytest.mark.parametrize(
    "bad", [lambda _: np.zeros((2, 2)), lambda _: np.array([np.nan]), lambda _: np.array(1.0),
            lambda x: np.zeros(1 + x[0]), lambda _: ["a"]],
)
def test_broken_encodings_are_refused(bad: Callable[[Choice], np.ndarray]) -> None:
    strategy = GaussianProcessSearch([3, 3, 3], 20, initial=5, encode=bad)
    with pytest.raises(UsageError, match="encode"):
        run(strategy, sum)


def test_a_state_of_the_process_is_checked() -> None:
    strategy = GaussianProcessSearch([3, 3], 12, initial=2)
    for _ in range(4):
        answer(strategy, following(strategy), 1.0)
    state = strategy.state_dict()
    for broken in ({"setting": [0.1, 0.0]}, {"setting": [7.0, 0.0, 0.1]}, {"fitted": 9}, {"setting": 3}):
        with pytest.raises(RunError, match="new run"):
            strategy.load_state_dict(state | broken)
    with pytest.raises(RunError, match="encoded"):
        GaussianProcessSearch([3, 3], 12, initial=2, encode=path_encoding).load_state_dict(state)
    assert strategy.state_dict() == state


def test_path_features_of_cells_drawn_by_hand() -> None:
    """Blocks of features: 4 of edge 3_0, 16 of 1_0 3_1, 16 of 2_0 3_2, 64 of 1_0 2_1 3_2."""
    def at(*choice: int) -> list[int]:
        return np.flatnonzero(path_encoding(choice)).tolist()

    assert FEATURES == 100 == len(path_encoding((0,) * 6))
    assert at(0, 0, 0, 0, 0, 0) == []
    assert at(0, 0, 0, 3, 0, 0) == [2]
    assert at(1, 0, 0, 0, 4, 0) == [4 + 0 * 4 + 3]
    assert at(0, 2, 0, 0, 0, 3) == [20 + 1 * 4 + 2]
    assert at(4, 0, 3, 0, 0, 2) == [36 + 3 * 16 + 2 * 4 + 1]
    assert at(3, 3, 3, 1, 3, 3) == [0, 4 + 10, 20 + 10, 36 + 42]
    assert at(2, 4, 0, 0, 0, 0) == at(0, 0, 0, 0, 0, 0)  # what does not reach the output does not count


@pytest.mark.parametrize("bad", [(0,) * 5, (0,) * 7, (5, 0, 0, 0, 0, 0), (0, 0, -1, 0, 0, 0)])
def test_cells_of_another_space_have_no_path_encoding(bad: Choice) -> None:
    with pytest.raises(UsageError, match="path encoding"):
        path_encoding(bad)


def test_gradient_of_the_ensemble() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((12, 5)), rng.normal(size=12)
    kept = (rng.random((mlp.MEMBERS, 12)) < 0.8) / 9
    flat = rng.normal(size=mlp.Weights.size(5)) / 3
    slopes = mlp.loss_gradient(mlp.Weights.of(flat, 5), x, y, kept)
    for k in rng.choice(len(flat), 40, replace=False):
        ends = [mlp.loss(mlp.Weights.of(flat + step * (np.arange(len(flat)) == k), 5), x, y, kept)
                for step in (1e-6, -1e-6)]
        assert slopes[k] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)


def test_the_ensemble_learns_pairs_that_no_sum_holds() -> None:
    choices, rng = (4, 4, 4), np.random.default_rng(0)
    space = list(itertools.product(range(4), repeat=3))
    score = np.array([5.0 * (x[0] == x[1]) + x[2] for x in space])
    shown = rng.permutation(64)[:50]
    shares = op_shares(space, choices)
    predicted = mlp.fit_ensemble(shares[shown], score[shown], rng).predict(shares)
    assert stats.spearmanr(predicted[shown], score[shown]).statistic > 0.95
    held = np.setdiff1d(np.arange(64), shown)
    assert np.abs(predicted[held] - score[held]).mean() < 0.6 * np.abs(score[held] - score[shown].mean()).mean()


def test_prefixes_grow_and_end() -> None:
    choices = (2, 3, 1)
    start = (OPEN, OPEN, 0)
    grown = widened(widened([start], 1, choices), 0, choices)
    assert grown == [(a, b, 0) for b in range(3) for a in range(2)]
    np.testing.assert_allclose(op_shares([start, (1, 2, 0)], choices),
                               [[0.5, 0.5, 1 / 3, 1 / 3, 1 / 3, 1], [0, 1, 0, 0, 1, 1]])
    rng, full = np.random.default_rng(0), {(1, 0, 0), (1, 1, 0)}
    assert {completed((1, OPEN, 0), choices, full, rng) for _ in range(9)} >= {(1, 2, 0)}
    assert completed((1, 1, 0), choices, full, rng) == (1, 1, 0)


def test_stages_are_as_many_as_choices_unless_evaluations_are_few() -> None:
    assert stages((3, 1, 3, 3), [3, 2, 1, 0], 100) == [[3], [2], [0]]
    assert stages((3,) * 6, list(range(6)), 16) == [[0, 1, 2], [3, 4, 5]]
    assert stages((3, 3), [0, 1], 1) == [[0, 1]]
    assert stages((1, 1), [0, 1], 50) == []


@pytest.mark.parametrize("surrogate", ["additive", "mlp"])
def test_progressive_search_finds_the_optimum_of_a_sum(surrogate: str) -> None:
    choices = (4, 3, 5, 1, 4)
    found = 0
    for seed in range(4):
        score, best = additive(choices, seed)
        asks = run(ProgressiveSearch(choices, 80, seed, surrogate=surrogate), score)
        assert len(asks) == 80
        found += best in asks
    assert found >= 3 + (surrogate == "additive")


def test_every_stage_asks_what_grew_from_the_beam_before() -> None:
    choices, score = (4, 4, 4, 4), additive((4, 4, 4, 4), 3)[0]
    strategy = ProgressiveSearch(choices, 64, 0, surrogate="additive", order=[2, 0, 3, 1])
    beams: list[set[Choice]] = [{(OPEN,) * 4}]
    asks = []
    for n in range(64):
        asks.append(following(strategy))
        if n % 16 == 0 and n < 48:
            beam = {tuple(prefix) for prefix in strategy.state_dict()["beam"]}
            opened = [2, 0, 3, 1][n // 16]
            assert beam <= set(widened(sorted(beams[-1]), opened, choices))
            beams.append(beam)
        assert n >= 48 or any(all(p in (OPEN, x) for p, x in zip(b, asks[-1], strict=True)) for b in beams[-1])
        answer(strategy, asks[-1], score(asks[-1]))
    assert [len(beam) for beam in beams[1:]] == [4, 16, 16]
    assert all(x[:1] + x[2:] in {p[:1] + p[2:] for p in beams[-1]} for x in asks[48:])
    assert len(set(asks[48:])) == 16
    assert not set(asks[48:]) & set(asks[:48])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=7), st.integers(1, 60), st.integers(0, 9))
def test_progressive_search_spends_what_it_has(choices: list[int], evaluations: int, seed: int) -> None:
    asks = run(ProgressiveSearch(choices, evaluations, seed, surrogate="additive"), additive(choices, seed)[0])
    assert len(asks) == evaluations
    assert all(0 <= op < k for x in asks for op, k in zip(x, choices, strict=True))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(UnknownName, match="additive, mlp"):
        ProgressiveSearch([3, 3], 10, surrogate="rnn")
    for order in ([0], [0, 0], [0, 2]):
        with pytest.raises(UsageError, match="order"):
            ProgressiveSearch([3, 3], 10, order=order)
    with pytest.raises(UsageError, match="initial"):
        GaussianProcessSearch([3, 3], 10, initial=0)


def test_a_beam_of_another_stage_is_refused() -> None:
    strategy = ProgressiveSearch([3, 3, 3], 40, surrogate="additive")
    answer(strategy, following(strategy), 1.0)
    state = strategy.state_dict()
    for broken in ({"stage": 2}, {"stage": -1}, {"stage": 9}, {"beam": [[0, 0, 0]]}, {"plan": [[0, -1, 0]]}):
        with pytest.raises(RunError, match="new run"):
            strategy.load_state_dict(state | broken)
    assert strategy.state_dict() == state
