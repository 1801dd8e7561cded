"""What the exact engines answer: one choice or the k best, with what is proven about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Candidate:
    """One choice: the operation per layer, its utility, its totals per cost in the unit given."""

    choice: tuple[int, ...]
    utility: float
    costs: dict[str, float]


@dataclass(frozen=True)
class Solution:
    """Answer of `solve`.

    Attributes:
        status: "OPTIMAL", or "BOUNDED" where `max_labels` or `max_seconds` stopped the search: then the
            best utility is at most `utility + gap`, and `others` need not be the next best.
        choice: operation per layer.
        utility: sum of the utilities of the choice.
        costs: total per cost, the fixed part included, in the unit given.
        gap: 0 when OPTIMAL.
        others: the choices after the best one, best first (`top - 1` of them, or all there are).
    """

    status: Literal["OPTIMAL", "BOUNDED"]
    choice: tuple[int, ...]
    utility: float
    costs: dict[str, float]
    gap: float
    others: tuple[Candidate, ...]

    @classmethod
    def of(cls, candidates: Iterable[Candidate], gap: float) -> Solution:
        """From at least one candidate, best first; a gap of 0 means proven."""
        first, *others = candidates
        status: Literal["OPTIMAL", "BOUNDED"] = "OPTIMAL" if gap == 0.0 else "BOUNDED"
        return cls(status, first.choice, first.utility, first.costs, gap, tuple(others))
