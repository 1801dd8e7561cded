"""Search strategies judged where the truth is known: tabular benchmarks, many seeds, the regret. No torch.

Imported on use, so that the command line can say first how many threads numpy gets.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hwnas.bench.benchmark import Benchmark, TabularBenchmark
    from hwnas.bench.comparison import Result, compare, run
    from hwnas.bench.registry import load, names
    from hwnas.bench.strategy_spec import Entrant, StrategySpec
    from hwnas.bench.table import Summary, summaries

__all__ = [
    "Benchmark", "Entrant", "Result", "StrategySpec", "Summary", "TabularBenchmark", "compare", "load", "names", "run",
    "summaries",
]

_HOMES = {
    "benchmark": ("Benchmark", "TabularBenchmark"), "comparison": ("Result", "compare", "run"),
    "strategy_spec": ("Entrant", "StrategySpec"), "registry": ("load", "names"), "table": ("Summary", "summaries"),
}


def __getattr__(name: str) -> Any:
    for home, there in _HOMES.items():
        if name in there:
            return getattr(importlib.import_module(f"hwnas.bench.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
