"""DPNG in fresh processes, on hard instances and against the clock, beside HiGHS.

    python benchmarks/dpng_hard.py --write benchmarks/dpng_hard.md

Three questions:

1. What does the *first* call of a fresh process take? A process per answer and solver: it imports what the solver needs
   (numpy and hwnas.generate; numpy and scipy.optimize), makes the instance, and then one call is timed, from arrays to
   the choice; HiGHS's model building is in it. hwnas is the plain install: there is no compiled code in it. Wanted is
   what was asked of it; in brackets what was asked of compiled loops with a warm cache, which there are no more.
2. Utilities that follow costs (subset sums, strong correlation, equal layers: `dpng_instances.HARD`), 60 instances.
3. By how much is `max_seconds` missed on every path (`dpng_paths.PATHS`)?

HiGHS (scipy.optimize.milp, gap 0) and hwnas take turns, instance by instance, each in one thread of one core. Ratios
are given on the wall, and of the processor, which is what counts where the machine is shared. A solver that is not done
after --limit seconds counts as that long. Seeds begin at 1000: none was looked at while the solver was written. Every
measurement is a line of --work/hard.jsonl, so it goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from dpng_instances import HARD, HARD_SIZES, Instance, correlated, equal_layers, hard, random
from dpng_page import machine, table, times

Record = dict[str, Any]
ROOT = Path(__file__).resolve().parents[1]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
SEED, CLOSE = 1000, 1e-6
FRESH = {
    "random 21x9": (partial(random, 21, 9), 10), "random 60x60": (partial(random, 60, 60), 5),
    "random 200x200": (partial(random, 200, 200), 3), "correlated 40x100": (partial(correlated, 40, 100), 3),
    "equal layers 21x9": (partial(equal_layers, 21, 9), 5), "equal layers 60x20": (partial(equal_layers, 60, 20), 5),
}
WANTED = {"random 21x9": "8 (10)", "random 60x60": "10 (30)", "random 200x200": "20 (100)"}
LIMITS, SHARES = (0.0, 0.5, 2.0), (0.3, 0.5, 0.7)


def tasks(part: str) -> Iterator[Record]:
    """What is to be measured."""
    if part == "fresh":
        yield from ({"part": part, "family": name, "seed": SEED + seed, "share": share}
                    for name, (_, seeds) in FRESH.items() for seed in range(seeds) for share in (0.25, 0.5, 0.75))
    elif part == "hard":
        yield from ({"part": part, "family": kind, "size": list(size), "seed": SEED + i, "share": SHARES[i % 3]}
                    for kind in HARD for i, size in enumerate(HARD_SIZES))
    else:
        from dpng_paths import PATHS

        yield from ({"part": part, "family": path, "seconds": seconds} for path in PATHS for seconds in LIMITS)


def instance_of(task: Record) -> Instance:
    """The instance of a task."""
    if task["part"] == "fresh":
        return FRESH[task["family"]][0](task["seed"])
    return hard(task["family"], *task["size"], task["seed"])


def one(task: Record, method: str, limit: float) -> Record:
    """What a fresh process measures: one call."""
    if task["part"] == "time":
        return _late(task)
    instance = instance_of(task)
    budgets = instance.budgets(task["share"])
    if method == "HiGHS":
        import dpng_rivals
        import scipy.optimize
        import scipy.sparse  # noqa: F401  imported before the clock starts, as hwnas is

        dpng_rivals.LIMIT_S = limit
        call = partial(dpng_rivals.highs, instance, budgets)
    else:
        from hwnas.generate import solve

        call = partial(solve, instance.utilities, instance.costs, budgets, max_seconds=limit)
    wall, processor = time.perf_counter(), time.process_time()
    found = call()
    record = {"wall": time.perf_counter() - wall, "processor": time.process_time() - processor}
    choice = found if method == "HiGHS" else list(found.choice)
    if choice is None:
        return record | {"utility": None}
    totals = instance.totals(choice)
    return record | {"utility": instance.utility(choice), "over": any(totals[n] > b for n, b in budgets.items()),
                     "status": getattr(found, "status", None)}


def _late(task: Record) -> Record:
    """How long after its deadline a path answers."""
    from dpng_paths import PATHS

    began = time.perf_counter()
    found = PATHS[task["family"]](task["seconds"])
    wall = time.perf_counter() - began
    return {"wall": wall, "late": wall - task["seconds"], "status": getattr(found, "status", None)}


def measure(task: Record, method: str, limit: float) -> Record:
    """The same, in a process of its own."""
    command = [sys.executable, __file__, "--one", json.dumps(task), "--method", method, "--limit", str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env={**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)})
    if done.returncode:
        raise SystemExit(done.stderr)
    record: Record = json.loads(done.stdout.strip().splitlines()[-1])
    return record


# --- the page ----------------------------------------------------------------------------------------------------

HEAD = """# DPNG in fresh processes, on hard instances, against the clock

Command: `python benchmarks/dpng_hard.py --write benchmarks/dpng_hard.md`. Date: {date}. Machine: {cpu}{shared}.
{versions}.

{doc}"""


def page(records: list[Record], shared: bool, limit: float) -> str:
    """The whole page as markdown."""
    about = records[0]["machine"]
    note = "; **shared with other work meanwhile**: look at ratios rather than at times" if shared else ""
    doc = (__doc__ or "").split("\n\n", 2)[2].strip().replace("--limit seconds", f"{limit:g} seconds")
    parts = [HEAD.format(date=about["date"], cpu=about["cpu"], shared=note, versions=about["versions"], doc=doc)]
    parts += [_compared("First call of a fresh process", "fresh", records, limit),
              _compared("Hard instances", "hard", records, limit), _clock(records)]
    return "\n\n".join(parts) + "\n"


def _compared(title: str, part: str, records: list[Record], limit: float) -> str:
    pairs: dict[str, dict[str, Record]] = defaultdict(dict)
    for record in (r for r in records if r["task"]["part"] == part):
        pairs[json.dumps(record["task"])][record["method"]] = record
    groups: dict[str, list[tuple[Record, Record]]] = defaultdict(list)
    for pair in pairs.values():
        if len(pair) == 2:
            both = pair["hwnas"], pair["HiGHS"]
            groups[pair["hwnas"]["task"]["family"]].append(both)
            groups["all"].append(both)
    rows = []
    for name, found in groups.items():
        ratios = [_spent(theirs, limit) / _spent(ours, limit) for ours, theirs in found]
        wall = [theirs["wall"] / ours["wall"] for ours, theirs in found]
        wanted = WANTED.get(name) if part == "fresh" else None
        rows.append([
            name, str(len(found)), times([1e3 * ours["wall"] for ours, _ in found]),
            times([1e3 * theirs["wall"] for _, theirs in found]),
            f"{statistics.median(ratios):.1f} (least {min(ratios):.2f})", f"{statistics.median(wall):.1f}",
            "" if wanted is None else f"{wanted}",
            f"{sum(o['status'] == 'OPTIMAL' for o, _ in found)}, {sum(_proven(t, limit) for _, t in found)}",
            str(sum(_worse(o, t) for o, t in found)),
        ])
    head = ("family", "instances", "hwnas, ms", "HiGHS, ms", "HiGHS / hwnas, processor", "wall", "wanted",
            "done in time: hwnas, HiGHS", "hwnas worse than HiGHS")
    return f"## {title}\n\n{table(head, rows)}"


def _spent(record: Record, limit: float) -> float:
    """Processor seconds; the limit for a solver that did not finish."""
    done = record.get("status") != "BOUNDED" and (record["method"] == "hwnas" or _proven(record, limit))
    return record["processor"] if done else max(record["processor"], limit)


def _proven(record: Record, limit: float) -> bool:
    return record["utility"] is not None and record["wall"] < limit


def _worse(ours: Record, theirs: Record) -> bool:
    """Whether HiGHS has a better choice that is within the budget."""
    if theirs["utility"] is None or theirs["over"]:
        return False
    return bool(theirs["utility"] - ours["utility"] > CLOSE * max(abs(theirs["utility"]), 1e-3))


def _clock(records: list[Record]) -> str:
    rows: dict[str, dict[float, Record]] = defaultdict(dict)
    for record in (r for r in records if r["task"]["part"] == "time"):
        rows[record["task"]["family"]][record["task"]["seconds"]] = record
    head = ("path", *(f"max_seconds {seconds:g}: late by, s" for seconds in LIMITS))
    cells = [[path, *(f"{max(found[s]['late'], 0.0):.3f}" if s in found else "" for s in LIMITS)]
             for path, found in rows.items()]
    note = "Making the instance is in these times; a path that is done before is late by 0. Wanted: within 0.2 s."
    return f"## Late after max_seconds\n\n{note}\n\n{table(head, cells)}"


def main() -> None:
    """Measure what is missing, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "hwnas-dpng")
    parser.add_argument("--write", type=Path, help="write the page here")
    parser.add_argument("--shared", action="store_true", help="say on the page that the machine had other work")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds that a solver may take")
    parser.add_argument("--parts", nargs="*", default=["fresh", "hard", "time"])
    parser.add_argument("--only", nargs="*", default=[], help="families or paths")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--method", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(json.loads(args.one), args.method, args.limit)))
        return
    args.work.mkdir(parents=True, exist_ok=True)
    path = args.work / "hard.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    done = {json.dumps([r["task"], r["method"]]) for r in records}
    for task in (task for part in args.parts for task in tasks(part)):
        if args.only and task["family"] not in args.only:
            continue
        for method in ("hwnas",) if task["part"] == "time" else ("hwnas", "HiGHS"):
            if json.dumps([task, method]) in done:
                continue
            record = {"task": task, "method": method, "machine": machine(), **measure(task, method, args.limit)}
            records.append(record)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            print(*task.values(), method, f"{record['wall']:.3f} s", record.get("status") or "", flush=True)
    if args.write:
        args.write.write_text(page(records, args.shared, args.limit), encoding="utf-8")


if __name__ == "__main__":
    main()
