"""What an op that a table lacks would take there, from the entries that are most like it.

Times of one device are close to a power law in arithmetic, traffic and weights; how far an entry lies from it, its
nearest neighbours share. So the law is fitted to all entries, and the departures of the nearest are added, by their
distance. Every entry predicted in this way from the others says how far such an estimate is off.

Glossary
    t   medians of the entries, ms, shape (n,)
    X   columns 1 and the logarithms of multiply-accumulates, activation values and weights, shape (n, 4)
    r   log t - X b: departures from the law, shape (n,)
    w   weights of neighbours: 1 / (distance + 0.1) in X and the op's kind, kernel and stride, shape (n,)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from hwnas.latency.entry import Entry
from hwnas.space import Op

LEAST = 8  # entries, for a law to be fitted to them
_NEAREST, _RIDGE = 4, 0.1
_NORMAL_90 = 1.2815515655446004  # standard deviations from the median of a normal to its 90 % quantile
Floats = NDArray[np.float64]


def estimated(entries: Iterable[Entry], missing: Iterable[str]) -> list[Entry]:
    """Entries of `missing` that were estimated: of no runs, p10 and p90 as far away as such estimates are off.

    Args:
        entries: of one table and precision; those of no runs take no part.

    Returns:
        None of them where fewer than `LEAST` are known.
    """
    known = [entry for entry in entries if entry.is_op and entry.runs and entry.median_ms > 0]
    if len(known) < LEAST:
        return []
    ops = [Op.parse(entry.signature) for entry in known]
    logs = np.log([entry.median_ms for entry in known])
    off = [_predict(ops[:i] + ops[i + 1:], np.delete(logs, i), ops[i]) - logs[i] for i in range(len(ops))]
    reach = _NORMAL_90 * math.sqrt(float(np.mean(np.square(off))))
    found = []
    for signature in missing:
        op = Op.parse(signature)
        ms = math.exp(_predict(ops, logs, op)) if op.timed else 0.0
        found.append(Entry(signature, ms, ms * math.exp(-reach), ms * math.exp(reach), 0, ""))
    return found


def _predict(ops: Sequence[Op], logs: Floats, wanted: Op) -> float:
    """log t of an op."""
    x, one = _features(ops), _features([wanted])
    middle = logs.mean()
    b = np.linalg.solve(x.T @ x + _RIDGE * np.diag([0.0, 1.0, 1.0, 1.0]), x.T @ (logs - middle))
    distance = np.abs(x - one).sum(axis=1) + np.array([_unlike(op, wanted) for op in ops])
    nearest = np.argsort(distance, kind="stable")[:_NEAREST]
    weights = 1 / (distance[nearest] + 0.1)
    departures = (logs - middle - x @ b)[nearest]
    return float(middle + one[0] @ b + weights @ departures / weights.sum())


def _features(ops: Sequence[Op]) -> Floats:
    """X."""
    rows = [(1.0, math.log(op.flops + 1e3), math.log(_values(op) + 1e2), math.log(op.params + 1e2)) for op in ops]
    return np.array(rows)


def _values(op: Op) -> int:
    """Activation values that are read and written."""
    height, width = op.out_hw
    return op.in_channels * op.height * op.width + op.out_channels * height * width


def _unlike(op: Op, other: Op) -> float:
    same = (op.kind == other.kind, op.kernel == other.kernel, op.stride == other.stride, op.se == other.se)
    return float(np.dot([not each for each in same], [3.0, 0.3, 0.3, 0.5]))
