"""What an operation is worth, kind by kind."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hwnas.errors import UnknownName, UsageError
from hwnas.generate import solve
from hwnas.generate.utilities import KINDS, utilities_of
from hwnas.search.distribution import Distribution

THETA = [[0.5, 0.5, 0.0], [0.1, 0.9]]
BETA, ERROR = [[1.0, -1.0, 0.5], [0.0, 2.0]], [[0.5, 0.25, 0.0], [1.0, 3.0]]
LIVE = [[True, True, False], [True, True]]


def test_every_kind() -> None:
    assert [r.tolist() for r in utilities_of("logprob", probabilities=THETA)] == [
        [math.log(0.5), math.log(0.5), -math.inf], [math.log(0.1), math.log(0.9)]]
    assert [r.tolist() for r in utilities_of("prob", probabilities=THETA, live=LIVE)] == [
        [0.5, 0.5, -math.inf], [0.1, 0.9]]
    assert [r.tolist() for r in utilities_of("effect", effects=BETA)] == BETA
    assert [r.tolist() for r in utilities_of("effect_lcb", effects=BETA, stderr=ERROR, z=2, live=LIVE)] == [
        [0.0, -1.5, -math.inf], [-2.0, -4.0]]
    assert [r.tolist() for r in utilities_of("own", own=[[1, -math.inf], [3]])] == [[1.0, -math.inf], [3.0]]


def test_as_a_distribution_gives_them() -> None:
    rng = np.random.default_rng(0)
    live = [np.array([True, True, False, True]), np.array([True, True])]
    rows = [rng.dirichlet(np.ones(mask.sum())) for mask in live]
    theta = [np.zeros(len(mask)) for mask in live]
    for row, mask, p in zip(theta, live, rows, strict=True):
        row[mask] = p
    law = Distribution(theta, live, [rng.normal(size=len(m)) for m in live], [rng.random(len(m)) for m in live])
    for kind in ("logprob", "prob", "effect", "effect_lcb"):
        mine = utilities_of(kind, probabilities=law.probabilities, effects=law.effects, stderr=law.stderr,
                            live=law.live, z=1.5)
        for a, b in zip(mine, law.utilities(kind, 1.5), strict=True):
            assert a.tolist() == b.tolist()


def test_the_sum_of_probabilities_ranks_otherwise_than_their_product() -> None:
    three = [[0.5, 0.5 - 1e-3, 1e-3], [0.98, 0.02], [0.98, 0.02]]
    dear = [[9, 3, 0], [0, 0], [9, 6]]
    first = solve(utilities_of("prob", probabilities=three), dear, 9)
    second = solve(utilities_of("logprob", probabilities=three), dear, 9)
    assert first.choice == (2, 0, 0)
    assert second.choice == (1, 0, 1)


@pytest.mark.parametrize("kind, given, message", [
    ("logprob", {}, "needs probabilities"),
    ("effect_lcb", {"effects": BETA}, "needs stderr"),
    ("effect_lcb", {"effects": BETA, "stderr": [[1.0], [1.0]]}, "differ in shape"),
    ("effect_lcb", {"effects": BETA, "stderr": ERROR, "z": -1.0}, "at least 0"),
    ("logprob", {"probabilities": [[-0.1, 1.1]]}, "negative"),
    ("effect", {"effects": [[math.inf]]}, "finite"),
    ("effect", {"effects": [[[1.0]]]}, "flat list"),
    ("effect", {"effects": BETA, "live": [[True], [True]]}, "live differs"),
    ("logprob", {"probabilities": [[0.0, 0.0]]}, "every operation masked"),
    ("own", {"own": [[math.nan]]}, "finite"),
])
def test_refusals(kind: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        utilities_of(kind, **given)


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(UnknownName, match="logprob"):
        utilities_of("logprop", probabilities=THETA)
    assert set(KINDS) == {"logprob", "prob", "effect", "effect_lcb", "own"}
