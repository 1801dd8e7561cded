"""Random search: the baseline every result of a search is held against, at the same number of evaluations."""

from __future__ import annotations

from typing import Any

from hwnas.search.base import PlannedStrategy, incumbent_law
from hwnas.search.distribution import Rows
from hwnas.search.strategy import Choice


class RandomSearch(PlannedStrategy):
    """Uniform independent draws; repeats are possible. The distribution's mode is the best evaluated architecture."""

    name = "random"

    def _draw(self) -> Choice:
        return tuple(self.rng.integers(self.choices).tolist())

    def law(self) -> Rows:
        return incumbent_law(self.best, self.choices)

    def _options(self) -> dict[str, Any]:
        return {}
