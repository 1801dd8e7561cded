"""Does it search? Every figure stands beside random search at equal evaluations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwnas.search.migo import MigoOptimizer
from hwnas.search.random_search import RandomSearch
from hwnas.search.strategy import Strategy
from tests.search.one_at_a_time import answer, following

MACRO = Path(__file__).parents[3] / "shared" / "data" / "nasbench_macro" / "nasbench_macro.parquet"

Score = Callable[[tuple[int, ...]], float]


def finish(strategy: Strategy, score: Score) -> Strategy:
    while not strategy.done:
        choice = following(strategy)
        answer(strategy, choice, score(choice))
    return strategy


def mean_regret(make: Callable[[int], Strategy], accuracy: dict[tuple[int, ...], float]) -> float:
    """Percent below the best network of the table, of the better of mode and best evaluated; 50 seeds."""
    found = []
    for seed in range(50):
        strategy = finish(make(seed), accuracy.__getitem__)
        assert strategy.best is not None
        found.append(max(accuracy[strategy.distribution().mode()], strategy.best[1]))
    return float(max(accuracy.values()) - np.mean(found))


@pytest.fixture(scope="module")
def accuracy() -> dict[tuple[int, ...], float]:
    """Architecture -> mean test accuracy in percent."""
    if not MACRO.exists():
        pytest.skip(f"the NAS-Bench-Macro table is not beside the repository ({MACRO.name})")
    table = pytest.importorskip("pyarrow.parquet").read_table(MACRO, columns=["arch", "mean_acc"]).to_pydict()
    return {tuple(map(int, arch)): acc for arch, acc in zip(table["arch"], table["mean_acc"], strict=True)}


@pytest.mark.parametrize(("s", "limit"), [(3, 0.60), (6, 0.40)])
def test_nasbench_macro(accuracy: dict[tuple[int, ...], float], s: int, limit: float) -> None:
    choices, evaluations = [3] * 8, 5 * s
    pooled = mean_regret(lambda seed: MigoOptimizer(choices, s=s, seed=seed), accuracy)
    reference = mean_regret(lambda seed: MigoOptimizer(choices, s=s, seed=seed, mode="reference"), accuracy)
    # The mode of MIGO is one evaluation more than it asked for.
    chance = mean_regret(lambda seed: RandomSearch(choices, evaluations + 1, seed), accuracy)
    said = f"{evaluations} evaluations: pooled {pooled:.3f}, reference {reference:.3f}, random {chance:.3f} % regret"
    assert MigoOptimizer(choices, s=s).evaluations == evaluations, said
    assert pooled <= limit, said
    assert pooled < chance, said


def additive(seed: int, noise: float) -> tuple[Score, Score]:
    """(what the search sees, the truth): sum of 14 x 8 normal effects, in sd above the mean of all architectures."""
    rng = np.random.default_rng((41, seed))
    table = rng.normal(size=(14, 8))
    table = (table - table.mean(axis=1, keepdims=True)) / np.sqrt(table.var(axis=1).sum())

    def truth(choice: tuple[int, ...]) -> float:
        return float(table[range(14), choice].sum())

    return lambda choice: truth(choice) + noise * rng.normal(), truth


def mean_final(make: Callable[[int], Strategy], noise: float) -> float:
    finals = []
    for seed in range(12):
        seen, truth = additive(seed, noise)
        finals.append(truth(finish(make(seed), seen).distribution().mode()))
    return float(np.mean(finals))


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "margin"), [(0.0, 0.45), (1.0, 0.25)])
def test_pooling_beats_the_reference_on_additive_objectives(noise: float, margin: float) -> None:
    reference = mean_final(lambda seed: MigoOptimizer([8] * 14, mode="reference", seed=seed), noise)
    pooled = mean_final(lambda seed: MigoOptimizer([8] * 14, seed=seed), noise)
    chance = mean_final(lambda seed: RandomSearch([8] * 14, 105, seed), noise)
    said = f"noise {noise}: pooled {pooled:.2f}, reference {reference:.2f}, random {chance:.2f} sd above the mean"
    assert pooled > reference + margin, said
    assert reference > chance + 0.5, said
