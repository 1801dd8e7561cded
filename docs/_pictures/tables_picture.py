"""A latency table: the ops of one choice as they were timed, and networks that the table had not seen."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from hwnas.latency import Table
from hwnas.pipeline import RunFolder
from hwnas.space import SpaceConfig, build

CHOICE = 1  # the second: 32 channels at 8 x 8, a skip among its ops


def draw(run: RunFolder) -> Any:
    """A figure of two panels."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.2), width_ratios=(1.25, 1))
    _ops(left, run)
    _networks(right, run)
    figure.tight_layout(w_pad=3)
    return figure


def _ops(ax: Any, run: RunFolder) -> None:
    space = build(SpaceConfig.from_json(run.result("data")["space"]))
    entries = Table.read(run.path / "table.jsonl").entries
    ops = space.choices[CHOICE].ops
    for row, op in enumerate(ops):
        if not op.timed:
            ax.text(0.0008, row, "nothing to time", va="center", color="0.4")
            continue
        entry = entries[op.signature]
        ax.barh(row, entry.median_ms, color="#2a9d8f", height=0.6)
        ax.plot([entry.p10_ms, entry.p90_ms], [row, row], color="0.25", linewidth=1)
    ax.set_yticks(range(len(ops)), [op.label for op in ops])
    ax.set_ylim(len(ops) - 0.4, -0.6)
    ax.set_xlabel("ms; the line is the 10th to the 90th percentile")
    ax.set_title(f"{len(ops)} ops of one choice, from the table")


def _networks(ax: Any, run: RunFolder) -> None:
    pairs = np.array([(p["predicted_ms"], p["measured_ms"]) for p in run.lane().held_out_pairs]).reshape(-1, 2)
    ax.set_xlabel("predicted, ms")
    ax.set_ylabel("measured, ms")
    ax.set_title(f"{len(pairs)} networks that were held out")
    if not len(pairs):  # a table that was timed for seconds
        return
    ends = np.array([0, pairs.max() * 1.1])
    ax.fill_between(ends, ends * 0.95, ends * 1.05, color="#2a9d8f", alpha=0.2, linewidth=0, label="within 5 %")
    ax.plot(ends, ends, color="0.6", linewidth=1)
    ax.plot(pairs[:, 0], pairs[:, 1], "o", color="#264653", markersize=4)
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.legend(frameon=False, loc="upper left")
