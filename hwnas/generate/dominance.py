"""Which labels can be dropped: those that at least k other labels beat in everything.

Label a dominates label b if every cost of a is <= that of b and its utility is >=; between equal
ones the earlier dominates. Labels come sorted by (costs, utility falling, lexicographic choice),
so a label is dominated by earlier ones only.

If k distinct labels dominate b, every completion of b has k distinct completions that are no
worse, so b cannot be among the k best. Dominators that were dropped themselves may be left out of
the count: the first k dominators of b in the order are never dropped.

Glossary
    n       number of labels
    M       number of costs
    keys    what a dominator must not exceed, int64 (n, M) or (n, M + 1); the last is the utility's rank

Complexity: O(n log n) for M <= 1, and for M = 2 and k = 1; O(n log(n)^M) comparisons else (Bentley's and Kung's
divide and conquer, "On finding the maxima of a set of vectors", J. ACM 22(4), 1975).
"""

from __future__ import annotations

import bisect
import heapq

import numpy as np
from numpy.typing import NDArray

from hwnas.generate.problem import Floats, Ints
from hwnas.generate.time_limit import GRACE, TimeLimit

Bools = NDArray[np.bool_]
BLOCK = 1 << 16
_LOOK = 1 << 12  # labels from which on the clock is looked at


def undominated(
    ticks: Ints, utilities: Floats, k: int = 1, ranked: int | None = None, clock: TimeLimit | None = None
) -> Bools:
    """Mask of the labels, in sorted order, that fewer than `k` others dominate.

    Args:
        ticks: (n, M) costs; utilities: (n,); both sorted as the file's head says.
        k: how many dominators it takes to drop a label.
        ranked: how many of the costs, the first ones, the labels are sorted by; None for all. A label of better
            utility and ranked costs, or an earlier one equal in them, must be within the others too to dominate.
        clock: is looked at between comparisons of many labels.

    Raises:
        TimeIsUp: the time does not suffice.
    """
    n, m = ticks.shape
    if n <= k:
        return np.ones(n, dtype=bool)
    ranked = m if ranked is None else ranked
    if m <= 1 and ranked == m:
        return _records(utilities) if k == 1 else _among_k_largest(utilities, k, clock or TimeLimit())
    rank = np.unique(-utilities, return_inverse=True)[1].reshape(n)
    keys = np.column_stack([ticks[:, min(ranked, 1) :], rank])
    if keys.shape[1] == 2 and k == 1 and n**2 > BLOCK:
        return _staircase(keys, clock or TimeLimit())
    counts = np.zeros(n, dtype=np.int64)
    _within(keys, np.arange(n), counts, k, clock or TimeLimit())
    return counts < k


def merged(utility: Floats, k: int, count: int) -> tuple[Ints, float]:
    """Keep the `k` cheapest labels of each bucket of utility; and the width of a bucket.

    Labels come sorted by cost, so the first of a bucket is its cheapest; a dropped label loses at
    most one bucket's width against it (Ibarra & Kim's scheme, J. ACM 22(4), 1975).
    """
    buckets = max(count // k, 1)
    width = float(np.ptp(utility)) / buckets * (1 + 1e-9)
    if width == 0.0:
        return np.arange(min(k, len(utility))), 0.0
    bucket = np.minimum((utility - utility.min()) // width, buckets - 1).astype(np.int64)
    order = np.argsort(bucket, kind="stable")
    starts = np.searchsorted(bucket[order], np.arange(buckets))
    place = np.arange(len(order)) - starts[bucket[order]]
    return np.sort(order[place < k]), width


def _records(values: Floats) -> Bools:
    best = np.maximum.accumulate(values)
    keep = np.ones(len(values), dtype=bool)
    keep[1:] = values[1:] > best[:-1]
    return keep


def _among_k_largest(values: Floats, k: int, clock: TimeLimit) -> Bools:
    keep = np.ones(len(values), dtype=bool)
    heap = values[:k].tolist()
    heapq.heapify(heap)
    for i, value in enumerate(values[k:].tolist(), k):
        if not i % _LOOK:
            clock.check(grace=GRACE)
        if value > heap[0]:
            heapq.heapreplace(heap, value)
        else:
            keep[i] = False
    return keep


def _staircase(keys: Ints, clock: TimeLimit) -> Bools:
    """Of two keys: labels that no earlier one is <= in both; kept ones form stairs, found by bisection."""
    keep = np.ones(len(keys), dtype=bool)
    steps: list[int] = []
    heights: list[int] = []
    for i, (first, second) in enumerate(keys.tolist()):
        if not i % _LOOK:
            clock.check(grace=GRACE)
        at = bisect.bisect_right(steps, first)
        if at and heights[at - 1] <= second:
            keep[i] = False
            continue
        end = at
        while end < len(steps) and heights[end] >= second:
            end += 1
        steps[at:end], heights[at:end] = [first], [second]
    return keep


def _within(keys: Ints, members: Ints, counts: Ints, k: int, clock: TimeLimit) -> Ints:
    """Count dominators inside a run of labels; returns the members still kept."""
    if len(members) ** 2 <= BLOCK:
        block = keys[members]
        beats = np.tri(len(members), k=-1, dtype=bool).T
        for column in block.T:
            beats &= column[:, None] <= column[None, :]
        counts[members] += beats.sum(axis=0)
        return members[counts[members] < k]
    half = len(members) // 2
    first = _within(keys, members[:half], counts, k, clock)
    second = _within(keys, members[half:], counts, k, clock)
    _across(keys, first, second, 0, counts, clock)
    return np.concatenate([first, second[counts[second] < k]])


def _across(keys: Ints, first: Ints, second: Ints, column: int, counts: Ints, clock: TimeLimit) -> None:
    """Add to each of `second` the number of `first` that are <= in the columns from `column` on."""
    if not len(first) or not len(second):
        return
    if len(first) + len(second) > _LOOK:
        clock.check(grace=GRACE)
    a, b = keys[first, column], keys[second, column]
    if column == keys.shape[1] - 1:
        counts[second] += np.searchsorted(np.sort(a), b, side="right")
        return
    if len(first) * len(second) <= BLOCK:
        counts[second] += _pairs(keys[first, column:], keys[second, column:])
        return
    low, high = min(a.min(), b.min()), max(a.max(), b.max())
    if a.max() <= b.min():
        _across(keys, first, second, column + 1, counts, clock)
        return
    middle = min(int(np.median(np.concatenate([a, b]))), int(high) - 1)
    middle = max(middle, int(low))
    a_low, b_low = a <= middle, b <= middle
    _across(keys, first[a_low], second[b_low], column, counts, clock)
    _across(keys, first[~a_low], second[~b_low], column, counts, clock)
    _across(keys, first[a_low], second[~b_low], column + 1, counts, clock)


def _pairs(first: Ints, second: Ints) -> Ints:
    beats = np.ones((len(first), len(second)), dtype=bool)
    for a, b in zip(first.T, second.T, strict=True):
        beats &= a[:, None] <= b[None, :]
    counts: Ints = beats.sum(axis=0)
    return counts
