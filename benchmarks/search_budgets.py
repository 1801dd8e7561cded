"""Nine latency budgets at once on NAS-Bench-201, against random search and evolution run for each budget.

    python benchmarks/search_budgets.py --data PATH --latency PATH [--seeds 50] [--evaluations 250] [--out FILE.json]

--data is the folder of NAS-Bench-201, --latency that of its device latencies. The search sees the 12-epoch validation
accuracy and the measured latency of the architectures it evaluates, nothing else; answers are judged by the 200-epoch
test accuracy against the best cell within the budget. Budgets are the deciles of the device's latency over its cells.
The rivals share the same number of evaluations out among the budgets and are told the latency of every cell for
nothing: they never evaluate one that is over the budget.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet

from hwnas.search.many_budgets import ManyBudgets

EDGES = ("op_1_0", "op_2_0", "op_2_1", "op_3_0", "op_3_1", "op_3_2")
ALL_CELLS = ("raspi4", "gold_6226", "2080ti_1")
SUBSET = ("rice_edgegpu", "eagle_jetson")  # Jetson TX2 and Nano: 1,999 cells
DATASETS = ("cifar10", "cifar100")
POPULATION, SAMPLE = 10, 5


def main() -> None:
    """Run every device and data set; print a line each and write all of them."""
    args = _arguments()
    jobs = [(args, device, dataset) for device in args.device for dataset in args.dataset]
    with ProcessPoolExecutor(args.workers) as pool:
        results = []
        for row in pool.map(_setting, jobs):
            results.append(row)
            print(_line(row), flush=True)
    if args.out:
        args.out.write_text(json.dumps(results, indent=1), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--latency", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--evaluations", type=int, default=250, help="in all, for all budgets together")
    parser.add_argument("--device", nargs="*", default=[*ALL_CELLS, *SUBSET], choices=[*ALL_CELLS, *SUBSET])
    parser.add_argument("--dataset", nargs="*", default=list(DATASETS), choices=DATASETS)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


class Cells:
    """The cells whose latency is known: choices (n, 6), latency, signal and truth (n,)."""

    def __init__(self, args: argparse.Namespace, device: str, dataset: str) -> None:
        table = parquet.read_table(args.data / "nasbench201.parquet")
        name = "nb201_latency_all_cells" if device in ALL_CELLS else "nb201_latency_oneproxy"
        times = parquet.read_table(args.latency / f"{name}.parquet", columns=["index", device])
        index, latency = times["index"].to_numpy(), times[device].to_numpy()
        known = np.isfinite(latency) & (latency > 0)
        rows = index[known]
        self.latency = latency[known]
        self.choices = np.stack([table[edge].to_numpy() for edge in EDGES], axis=1)[rows]
        self.signal = table[f"{dataset}_val_12"].to_numpy()[rows]
        self.truth = table[f"{dataset}_test_200"].to_numpy()[rows]
        self.budgets = np.quantile(self.latency, np.arange(1, 10) / 10)
        self.row = {tuple(choice): i for i, choice in enumerate(self.choices.tolist())}

    def regret(self, answers: list[int | None]) -> float:
        """Mean over the budgets of the distance to the best cell within each; no answer counts as the worst cell."""
        found = []
        for budget, i in zip(self.budgets, answers, strict=True):
            truth = self.truth[self.latency <= budget]
            found.append(float(truth.max() - (truth.min() if i is None else self.truth[i])))
        return float(np.mean(found))

    def limit(self) -> float:
        """The regret of the best cell by signal within each budget."""
        best = [np.flatnonzero(self.latency <= b) for b in self.budgets]
        return self.regret([int(rows[self.signal[rows].argmax()]) for rows in best])


def _setting(job: tuple[argparse.Namespace, str, str]) -> dict[str, object]:
    args, device, dataset = job
    cells, start = Cells(args, device, dataset), time.perf_counter()
    methods = {"many budgets": _together, "random per budget": _random, "rea per budget": _evolution}
    regrets = {
        name: [cells.regret(method(cells, args.evaluations, seed)) for seed in range(args.seeds)]
        for name, method in methods.items()
    }
    return {
        "device": device, "dataset": dataset, "cells": len(cells.latency), "seeds": args.seeds,
        "evaluations": args.evaluations, "limit": cells.limit(), "seconds": round(time.perf_counter() - start, 1),
        "regret": {k: [float(np.mean(v)), float(np.std(v, ddof=1) / np.sqrt(len(v)))] for k, v in regrets.items()},
    }


def _together(cells: Cells, evaluations: int, seed: int) -> list[int | None]:
    """One search; among the cells whose latency is in the data, where that is not all."""
    among = cells.choices.tolist() if len(cells.choices) < 5**6 else None
    search = ManyBudgets([5] * 6, cells.budgets.tolist(), evaluations, seed, among=among)
    while not search.done:
        choice = search.ask()
        i = cells.row[choice]
        search.tell(choice, float(cells.signal[i]), float(cells.latency[i]))
    return [None if answer is None else cells.row[answer[0]] for answer in search.answers()]


def _random(cells: Cells, evaluations: int, seed: int) -> list[int | None]:
    rng, share = np.random.default_rng(seed), evaluations // len(cells.budgets)
    found: list[int | None] = []
    for budget in cells.budgets:
        rows = rng.choice(np.flatnonzero(cells.latency <= budget), share)
        found.append(int(rows[cells.signal[rows].argmax()]))
    return found


def _evolution(cells: Cells, evaluations: int, seed: int) -> list[int | None]:
    """Regularised evolution; a child that is over the budget, or not in the data, is drawn again."""
    rng, share = np.random.default_rng(seed), evaluations // len(cells.budgets)
    found: list[int | None] = []
    for budget in cells.budgets:
        within = np.flatnonzero(cells.latency <= budget)
        population = rng.choice(within, min(POPULATION, share)).tolist()
        seen = list(population)
        while len(seen) < share:
            group = rng.choice(population, min(SAMPLE, len(population)), replace=False)
            parent = int(group[cells.signal[group].argmax()])
            population = [*population[1:], _child(cells, parent, budget, rng)]
            seen.append(population[-1])
        found.append(int(seen[int(np.argmax(cells.signal[seen]))]))
    return found


def _child(cells: Cells, parent: int, budget: float, rng: np.random.Generator) -> int:
    for _ in range(1000):
        choice = cells.choices[parent].copy()
        edge = int(rng.integers(6))
        choice[edge] = (choice[edge] + rng.integers(1, 5)) % 5
        child = cells.row.get(tuple(choice.tolist()))
        if child is not None and cells.latency[child] <= budget:
            return child
    return parent


def _line(row: dict[str, object]) -> str:
    regrets = row["regret"]
    assert isinstance(regrets, dict)
    text = ", ".join(f"{name} {mean:.3f} +- {error:.3f}" for name, (mean, error) in regrets.items())
    return f"{row['device']} {row['dataset']}: {text}; the signal's limit {row['limit']:.3f} ({row['seconds']} s)"


if __name__ == "__main__":
    main()
