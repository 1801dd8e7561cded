"""How the distribution over architectures is learnt: strategies, evaluators, the search itself.

Strategies and distributions need numpy only; `run`, `load` and the evaluator need torch and are imported on use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hwnas.search.distribution import Distribution
from hwnas.search.registry import create
from hwnas.search.strategy import Strategy

if TYPE_CHECKING:
    from hwnas.search.config import SearchConfig
    from hwnas.search.resumable import SearchResult, load, run

__all__ = ["Distribution", "SearchConfig", "SearchResult", "Strategy", "create", "load", "run"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        home = "config" if name == "SearchConfig" else "resumable"
        return getattr(importlib.import_module(f"hwnas.search.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
