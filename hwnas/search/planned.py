"""The name that hwnas 0.1 gave to `hwnas.search.base`; goes with the next version."""

from __future__ import annotations

from hwnas.search.base import PlannedStrategy, incumbent_law

__all__ = ["PlannedStrategy", "incumbent_law"]
