"""DPNG: every architecture that pruning left, and the front."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from hwnas.pipeline import ArchitectureSolver, RunFolder

SHARES = (0.3, 0.5, 0.7)  # of the reference's latency


def draw(run: RunFolder) -> Any:
    """A figure of one panel."""
    solver = ArchitectureSolver.of_run(run)
    fixed, costs = solver.costs(("latency",))
    latency, accuracy = np.array([fixed["latency"]]), np.array([solver.baseline])
    for row, worth in zip(costs["latency"], solver.utilities(), strict=True):
        live = np.isfinite(worth)
        latency = (latency[:, None] + row[live]).ravel()
        accuracy = (accuracy[:, None] + worth[live]).ravel()
    front = solver.front()
    figure, ax = plt.subplots(figsize=(8.6, 3.6))
    ax.plot(latency / 1e6, accuracy, ".", color="0.75", markersize=1.5, rasterized=True,
            label=f"{len(latency):,} architectures that pruning left")
    points = np.array([(point.cost / 1e6, solver.baseline + point.utility) for point in front])
    ax.step(points[:, 0], points[:, 1], where="post", color="#2a9d8f", linewidth=1)
    ax.plot(points[:, 0], points[:, 1], "o", color="#2a9d8f", markersize=3, label=f"the front, {len(points)} of them")
    reference = solver.cost("latency", solver.space.largest()) / 1e6
    for share in SHARES:
        best = points[points[:, 0] <= share * reference][-1]
        ax.axvline(share * reference, color="0.4", linewidth=0.8, linestyle="--")
        ax.text(share * reference, 1, f" {share:.0%}", color="0.4", va="top", transform=ax.get_xaxis_transform())
        ax.plot(*best, "o", color="#e76f51", markersize=6, zorder=3)
    ax.plot([], [], "o", color="#e76f51", label="the answer to a budget (dashed, of the largest network)")
    ax.set_xlabel("predicted latency, ms")
    ax.set_ylabel("predicted accuracy, %")
    ax.legend(loc="lower right", fontsize=8, framealpha=1, edgecolor="0.9", markerscale=1.5)
    return figure
