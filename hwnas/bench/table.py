"""What many seeds come to: mean and standard error, median and quartiles, beside what the signal itself allows.

    symbol          meaning                                                          unit
    mean, stderr    of the regret over the seeds; stderr is None for one seed        that of the truth
    lower, upper    quartiles of the regret over the seeds, linear interpolation     that of the truth
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.bench.benchmark import FloatArray
from hwnas.bench.comparison import Result

LIMIT = "the signal's own limit"


@dataclass(frozen=True)
class Summary:
    """The regret of one strategy at one number of evaluations; symbols at the top of the file."""

    evaluations: int
    spent: int
    seeds: int
    mean: float
    stderr: float | None
    lower: float
    median: float
    upper: float


def summaries(result: Result) -> list[Summary]:
    """One per number of evaluations, increasing."""
    return [_summary(count, spent, row)
            for count, spent, row in zip(result.evaluations, result.spent(), result.regrets(), strict=True)]


def _summary(count: int, spent: int, regrets: FloatArray) -> Summary:
    lower, median, upper = np.percentile(regrets, [25, 50, 75]).tolist()
    n = len(regrets)
    stderr = float(regrets.std(ddof=1)) / math.sqrt(n) if n > 1 else None
    return Summary(count, spent, n, float(regrets.mean()), stderr, lower, median, upper)


def to_json(results: Sequence[Result]) -> dict[str, Any]:
    """A JSON value of all that the text shows."""
    return {
        "benchmark": results[0].benchmark, "evaluations": list(results[0].evaluations), "limit": results[0].limit(),
        "strategies": [{"strategy": result.spec.strategy, "options": dict(result.spec.options),
                        "regret": [dataclasses.asdict(summary) for summary in summaries(result)]}
                       for result in results],
    }


def mean_rows(results: Sequence[Result]) -> list[list[str]]:
    """Strategies by numbers of evaluations: '0.62 ± 0.05'; the last row is the limit, where known."""
    return _rows(results, lambda s: f"{s.mean:.2f}" if s.stderr is None else f"{s.mean:.2f} ± {s.stderr:.2f}")


def quartile_rows(results: Sequence[Result]) -> list[list[str]]:
    """Strategies by numbers of evaluations: '0.55 (0.31-0.80)'; the last row is the limit, where known."""
    return _rows(results, lambda s: f"{s.median:.2f} ({s.lower:.2f}-{s.upper:.2f})")


def _rows(results: Sequence[Result], cell: Any) -> list[list[str]]:
    rows = [[result.spec.label, *map(cell, summaries(result))] for result in results]
    limit = results[0].limit()
    return rows if limit is None else [*rows, [LIMIT, *[f"{limit:.2f}"] * len(results[0].evaluations)]]


def shortfalls(results: Sequence[Result]) -> list[str]:
    """A line for every strategy that made fewer evaluations than it was allowed."""
    lines = []
    for result in results:
        short = [f"{s.spent} of {s.evaluations}" for s in summaries(result) if s.spent < s.evaluations]
        if short:
            lines.append(f"{result.spec.label} made {', '.join(short)} evaluations")
    return lines
