"""Figures over the seeds, as text and as JSON."""

from __future__ import annotations

import json
import statistics

import numpy as np
import pytest

from hwnas.bench import Result, StrategySpec, TabularBenchmark, compare, summaries
from hwnas.bench.outcome import Outcome
from hwnas.bench.table import LIMIT, mean_rows, quartile_rows, shortfalls, to_json


def result(regrets: list[list[float]], *, limit: float | None = 0.25, spent: int = 0) -> Result:
    """A row of regrets per count 10, 20, ...; made by hand."""
    counts = tuple(10 * (i + 1) for i in range(len(regrets)))
    outcomes = tuple(Outcome(seed, count, spent or count, (0,), 1.0, 1.0, regret, limit)
                     for count, row in zip(counts, regrets, strict=True) for seed, regret in enumerate(row))
    return Result("made", StrategySpec("random", {"ridge": 2.0}), counts, outcomes)


def test_the_figures_of_a_row() -> None:
    rows = [[0.5, 1.0, 2.0, 4.0, 0.0], [0.5, 0.5, 0.5, 0.5, 0.5]]
    first, second = summaries(result(rows))
    assert (first.evaluations, first.spent, first.seeds) == (10, 10, 5)
    assert first.mean == pytest.approx(1.5)
    assert first.stderr == pytest.approx(statistics.stdev(rows[0]) / 5**0.5)
    assert (first.lower, first.median, first.upper) == (0.5, 1.0, 2.0)
    assert (second.mean, second.stderr) == (0.5, 0.0)


def test_one_seed_has_no_standard_error() -> None:
    (row,) = summaries(result([[0.5]]))
    assert row.stderr is None
    assert mean_rows([result([[0.5]])])[0] == ["random ridge=2.0", "0.50"]


def test_the_text() -> None:
    found = result([[0.5, 1.5], [0.25, 0.75]], spent=9)
    assert mean_rows([found]) == [["random ridge=2.0", "1.00 ± 0.50", "0.50 ± 0.25"], [LIMIT, "0.25", "0.25"]]
    assert quartile_rows([found])[0] == ["random ridge=2.0", "1.00 (0.75-1.25)", "0.50 (0.38-0.62)"]
    assert shortfalls([found]) == ["random ridge=2.0 made 9 of 10, 9 of 20 evaluations"]
    unknown = result([[0.5]], limit=None)
    assert len(mean_rows([unknown])) == 1
    assert shortfalls([unknown]) == []


def test_the_json_holds_what_the_text_shows(hills: TabularBenchmark) -> None:
    results = compare(hills, [StrategySpec("random"), StrategySpec("rea")], [5, 9], range(3))
    value = json.loads(json.dumps(to_json(results), allow_nan=False))
    assert (value["benchmark"], value["evaluations"]) == ("hills", [5, 9])
    assert value["limit"] == np.mean([hills.seeded(seed).limit for seed in range(3)])
    for strategy, found in zip(value["strategies"], results, strict=True):
        assert strategy["strategy"] == found.spec.strategy
        assert [row["mean"] for row in strategy["regret"]] == found.regrets().mean(axis=1).tolist()
        assert [row["seeds"] for row in strategy["regret"]] == [3, 3]
