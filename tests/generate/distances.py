"""Answers that lie apart: what the best of each turn are, by enumeration."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

Choice = tuple[int, ...]


def apart(a: Choice, b: Choice) -> int:
    """In how many places two choices differ."""
    return sum(x != y for x, y in zip(a, b, strict=True))


def held_apart(got: Sequence[tuple[float, Choice]], within: Sequence[tuple[float, int, Choice]], distance: int,
               top: int) -> None:
    """Every answer is the best of what lies apart from those before it, and none is missing.

    Args:
        within: all choices within the budgets, the best first; utility and choice are the first and the third value.
    """
    def left(taken: Sequence[Choice]) -> list[tuple[float, int, Choice]]:
        return [row for row in within if all(apart(row[2], one) >= max(distance, 1) for one in taken)]

    taken: list[Choice] = []
    for utility, choice in got:
        far = left(taken)
        assert choice in {row[2] for row in far}
        assert utility == pytest.approx(far[0][0], abs=1e-9)
        taken.append(choice)
    assert len(got) == top or not left(taken)
