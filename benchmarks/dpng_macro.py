"""hwnas.generate on NAS-Bench-Macro, for benchmarks/dpng.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hwnas.generate import front
from hwnas.generate.ranked import ranked_front

MACRO_BUDGETS = (20, 40, 60, 80, 100)  # million multiply-accumulates


def macro(path: Path) -> dict[str, Any]:
    """The front of main effects, and re-ranking of the 32 best by the first training, against the benchmark itself."""
    import pandas

    table = pandas.read_parquet(path)
    archs = np.array([[int(op) for op in arch] for arch in table["arch"]])
    place = {tuple(arch): i for i, arch in enumerate(archs.tolist())}
    mean, first, flops = (table[name].to_numpy(float) for name in ("mean_acc", "acc1", "flops"))
    fixed, costs = _macro_costs(archs, flops)
    utilities = _main_effects(archs, mean)
    points, best = front(utilities, costs, fixed=fixed), ranked_front(utilities, costs, 32, fixed=fixed)
    rows = []
    for budget in MACRO_BUDGETS:
        top = mean[flops <= budget * 1e6].max()
        one, held = points.query(budget * 1e6), [place[p.choice] for p in best.query(budget * 1e6)]
        picked = max(held, key=first.__getitem__)
        rows.append({"budget": budget, "choice": "".join(map(str, one.choice)), "best": top,
                     "additive": top - mean[place[one.choice]], "reranked": top - mean[picked],
                     "held": top - mean[held].max()})
    return {"points": len(points), "rows": rows}


def _macro_costs(archs: np.ndarray, flops: np.ndarray) -> tuple[int, list[list[int]]]:
    """Fixed part and cost per layer and op: FLOPs are additive, so single changes of the cheapest network give them."""
    def of(arch: list[int]) -> int:
        return int(flops[np.flatnonzero((archs == arch).all(axis=1))[0]])

    base = [0] * archs.shape[1]
    fixed = of(base)
    return fixed, [[of([*base[:i], k, *base[i + 1:]]) - fixed for k in range(3)] for i in range(archs.shape[1])]


def _main_effects(archs: np.ndarray, accuracy: np.ndarray) -> list[np.ndarray]:
    columns = [archs[:, layer] == k for layer in range(archs.shape[1]) for k in (1, 2)]
    design = np.column_stack([np.ones(len(archs)), *columns]).astype(float)
    found = np.linalg.lstsq(design, accuracy, rcond=None)[0][1:].reshape(-1, 2)
    return [np.array([0.0, *row]) for row in found]
