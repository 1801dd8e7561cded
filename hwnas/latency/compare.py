"""Two tables side by side: one target measured twice, two devices, two runtimes, two precisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.latency.header import device_differences, differences
from hwnas.latency.metrics import kendall_tau
from hwnas.latency.table import Table

QUANTILES = (5, 25, 75, 95)  # percent


@dataclass(frozen=True)
class Comparison:
    """The second table over the first.

    Args:
        ratios: signature -> second median / first median, where both are above 0, in the order of the first table.
        only_first, only_second: signatures that the other table lacks.
        without_ratio: signatures in both whose time is 0 in one.
        tau: Kendall's tau-b of the two orders of the shared signatures; None with fewer than two.
        headers: what differs in target and source, as 'field: first / second'.
        devices: the same for the fingerprints.
    """

    ratios: Mapping[str, float]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    without_ratio: tuple[str, ...]
    tau: float | None
    headers: tuple[str, ...]
    devices: tuple[str, ...]

    @property
    def quantiles(self) -> dict[str, float]:
        """Of the ratios: 'median' and 'p5' to 'p95'; empty where nothing is shared."""
        if not self.ratios:
            return {}
        values = np.array(list(self.ratios.values()))
        found = {"median": float(np.median(values))}
        return found | {f"p{q}": float(np.percentile(values, q)) for q in QUANTILES}

    def to_json(self) -> dict[str, Any]:
        """The fields and the quantiles."""
        return {
            "shared": len(self.ratios) + len(self.without_ratio), "quantiles": self.quantiles, "kendall_tau": self.tau,
            "only_first": list(self.only_first), "only_second": list(self.only_second),
            "without_ratio": list(self.without_ratio), "headers": list(self.headers), "devices": list(self.devices),
            "ratios": dict(self.ratios),
        }


def compare(first: Table, second: Table) -> Comparison:
    """Entry by entry, medians only; calibrations are not compared.

    Entries of a table's own precision stand side by side, whichever it is: so two precisions are compared as well.
    Those of other precisions, named with it, and changes stand beside their equals.
    """
    mine, theirs = first.every_entry, second.every_entry
    shared = [s for s in mine if s in theirs]
    timed = [s for s in shared if mine[s].median_ms > 0 and theirs[s].median_ms > 0]
    sources = [] if first.source == second.source else [f"source: {first.source!r} / {second.source!r}"]
    tau = kendall_tau([mine[s].median_ms for s in shared], [theirs[s].median_ms for s in shared])
    return Comparison(
        {s: theirs[s].median_ms / mine[s].median_ms for s in timed},
        tuple(s for s in mine if s not in theirs),
        tuple(s for s in theirs if s not in mine),
        tuple(s for s in shared if s not in timed),
        tau if len(shared) > 1 else None,
        tuple(differences(first.header, second.header) + sources),
        tuple(device_differences(first.device, second.device)),
    )
