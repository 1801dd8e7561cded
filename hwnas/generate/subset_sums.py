"""Which totals some costs can have, 64 at once: sets of totals are the bits of long whole numbers.

Where all that is left of a layer is worth the same at the price of a tick, choices differ in their total alone. A
total is reached by the layers from l on if one item of l leaves a total that those after it reach: shift and or
(D. Pisinger, "Dynamic programming on the word RAM", Algorithmica 35, 2003).

Complexity: O(limit x items / 64).
"""

from __future__ import annotations

from collections.abc import Sequence


def work(items: int, limit: int) -> int:
    """Bytes that are shifted for so many items under a limit: some 10^10 a second."""
    return items * (limit // 8 + 8)


def largest(rows: Sequence[Sequence[int]], limit: int) -> list[int] | None:
    """Of the choices of one cost per row with the largest total of at most `limit`, the lexicographically smallest.

    Returns:
        The place chosen in each row; None if every total is above the limit.
    """
    mask, reached = (1 << (limit + 1)) - 1, [1]
    for row in reversed(rows):
        total = 0
        for cost in row:
            total |= reached[-1] << cost
        reached.append(total & mask)
    left, choice = reached.pop().bit_length() - 1, []
    if left < 0:
        return None
    for row in rows:
        after = reached.pop()
        place = next(i for i, cost in enumerate(row) if cost <= left and after >> (left - cost) & 1)
        choice.append(place)
        left -= row[place]
    return choice
