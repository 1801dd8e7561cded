"""What hwnas 0.1 offered to authors of strategies, under its names; goes with the next version.

Now: `hwnas.search.base`, where `_rng` is `rng`, `_law` is `law` and `_records` is `history`.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from hwnas.search import base
from hwnas.search.base import incumbent_law
from hwnas.search.distribution import Rows
from hwnas.search.history import History

__all__ = ["PlannedStrategy", "incumbent_law"]


class PlannedStrategy(base.PlannedStrategy):
    """`hwnas.search.base.PlannedStrategy` under the names of 0.1."""

    @property
    def _rng(self) -> np.random.Generator:
        return self.rng

    @property
    def _records(self) -> History:
        return self.history

    def law(self) -> Rows:
        return self._law()

    @abstractmethod
    def _law(self) -> Rows:
        """Probabilities per choice."""
