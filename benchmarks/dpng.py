"""DPNG (hwnas.generate) against brute force, HiGHS, CP-SAT, ModelOpt's LPS, evolution and the paper's recursion.

    python benchmarks/dpng.py [--seconds 280] [--only "random 21x9" ...]    measures what is missing, then stops
    python benchmarks/dpng.py --write benchmarks/dpng.md                    the page, once nothing is missing

Every measurement is a line of --work/records.jsonl, so it goes on where it was stopped; delete the folder to start
anew. All methods get the same instances, one after the other, on one core. Needs scipy and ortools; a folder with
nvidia-modelopt (and pulp) on PYTHONPATH brings in its solver. Instances: dpng_instances.py; rivals: dpng_rivals.py;
the page: dpng_page.py. First calls in fresh processes, and hard instances: dpng_hard.py.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import itertools
import json
import math
import os
import resource
import select
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dpng_page
import numpy as np
from dpng_brute import CHUNK, KINDS, brute_chunk
from dpng_instances import Family, Instance, families, random
from dpng_macro import macro
from dpng_rivals import NEEDS, RIVALS, present

from hwnas.generate import front, solve
from hwnas.generate.ranked import ranked_front

Record = dict[str, Any]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
LIMIT_S, REPEATS, ENOUGH_S, QUERIES = 100.0, 100, 0.5, 10_000
BRUTE = 5000
ROOT = Path(__file__).resolve().parents[1]


# --- one measurement in a process of its own ---------------------------------------------------------------------


def measured(call: Callable[[], Record], repeats: int = REPEATS) -> Record:
    """Run `call` in a fork: what it returns, with median seconds and the memory it took beyond the start, in MB."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(ours)
        _child(call, repeats, theirs)
    os.close(theirs)
    text = _read(ours, time.monotonic() + LIMIT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, _, usage = os.wait4(child, 0)
    if text is None:
        return {"failed": f"not done after {LIMIT_S:.0f} s"}
    record: Record = json.loads(text)
    if "base_kb" in record:
        record["memory_mb"] = max(usage.ru_maxrss - record.pop("base_kb"), 0) / 1024
    return record


def _child(call: Callable[[], Record], repeats: int, pipe: int) -> None:
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    try:
        times: list[float] = []
        while not times or (len(times) < repeats and sum(times) < ENOUGH_S):
            begin = time.perf_counter()
            record = call()
            times.append(time.perf_counter() - begin)
        record |= {"seconds": statistics.median(times), "base_kb": base}
    except Exception as err:
        record = {"failed": f"{type(err).__name__}: {err}"[:200]}
    os.write(pipe, json.dumps(record).encode())
    os._exit(0)


def _read(pipe: int, deadline: float) -> str | None:
    parts = []
    while select.select([pipe], [], [], max(deadline - time.monotonic(), 0))[0]:
        part = os.read(pipe, 65536)
        if not part:
            return b"".join(parts).decode() or None
        parts.append(part)
    return None


# --- what is measured --------------------------------------------------------------------------------------------


def one_budget(instance: Instance, budgets: dict[str, int]) -> Record:
    """`solve`."""
    found = solve(instance.utilities, instance.costs, budgets)
    return {"choice": list(found.choice), "status": found.status}


def all_budgets(instance: Instance, budgets: dict[str, int]) -> Record:
    """`front`, and its answer for some budgets by name."""
    (rows,) = instance.costs.values()
    points = front(instance.utilities, rows)
    answers = {}
    for name, budget in budgets.items():
        answers[name] = list(points.query(budget).choice)
    return {"points": len(points), "status": points.status, "answers": answers}


def many_queries(instance: Instance) -> Record:
    """Ten thousand budgets from one front."""
    (rows,) = instance.costs.values()
    points = front(instance.utilities, rows)
    budgets = np.random.default_rng(0).uniform(float(points.costs[0]), float(points.costs[-1]), QUERIES)
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        points.queries(budgets)
        times.append(time.perf_counter() - begin)
    return {"points": len(points), "query_seconds": statistics.median(times)}


def ranked(instance: Instance) -> Record:
    """The 32 best for every budget in one pass."""
    (rows,) = instance.costs.values()
    return {"points": len(ranked_front(instance.utilities, rows, 32).costs)}


def rival(name: str, instance: Instance, budgets: dict[str, int]) -> Record:
    """One rival, one budget."""
    return {"choice": RIVALS[name](instance, budgets)}


def scored(record: Record, instance: Instance, budgets: dict[str, int]) -> Record:
    """Utility and exact feasibility of a record's choice."""
    choice = record.pop("choice", None)
    if choice is None:
        return record
    totals = instance.totals(choice)
    return record | {"utility": instance.utility(choice), "over": any(totals[n] > b for n, b in budgets.items())}


# --- tasks -------------------------------------------------------------------------------------------------------


def tasks(only: list[str]) -> Iterator[tuple[Record, Callable[[], Record]]]:
    """(what is measured, how), in the order in which to measure."""
    if not only:
        data = ROOT.parent / "shared/data/nasbench_macro/nasbench_macro.parquet"
        if data.is_file():
            yield {"task": "macro"}, partial(measured, partial(macro, data), 1)
        for name, of in (("21x9", random(21, 9, 0)), ("60x60", random(60, 60, 0))):
            yield {"task": "queries", "instance": name}, partial(measured, partial(many_queries, of), 1)
        yield {"task": "ranked", "instance": "21x9"}, partial(measured, partial(ranked, random(21, 9, 0)))
    for name, family in families().items():
        if not only or name in only:
            yield from family_tasks(name, family)
    if not only:
        for kind, chunk in itertools.product(KINDS, range(BRUTE // CHUNK)):
            yield {"task": "brute", "kind": kind, "chunk": chunk}, partial(brute_chunk, kind, chunk)


def family_tasks(name: str, family: Family) -> Iterator[tuple[Record, Callable[[], Record]]]:
    """All methods on one instance before the next instance."""
    rivals = [r for r in present() if r not in family.without]
    for seed in range(family.seeds):
        instance = family.make(seed)
        key = {"family": name, "seed": seed}
        if family.all_budgets:
            quarters = {str(s): next(iter(instance.budgets(s).values())) for s in (0.25, 0.5, 0.75)}
            yield {**key, "task": "all", "method": "hwnas"}, partial(measured, partial(all_budgets, instance, quarters))
        for share in family.shares:
            budgets = instance.budgets(share)
            at = {**key, "task": "one", "share": share}
            calls = {"hwnas": partial(one_budget, instance, budgets)}
            first = seed == 0 and share == family.shares[len(family.shares) // 2]
            calls |= {r: partial(rival, r, instance, budgets) for r in rivals if first or r not in family.slow}
            for method, call in calls.items():
                yield {**at, "method": method}, partial(_scored, call, instance, budgets)


def _scored(call: Callable[[], Record], instance: Instance, budgets: dict[str, int]) -> Record:
    return scored(measured(call), instance, budgets)


def warm_up() -> None:
    """Import everything before the first clock starts."""
    instance = random(4, 3, 0)
    for _ in range(2):
        one_budget(instance, instance.budgets(0.5))
        all_budgets(instance, {})
    two = random(4, 3, 0, costs=2)
    one_budget(two, two.budgets(0.8))
    for name in present():
        if name in NEEDS:
            with contextlib.suppress(Exception):
                importlib.import_module({"modelopt": "modelopt.torch.opt.searcher", "ortools":
                                         "ortools.sat.python.cp_model", "scipy": "scipy.optimize"}[NEEDS[name]])


def main() -> None:
    """Measure what is missing, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=math.inf, help="begin no measurement after so many")
    parser.add_argument("--only", nargs="*", default=[], help="families")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "hwnas-dpng")
    parser.add_argument("--write", type=Path, help="write the page here from the records there are")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    path = args.work / "records.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})  # before numpy reads them
    if args.write:
        args.write.write_text(dpng_page.page(records), encoding="utf-8")
        return
    measure(args, path, {json.dumps(record["what"]) for record in records})


def measure(args: argparse.Namespace, path: Path, done: set[str]) -> None:
    """Append a record for every task that has none."""
    begin, left = time.monotonic(), 0
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    warm_up()
    for what, call in tasks(args.only):
        if json.dumps(what) in done:
            continue
        if time.monotonic() - begin > args.seconds:
            left += 1
            continue
        line = json.dumps({"what": what, "machine": dpng_page.machine(), **call()})
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(*what.values(), flush=True)
    print(f"{left} measurements are missing: call again" if left else "nothing is missing: --write FILE makes the page")


if __name__ == "__main__":
    main()
