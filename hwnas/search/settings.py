"""Checks of the settings of a strategy: each gives the value in its plain type or says what it must be."""

from __future__ import annotations

import math

from hwnas.errors import UsageError
from hwnas.search.history import is_whole


def whole(name: str, value: int, low: int) -> int:
    """A Python int of at least `low`; UsageError otherwise."""
    if not is_whole(value) or value < low:
        raise UsageError(f"{name} must be a whole number of at least {low}, not {value}")
    return int(value)


def positive(name: str, value: float) -> float:
    """A finite float above 0; UsageError otherwise."""
    if not 0 < value < math.inf:
        raise UsageError(f"{name} must be a finite number above 0, not {value}")
    return float(value)


def share(name: str, value: float) -> float:
    """A float of at least 0 and below 1; UsageError otherwise."""
    if not 0 <= value < 1:
        raise UsageError(f"{name} must be at least 0 and below 1, not {value}")
    return float(value)
