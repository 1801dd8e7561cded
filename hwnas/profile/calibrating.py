"""From the times of whole networks to a calibration in the table, and how well it predicts the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import TableError
from hwnas.latency import Calibration, LatencyModel, Parts, Table, errors, fit
from hwnas.latency.calibrate import MOST_ERROR
from hwnas.space import Architecture, Space

WAY_OUT = ("Leave the device alone while it measures, then move the table away, or give another --tables, and measure "
           "again")


def calibrate(
    table: Table, space: Space, networks: Sequence[Architecture], labels_ms: NDArray[np.float64], fitted: int,
    kernel_ms: float,
) -> tuple[LatencyModel, dict[str, Any]]:
    """Fit to the first networks, check on the others; then fit to all, which the table keeps.

    Args:
        networks: with their measured times `labels_ms`, shape (n,).
        fitted: how many of them the checked calibration is fitted to; 0 leaves the plain sum.
        kernel_ms: time of the reference kernel at the table's speed.

    Returns:
        The model, and what the check found; its errors are of the calibration from `fitted` networks, the one that
        is kept has seen more.

    Raises:
        TableError: the calibration would be off by more than `MOST_ERROR`.
    """
    plain = replace(LatencyModel.from_table(table, space), calibration=Calibration())
    if not fitted:
        return plain, {}
    sums, weights = plain.sums(networks)
    parts, ops = plain.parts(space, networks), plain.counts(networks)
    evidence = _check(sums, weights, labels_ms, parts, ops, fitted) if len(networks) - fitted >= 2 else {}
    kept = fit(sums, weights, labels_ms, parts, ops)
    made = replace(kept, held_out=evidence.get("held_out", {}), kernel_ms=round(kernel_ms, 6))
    if why := made.contradiction():
        raise TableError(f"the times of the blocks and of whole networks contradict each other: {why}, more than "
                         f"{MOST_ERROR:.0f} %. Nothing is calibrated. {WAY_OUT}")
    table.add_calibration(space.fingerprint, made)
    return LatencyModel.from_table(table, space), evidence


def _check(
    sums: NDArray[np.float64], weights: NDArray[np.float64], labels_ms: NDArray[np.float64], parts: Parts | None,
    ops: NDArray[np.float64], n: int,
) -> dict[str, Any]:
    first, rest = (parts.take(slice(n)), parts.take(slice(n, None))) if parts else (None, None)
    tried = fit(sums[:n], weights[:n], labels_ms[:n], first, ops[:n])
    predicted, measured = tried.apply(sums[n:], weights[n:], rest, ops[n:]), labels_ms[n:]
    covered = np.abs(np.log(measured / predicted)) <= tried.log_spread
    pairs = zip(predicted.tolist(), measured.tolist(), strict=True)
    return {
        "held_out": errors(predicted, measured).to_json() | {"coverage": round(100 * float(covered.mean()), 1)},
        "held_out_plain_sum": errors(sums[n:], measured).to_json(),
        "held_out_pairs": [{"predicted_ms": round(p, 6), "measured_ms": round(m, 6)} for p, m in pairs],
    }
