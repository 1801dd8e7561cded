"""DPNG (hwnas.generate) against brute force and a MILP solver: how often it differs, and how long it takes.

    python benchmarks/dpng.py                             prints a markdown page
    python benchmarks/dpng.py --write benchmarks/dpng.md  writes it

Needs scipy (HiGHS) beside hwnas. One process; set OMP_NUM_THREADS=1 for steady times.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from scipy.optimize import Bounds, LinearConstraint, milp

import hwnas.files
from hwnas.errors import BudgetInfeasible
from hwnas.generate import front, solve

Rows = list[np.ndarray]
CHANNELS, RESOLUTIONS = (24, 40, 80, 96, 192, 320), (56, 28, 14, 14, 7, 7)


def brute(utilities: Rows, costs: list[Rows], budgets: list[float]) -> tuple[float, tuple[int, ...]] | None:
    """Best of all choices: utility, then costs, then choice."""
    total, sums = np.zeros(1), [np.zeros(1) for _ in costs]
    for layer, row in enumerate(utilities):
        total = (total[:, None] + row).ravel()
        sums = [(s[:, None] + c[layer]).ravel() for s, c in zip(sums, costs, strict=True)]
    fits = np.flatnonzero(np.all([s <= b for s, b in zip(sums, budgets, strict=True)], axis=0))
    if not len(fits):
        return None
    best = fits[np.lexsort((fits, *[s[fits] for s in reversed(sums)], -total[fits]))[0]]
    choice = np.unravel_index(best, [len(row) for row in utilities])
    return float(total[best]), tuple(int(k) for k in choice)


def instance(rng: np.random.Generator, m: int) -> tuple[Rows, list[Rows], list[float]]:
    """At most 6 layers of at most 7 operations, with zero costs and ties."""
    sizes = rng.integers(1, 8, rng.integers(1, 7))
    high = int(rng.choice([2, 6, 50, 10**9]))
    tied = rng.random() < 0.5
    utilities = [rng.integers(-3, 4, n) / 4 if tied else rng.normal(size=n) for n in sizes]
    costs = [[rng.integers(0, high, n) for n in sizes] for _ in range(m)]
    budgets = [float(rng.integers(sum(c.min() for c in cost), sum(c.max() for c in cost) + 1)) for cost in costs]
    return utilities, costs, budgets


def mismatches(m: int, count: int) -> tuple[int, int]:
    """How many of `count` random instances with `m` costs differ from brute force; how many were infeasible."""
    rng = np.random.default_rng(m)
    wrong = infeasible = 0
    names = [f"c{i}" for i in range(m)]
    for _ in range(count):
        utilities, costs, budgets = instance(rng, m)
        want = brute(utilities, costs, budgets)
        try:
            answer = solve(utilities, dict(zip(names, costs, strict=True)), dict(zip(names, budgets, strict=True)))
            got = (answer.utility, answer.choice)
        except BudgetInfeasible:
            got = None
        infeasible += want is None
        wrong += got != want
    return wrong, infeasible


def mbconv(rng: np.random.Generator) -> tuple[Rows, dict[str, Rows]]:
    """21 layers of 7 operations with the multiply-accumulates and parameters of MBConv blocks, and a latency."""
    flops, params = [], []
    for layer in range(21):
        channels, size = CHANNELS[layer // 4], RESOLUTIONS[layer // 4]
        weights = [channels * e * (2 * channels + k * k) for k in (3, 5, 7) for e in (3, 6)]
        params.append(np.array([*weights, 0]))
        flops.append(params[-1] * size * size)
    latency = [np.round(f / 2e8 * rng.uniform(0.6, 1.7, 7) + rng.uniform(0.01, 0.05, 7), 3) for f in flops]
    utilities = [np.log(rng.dirichlet(np.ones(7))) for _ in flops]
    return utilities, {"flops": flops, "latency_ms": latency, "params": params}


def middle(rows: Rows) -> float:
    """A budget between the cheapest and the median network."""
    return float(sum((row.min() + np.median(row)) / 2 for row in rows))


def highs(utilities: Rows, costs: list[Rows], budgets: list[float]) -> float:
    """The optimum by SciPy's HiGHS mixed-integer solver, at its tightest gap."""
    sizes = [len(row) for row in utilities]
    one = np.repeat(np.eye(len(sizes)), sizes, axis=1)
    scale = [max(float(np.concatenate(c).max()), 1.0) for c in costs]
    knapsacks = np.array([np.concatenate(c) / s for c, s in zip(costs, scale, strict=True)])
    rooms = np.array([b / s for b, s in zip(budgets, scale, strict=True)])
    found = milp(
        -np.concatenate(utilities),
        integrality=np.ones(sum(sizes)),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(one, 1, 1), LinearConstraint(knapsacks, -np.inf, rooms)],
        options={"mip_rel_gap": 0.0},
    )
    return -float(found.fun)


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    value = call()
    return time.perf_counter() - start, value


def against_highs(names: list[str], count: int) -> list[str]:
    """One table row: `solve` and HiGHS on the same instances and budgets."""
    ours, theirs, differ = [], [], 0
    for seed in range(count):
        utilities, every = mbconv(np.random.default_rng(seed))
        costs = {name: every[name] for name in names}
        budgets = {name: middle(costs[name]) for name in names}
        seconds, answer = timed(partial(solve, utilities, costs, budgets, quantum=quanta(costs)))
        ours.append(seconds)
        seconds, best = timed(partial(highs, utilities, list(costs.values()), list(budgets.values())))
        theirs.append(seconds)
        differ += abs(best - answer.utility) > 1e-6 or answer.status != "OPTIMAL"
    return row(", ".join(names), count, differ, ms(ours), ms(theirs), ratio(theirs, ours))


def whole_front(count: int) -> list[str]:
    """One table row: the front at every budget, and HiGHS for one of them."""
    ours, theirs, sizes, differ = [], [], [], 0
    for seed in range(count):
        utilities, costs = mbconv(np.random.default_rng(seed))
        seconds, points = timed(partial(front, utilities, costs["flops"]))
        ours.append(seconds)
        sizes.append(len(points))
        budget = middle(costs["flops"])
        seconds, best = timed(partial(highs, utilities, [costs["flops"]], [budget]))
        theirs.append(seconds)
        differ += abs(best - points.query(budget).utility) > 1e-6
    what = f"flops, whole front ({min(sizes)} to {max(sizes)} points)"
    return row(what, count, differ, ms(ours), ms(theirs), ratio(theirs, ours))


def quanta(costs: dict[str, Rows]) -> dict[str, float]:
    return {"latency_ms": 0.001} if "latency_ms" in costs else {}


def ranked(count: int) -> list[str]:
    """One table row: the 32 best, plain and at least 3 layers apart."""
    plain: list[float] = []
    apart: list[float] = []
    for seed in range(count):
        utilities, costs = mbconv(np.random.default_rng(seed))
        budget = middle(costs["flops"])
        for times, distance in ((plain, 0), (apart, 3)):
            again = partial(solve, utilities, costs["flops"], budget, top=32, min_distance=distance)
            times.append(timed(again)[0])
    return row("flops, 32 best", count, ms(plain), ms(apart))


def row(*cells: object) -> list[str]:
    return [str(cell) for cell in cells]


def ms(seconds: list[float]) -> str:
    return f"{1e3 * statistics.median(seconds):.1f} ({1e3 * min(seconds):.1f} to {1e3 * max(seconds):.1f})"


def ratio(theirs: list[float], ours: list[float]) -> str:
    return f"{statistics.median(theirs) / statistics.median(ours):.1f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])


def vectors() -> str:
    points = front([[0, 4, 5], [1, 3, 6], [1, 2, 5]], [[0, 3, 5], [1, 2, 6], [2, 2, 4]])
    return " ".join(f"({p.cost:g}, {p.utility:g}, {''.join(map(str, p.choice))})" for p in points)


def machine() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    versions = f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__} (HiGHS)"
    return f"{model or 'unknown CPU'}, {os.cpu_count()} cores; {versions}"


def page(count: int, runs: int, date: str) -> str:
    exact = [row(m, count, *mismatches(m, count)) for m in (1, 2, 3)]
    names = ["flops", "latency_ms", "params"]
    races = [whole_front(runs), *[against_highs(names[:m], runs) for m in (1, 2, 3)]]
    heads = ["costs", "instances", "answers that differ", "hwnas, ms", "HiGHS, ms", "HiGHS / hwnas"]
    return f"""# DPNG: exact budgeted choice, against brute force and HiGHS

Command: `OMP_NUM_THREADS=1 python benchmarks/dpng.py`. Date: {date}. Machine: {machine()}.

Random instances of up to 6 layers and 7 operations, zero costs and ties included, compared in utility and choice:

{table(["costs", "instances", "mismatches with brute force", "infeasible"], exact)}

21 layers of 7 MBConv-like operations, random utilities, budgets between the cheapest and the median network;
median (least to most) of one call each. HiGHS answers one budget at zero gap; the front answers all of them.
Latency is in ticks of 0.001 ms.

{table(heads, races)}

{table(["the k best", "instances", "plain, ms", "at least 3 layers apart, ms"], [ranked(runs)])}

Front of the three-layer vector (cost, utility, choice): {vectors()}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=1000, help="random instances against brute force")
    parser.add_argument("--runs", type=int, default=20, help="MBConv-like instances per row")
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    parser.add_argument("--write", type=Path, help="write the page here instead of printing it")
    flags = parser.parse_args()
    text = page(flags.instances, flags.runs, flags.date)
    if flags.write:
        hwnas.files.write_bytes(flags.write, text.encode())
    else:
        print(text)


if __name__ == "__main__":
    main()
