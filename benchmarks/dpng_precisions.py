"""Ops and precisions chosen together, changes of precision included: hwnas beside HiGHS.

    python benchmarks/dpng_precisions.py --write benchmarks/dpng_precisions.md

An instance is a chain of layers with ops in three precisions. Costs are nanoseconds: an op's size times what a
precision costs in that layer, 0.4 to 1.5 of the first one, as measured tables have it (some layers are slower in int8);
a change between two layers costs 2 to 10 % of a mean op. Utilities are effects that follow size, less a penalty per
layer and precision. Family `tight` has utilities that follow costs within 2 %, where bounds tell little apart.

HiGHS (scipy.optimize.milp, gap 0) gets the tightest linear form: a 0/1 variable per candidate, and for every pair of
neighbours a flow from precision to precision whose margins are the candidates' (no products, no big M). Both solvers
have one thread (set OMP_NUM_THREADS=1 and OPENBLAS_NUM_THREADS=1) and take turns, `--repeats` times an instance; an
instance's time is the median of its turns, a ratio is of one instance. Time is that of the processor, since a machine
may be shared; answers are compared.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from dpng_page import machine

from hwnas.errors import BudgetInfeasible
from hwnas.generate import solve_precisions

SIZES = {"21x9x3": (21, 9, 3), "60x8x3": (60, 8, 3)}
FAMILIES = ("table", "tight")
SHARES, SEED, CLOSE = (0.25, 0.5, 0.75), 2000, 1e-6
Given = dict[str, Any]


def instance(family: str, layers: int, ops: int, precisions: int, seed: int) -> Given:
    """Arguments of `solve_precisions`; the budget lies a share of the way from the least cost to that of the best."""
    rng = np.random.default_rng([SEED, FAMILIES.index(family), layers, seed])
    size = np.sort(rng.uniform(0.05, 1.0, (layers, ops))) * 10**6
    factor = np.concatenate([np.ones((layers, 1)), rng.uniform(0.4, 1.5, (layers, precisions - 1))], axis=1)
    costs = (size[:, :, None] * factor[:, None, :]).astype(np.int64)
    noise = rng.uniform(0.7, 1.3, size.shape) if family == "table" else 1 + 0.02 * rng.normal(size=size.shape)
    worth = np.sqrt(size / 1e6) * noise if family == "table" else size / 1e6 * noise
    penalties = np.concatenate([np.zeros((layers, 1)), rng.exponential(0.03, (layers, precisions - 1))], axis=1)
    changes = {}
    for layer in range(layers - 1):
        grid = rng.uniform(0.02, 0.1, (precisions, precisions)) * costs[layer].mean()
        changes[layer, layer + 1] = (grid * (1 - np.eye(precisions))).astype(np.int64)
    given: Given = {"utilities": list(worth), "costs": {"ns": list(costs)}, "penalties": list(penalties),
                    "changes": {"ns": changes}}
    least = _least(given)
    best = solve_precisions(**given, budgets={"ns": float(costs.max(axis=(1, 2)).sum() * 2)}).costs["ns"]
    return {**given, "budgets": {"ns": least + SHARES[seed % 3] * (best - least)}}


def _least(given: Given) -> float:
    try:
        return solve_precisions(**given, budgets={"ns": 0.0}).costs["ns"]
    except BudgetInfeasible as err:
        return err.least["ns"]


def by_highs(given: Given, limit: float) -> tuple[float, float] | None:
    """Utility and cost of HiGHS's answer; None where the time did not do."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_matrix

    costs, changes = given["costs"]["ns"], given["changes"]["ns"]
    sizes, count = [row.size for row in costs], costs[0].shape[1]
    starts = np.cumsum([0, *sizes])
    flows = starts[-1] + count**2 * np.arange(len(changes) + 1)
    n = int(flows[-1])
    rows, columns, values, right = list[Any](), list[Any](), list[Any](), list[int]()

    def equation(plus: Any, minus: Any, total: int) -> None:
        for index, sign in ((plus, 1.0), (minus, -1.0)):
            rows.extend([len(right)] * len(index))
            columns.extend(index)
            values.extend([sign] * len(index))
        right.append(total)

    for layer, size in enumerate(sizes):
        equation(range(starts[layer], starts[layer] + size), (), 1)
    for number, (a, b) in enumerate(changes):
        flow = flows[number] + np.arange(count**2).reshape(count, count)
        for p in range(count):
            equation(flow[p], starts[a] + np.arange(p, sizes[a], count), 0)
            equation(flow[:, p], starts[b] + np.arange(p, sizes[b], count), 0)
    worth = [(u[:, None] - off).ravel() for u, off in zip(given["utilities"], given["penalties"], strict=True)]
    objective = np.concatenate([*worth, np.zeros(n - starts[-1])])
    spent = np.concatenate([*(row.ravel() for row in costs), *(grid.ravel() for grid in changes.values())]) / 1e6
    whole = np.concatenate([np.ones(starts[-1]), np.zeros(n - starts[-1])])
    equal = csr_matrix((values, (rows, columns)), shape=(len(right), n))
    found = milp(-objective, integrality=whole, bounds=Bounds(0, 1), options={"mip_rel_gap": 0.0, "time_limit": limit},
                 constraints=[LinearConstraint(equal, right, right),
                              LinearConstraint(spent[None], -np.inf, given["budgets"]["ns"] / 1e6)])
    return (-float(found.fun), float(spent @ found.x) * 1e6) if found.status == 0 else None


def timed(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """Answer, seconds of the processor and of the clock."""
    begin, start = time.process_time(), time.monotonic()
    found = call()
    return found, time.process_time() - begin, time.monotonic() - start


def measure(family: str, size: tuple[int, int, int], seed: int, repeats: int, limit: float) -> dict[str, Any]:
    """One instance, the solvers in turn."""
    given = instance(family, *size, seed)
    ours, theirs, walls, answers = list[float](), list[float](), list[float](), list[float]()
    for _ in range(repeats):
        found, seconds, wall = timed(lambda: solve_precisions(**given))
        assert found.status == "OPTIMAL"
        assert found.costs["ns"] <= given["budgets"]["ns"]
        ours.append(seconds)
        walls.append(wall)
        rival, seconds, _ = timed(lambda: by_highs(given, limit))
        theirs.append(seconds)
        answers.append(found.utility - rival[0] if rival else 0.0)
    several, seconds, _ = timed(lambda: solve_precisions(**given, top=32, min_distance=2, max_seconds=10.0))
    late = timed(lambda: solve_precisions(**given, top=32, min_distance=2, max_seconds=0.05))[1] - 0.05
    mine, rival_s = statistics.median(ours), statistics.median(theirs)
    return {"ours": mine, "wall": statistics.median(walls), "theirs": rival_s, "ratio": rival_s / mine,
            "apart": max(map(abs, answers)), "several": seconds, "answers": 1 + len(several.others),
            "proven": several.status == "OPTIMAL", "late": late}


def span(values: list[float], form: str = ".0f", scale: float = 1.0) -> str:
    """Median (least to most)."""
    parts = [format(scale * v, form) for v in (statistics.median(values), min(values), max(values))]
    return f"{parts[0]} ({parts[1]} to {parts[2]})"


def page(records: dict[tuple[str, str], list[dict[str, Any]]], args: argparse.Namespace, load: str) -> str:
    about = machine()
    lines = [
        "# DPNG over ops and precisions\n",
        f"    python benchmarks/dpng_precisions.py --instances {args.instances} --repeats {args.repeats} --write "
        "benchmarks/dpng_precisions.md\n",
        f"Date: {about['date']}. Machine: {about['cpu']}; one thread. {about['versions']}.\n"
        f"Load average at the begin and the end: {load}.\n",
        "Layers x ops x precisions, changes between neighbours included; what an instance is, and how HiGHS is asked, "
        "is said at the top of the\nscript. Milliseconds of the processor: median over the instances (least to most), "
        "each the median of its turns. *ratio*: HiGHS / hwnas.\n*apart*: largest difference of the two utilities. "
        "*32 apart*: the 32 best that differ in two layers or more, and of how many\ninstances all 32 were proven in "
        "10 s. *late*: most seconds of the processor beyond `max_seconds` = 0.05 of that question.\n",
        "| family | size | instances | hwnas, ms | HiGHS, ms | ratio | apart | 32 apart, ms | proven | late, s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (family, size), found in records.items():
        column = {key: [record[key] for record in found] for key in found[0]}
        lines.append(
            f"| {family} | {size} | {len(found)} | {span(column['ours'], scale=1e3)} "
            f"| {span(column['theirs'], scale=1e3)} | {span(column['ratio'], '.1f')} | {max(column['apart']):.0e} "
            f"| {span(column['several'], scale=1e3)} | {sum(column['proven'])} | {max(column['late']):.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds that a solver gets")
    parser.add_argument("--write", type=Path)
    args = parser.parse_args()
    begin, records = os.getloadavg()[0], dict[tuple[str, str], list[dict[str, Any]]]()
    for family in FAMILIES:
        for name, size in SIZES.items():
            for seed in range(args.instances):
                record = measure(family, size, seed, args.repeats, args.limit)
                assert record["apart"] < CLOSE
                records.setdefault((family, name), []).append(record)
                print(family, name, seed, {key: round(value, 4) for key, value in record.items()}, flush=True)
    text = page(records, args, f"{begin:.1f}, {os.getloadavg()[0]:.1f}")
    if args.write:
        args.write.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
