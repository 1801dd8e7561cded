"""Beliefs about losses of options, updated by the truth about whole plans."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from hwnas.surgery.plan import Option, Plan
from hwnas.surgery.planning import Losses
from hwnas.surgery.residual import corrected

A, B = Option("thin50"), Option("none")
UNITS = [f"u{i:02d}" for i in range(8)]


def drawn(rng: np.random.Generator, count: int) -> list[dict[str, Option]]:
    return [{u: (A, B)[int(rng.integers(2))] for u in UNITS if rng.random() < 0.6} for _ in range(count)]


def losses_for(rng: np.random.Generator) -> Losses:
    mean = {(u, o.key): float(rng.uniform(0.01, 0.1)) for u in UNITS for o in (A, B)}
    pairs = {(a, x.key, b, y.key): 0.0 for a, b in pairwise(UNITS) for x in (A, B) for y in (A, B)}
    return Losses(mean, dict.fromkeys(mean, 0.001), pairs)


def total(losses: Losses, plans: list[dict[str, Option]]) -> np.ndarray:
    return np.array([losses.predict(plan) for plan in plans])


@pytest.mark.parametrize("factor", [0.6, 1.0, 3.0])
def test_one_factor_for_all_is_found_from_a_few_plans(factor: float) -> None:
    rng = np.random.default_rng(0)
    losses, known, unknown = losses_for(rng), drawn(rng, 8), drawn(rng, 20)
    found = corrected(losses, known, (factor * total(losses, known)).tolist())
    wanted = factor * total(losses, unknown)
    assert np.abs(total(found, unknown) / np.maximum(wanted, 1e-9) - 1).mean() < 0.06 * max(1, factor - 1)


@pytest.mark.parametrize("seed", range(5))
def test_an_option_that_was_judged_too_kindly_is_found_out(seed: int) -> None:
    rng = np.random.default_rng(seed)
    losses = losses_for(rng)
    truth = Losses({**losses.mean, ("u03", B.key): 0.5}, losses.error, losses.pairs)
    known, unknown = drawn(rng, 40), drawn(rng, 40)
    found = corrected(losses, known, total(truth, known).tolist())
    assert max(found.mean, key=lambda key: found.mean[key]) == ("u03", B.key)
    assert found.mean["u03", B.key] > 2 * losses.mean["u03", B.key]
    before, after = (np.abs(total(x, unknown) - total(truth, unknown)).mean() for x in (losses, found))
    assert after < 0.8 * before


def test_it_is_the_posterior_of_a_linear_model() -> None:
    """Against the mean of many draws from the prior, weighted by their likelihood, for two terms."""
    losses, plan = Losses({("u00", A.key): 0.2, ("u01", A.key): 0.1}), {"u00": A, "u01": A}
    found = corrected(losses, [plan], [0.45])
    rng, m = np.random.default_rng(0), np.array([0.2, 0.1])
    v = np.outer(m, m) + np.diag(np.square(0.3 * m + 0.15))
    drawn_from = rng.multivariate_normal(m, v, 400_000)
    weight = np.exp(-0.5 * np.square((drawn_from.sum(1) - 0.45) / (0.05 * 0.45)))
    wanted = (weight[:, None] * drawn_from).sum(0) / weight.sum()
    assert [found.mean["u00", A.key], found.mean["u01", A.key]] == pytest.approx(wanted, abs=0.003)


def test_truths_that_are_as_predicted_change_nothing() -> None:
    rng = np.random.default_rng(3)
    losses, known = losses_for(rng), drawn(rng, 12)
    found = corrected(losses, known, total(losses, known).tolist())
    assert list(found.mean.values()) == pytest.approx(list(losses.mean.values()))
    assert found.error == losses.error


def test_nothing_known_corrects_nothing() -> None:
    losses = losses_for(np.random.default_rng(1))
    assert corrected(losses, [], []) is losses
    assert corrected(Losses({}), [{}], [0.0]) == Losses({})
    nothing: Plan = {}
    assert all(np.isfinite(list(corrected(losses, [nothing], [0.0]).mean.values())))


def test_what_adds_up_to_more_than_it_is_together_goes_into_pairs_of_neighbours() -> None:
    rng = np.random.default_rng(4)
    losses = losses_for(rng)
    truth = Losses(losses.mean, losses.error, {**losses.pairs, ("u01", B.key, "u02", B.key): 0.4})
    plans = [{a: x, b: y} for a, b in combinations(UNITS, 2) for x, y in ((A, B), (B, A), (B, B))]
    found = corrected(losses, plans, total(truth, plans).tolist())
    assert found.pairs["u01", B.key, "u02", B.key] == max(found.pairs.values())
    assert found.predict({"u01": B, "u02": B}) == pytest.approx(truth.predict({"u01": B, "u02": B}), rel=0.15)
