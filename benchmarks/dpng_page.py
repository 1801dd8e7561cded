"""The page of benchmarks/dpng.py, from its records."""

from __future__ import annotations

import datetime
import os
import platform
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dpng_rivals import EXACT

Record = dict[str, Any]
OURS = "hwnas"
METHODS = (OURS, "HiGHS", "CP-SAT", "ModelOpt LPS", "evolution", "recursion")
ZERO = 1e-8
PACKAGES = ("numpy", "scipy", "ortools", "nvidia-modelopt", "pulp")
HEAD = """# DPNG: exact choice under budgets, against solvers and heuristics

Command: `python benchmarks/dpng.py`, then `--write benchmarks/dpng.md`. Date: {dates}. Machine: {cpus}; one core for
everything. {versions}."""
LEGEND = """## Against the rivals

Every row of a table saw the same instances and budgets: a quarter, half and three quarters of the way from the cheapest
total to that of the best utility. What the columns say:

- *gap*: largest distance to the best utility that any method found within the budget, recomputed from the choices.
- *over*: answers whose exact total is over the budget; they count as no answer.
- times: median (least to most) of a call on arrays until the choice is known; a rival's model building is in it. A
  rival that took long was asked once.
- *all budgets*: one pass for hwnas and the recursion. The others would have to be asked once per point of the front, so
  theirs is computed (~): one budget times points.
- *memory*: about, beyond what the process held before.
- *ratio*: one budget against one budget of hwnas, median over the same instances and budgets."""
BRUTE = """## Against brute force

Up to 5 layers of up to 6 operations, zero costs and ties included; compared in utility and, where the rule for ties
says which, in the choice."""
MACRO = """## NAS-Bench-Macro

6,561 networks of 8 layers (X. Su et al., CVPR 2021), each trained three times. Utilities: least-squares main effects of
the mean accuracy; costs: FLOPs. The front has {points} points. Regret: accuracy points below the best network within
the budget, for the best sum of effects, for the best of the 32 best sums by the first training alone, and for the best
network that these 32 hold."""
WANTED = {20: 0.49, 40: 0.0, 60: 0.17, 80: 0.39, 100: 0.16}  # the most regret that re-ranking may leave, points


def machine() -> dict[str, str]:
    """Where and when a record was made."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    versions = ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name)))
    return {"cpu": f"{model or 'unknown CPU'}, {os.cpu_count()} cores", "date": datetime.date.today().isoformat(),
            "versions": f"Python {platform.python_version()}, {versions}"}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def page(records: list[Record]) -> str:
    """The whole page as markdown."""
    tasks = _by_task(records)
    families = list(dict.fromkeys(r["what"]["family"] for r in records if "family" in r["what"]))
    parts = [_head(records, tasks), _goals(tasks), LEGEND]
    parts += [_family(name, tasks) for name in families]
    parts += [_brute(tasks["brute"]), _macro(tasks["macro"]), _extras(tasks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _by_task(records: list[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        found[record["what"]["task"]].append(record)
    return found


def _head(records: list[Record], tasks: dict[str, list[Record]]) -> str:
    dates, cpus, versions = (", ".join(sorted({r["machine"][name] for r in records}))
                             for name in ("date", "cpu", "versions"))
    parts = [HEAD.format(dates=dates, cpus=cpus, versions=versions)]
    if not any(r["what"].get("method") == "ModelOpt LPS" for r in records):
        parts.append("nvidia-modelopt was not installed, so its solver is missing from the tables.")
    return "\n\n".join(parts)


def _family(name: str, tasks: dict[str, list[Record]]) -> str:
    one = [r for r in tasks["one"] if r["what"]["family"] == name]
    every = [r for r in tasks["all"] if r["what"]["family"] == name]
    best = _best(one)
    rows = [_row(method, one, every, best) for method in METHODS if any(r["what"]["method"] == method for r in one)]
    sizes = [r["points"] for r in every if "points" in r]
    tail = f" ({min(sizes):,} to {max(sizes):,} points on the front)" if sizes else ""
    head = ("method", "answers", "gap", "over", "one budget, ms", "all budgets, ms", "memory, MB", "ratio")
    return f"### {name}{tail}\n\n{table(head, rows)}"


def _at(record: Record) -> tuple[Any, ...]:
    what = record["what"]
    return what["family"], what["seed"], what["share"]


def _best(records: Iterable[Record]) -> dict[tuple[Any, ...], float]:
    best: dict[tuple[Any, ...], float] = {}
    for record in records:
        if "utility" in record and not record["over"]:
            best[_at(record)] = max(best.get(_at(record), -float("inf")), record["utility"])
    return best


def _row(method: str, one: list[Record], every: list[Record], best: dict[tuple[Any, ...], float]) -> list[str]:
    mine = [r for r in one if r["what"]["method"] == method]
    good = [r for r in mine if "utility" in r and not r["over"]]
    gap = max((best[_at(r)] - r["utility"] for r in good), default=float("nan"))
    bounded = sum(r.get("status") == "BOUNDED" for r in mine)
    return [
        method, f"{len(good)} of {len(mine)}" + (f", {bounded} bounded" if bounded else ""),
        "none" if not good else "0" if gap < ZERO else f"{gap:.2g}",
        str(sum(bool(r.get("over")) for r in mine)), times([1e3 * r["seconds"] for r in mine if "seconds" in r]),
        _all_budgets(method, mine, every), _memory(method, mine, every), _ratio(mine, one),
    ]


def _all_budgets(method: str, mine: list[Record], every: list[Record]) -> str:
    own = [1e3 * r["seconds"] for r in every if r["what"]["method"] == method and "seconds" in r]
    if method == OURS:
        return times(own) if own else ""
    timed = [1e3 * r["seconds"] for r in mine if "seconds" in r]
    points = [r["points"] for r in every if "points" in r]
    if method == "recursion":
        return times(timed)
    return f"~{_long(statistics.median(timed) * statistics.median(points))}" if timed and points else ""


def _long(ms: float) -> str:
    for unit, size in (("h", 3.6e6), ("min", 6e4), ("s", 1e3)):
        if ms >= 2 * size:
            return f"{ms / size:.0f} {unit}"
    return f"{ms:,.0f}"


def _memory(method: str, mine: list[Record], every: list[Record]) -> str:
    """Of one budget, and of all in one pass."""
    whole = [r for r in every if r["what"]["method"] == method]
    most = [max(found) for records in (mine, whole)
            if (found := [r["memory_mb"] for r in records if "memory_mb" in r])]
    return ", all ".join(f"{value:.0f}" for value in most)


def _ratio(mine: list[Record], one: list[Record]) -> str:
    """Median over the same instances and budgets."""
    ours = {_at(r): r["seconds"] for r in one if r["what"]["method"] == OURS and "seconds" in r}
    found = [r["seconds"] / ours[_at(r)] for r in mine if "seconds" in r and _at(r) in ours]
    return f"{statistics.median(found):.1f}" if found else ""


# --- goals -------------------------------------------------------------------------------------------------------


def _goals(tasks: dict[str, list[Record]]) -> str:
    one, every = tasks["one"], tasks["all"]
    best = _best(one)
    gaps = [best[_at(r)] - r["utility"] for r in one if r.get("status") == "OPTIMAL"]
    over = sum(bool(r.get("over")) for r in one if r["what"]["method"] == OURS)
    small, middle, large = ("random 21x9", "random 60x60", "random 200x200")
    rows = [
        _goal("gap wherever it says OPTIMAL (nats)", max(gaps, default=None), lambda v: v < ZERO, "0"),
        _goal("answers over a budget", float(over) if one else None, lambda v: v == 0, "0"),
        _goal("21x9: fastest exact rival's one budget / whole front", _against(small, one, every), lambda v: v >= 20,
              "at least 20"),
        _goal("60x60: the same", _against(middle, one, every), lambda v: v >= 4, "at least 4"),
        _goal("200x200: whole front / HiGHS's one budget", _whole(large, one, every), lambda v: v <= 2, "at most 2"),
        _goal("60x60: HiGHS / hwnas, one budget", _one(middle, one), lambda v: v >= 30, "at least 30"),
        _goal("200x200: HiGHS / hwnas, one budget", _one(large, one), lambda v: v >= 30, "at least 30"),
        _goal("two budgets at 21x9, ms (median)", _ms("two budgets 21x9", one), lambda v: v < 30, "under 30"),
        _goal("10,000 budgets from one front, ms", _queries(tasks["queries"]), lambda v: v < 5, "under 5"),
    ]
    return "## Goals\n\n" + table(("what", "wanted", "measured", "met"), rows)


def _goal(what: str, value: float | None, met: Callable[[float], bool], wanted: str) -> list[str]:
    if value is None:
        return [what, wanted, "not measured", ""]
    shown = "0" if abs(value) < ZERO else f"{value:.3g}"
    return [what, wanted, shown, "yes" if met(value) else "**no**"]


def _seconds(records: list[Record], family: str, method: str) -> list[float]:
    return [r["seconds"] for r in records
            if r["what"]["family"] == family and r["what"]["method"] == method and "seconds" in r]


def _fastest(family: str, one: list[Record]) -> float | None:
    medians = [statistics.median(found) for rival in EXACT if (found := _seconds(one, family, rival))]
    return min(medians, default=None)


def _against(family: str, one: list[Record], every: list[Record]) -> float | None:
    rival, ours = _fastest(family, one), _seconds(every, family, OURS)
    return None if rival is None or not ours else rival / statistics.median(ours)


def _whole(family: str, one: list[Record], every: list[Record]) -> float | None:
    rival, ours = _seconds(one, family, "HiGHS"), _seconds(every, family, OURS)
    return statistics.median(ours) / statistics.median(rival) if rival and ours else None


def _one(family: str, one: list[Record]) -> float | None:
    rival, ours = _seconds(one, family, "HiGHS"), _seconds(one, family, OURS)
    return statistics.median(rival) / statistics.median(ours) if rival and ours else None


def _ms(family: str, one: list[Record]) -> float | None:
    found = _seconds(one, family, OURS)
    return 1e3 * statistics.median(found) if found else None


def _queries(records: list[Record]) -> float | None:
    return max((1e3 * r["query_seconds"] for r in records if "query_seconds" in r), default=None)


# --- the rest ----------------------------------------------------------------------------------------------------


def _brute(records: list[Record]) -> str:
    if not records:
        return ""
    sums: dict[str, list[int]] = {}
    for r in records:
        row = sums.setdefault(r["what"]["kind"], [0, 0, 0])
        for i, field in enumerate(("instances", "wrong", "infeasible")):
            row[i] += r[field]
    rows = [[kind, f"{n:,}", str(wrong), f"{empty:,}"] for kind, (n, wrong, empty) in sums.items()]
    return BRUTE + "\n\n" + table(("what", "instances", "mismatches", "infeasible"), rows)


def _macro(records: list[Record]) -> str:
    if not records or "rows" not in records[0]:
        return ""
    rows = [[f"{r['budget']} M", r["choice"], f"{r['best']:.3f}", f"{r['additive']:.2f}", f"{r['reranked']:.2f}",
             f"{WANTED[r['budget']]:.2f}", f"{r['held']:.2f}"] for r in records[0]["rows"]]
    head = ("FLOPs", "best sum", "best accuracy, %", "its regret", "re-ranked", "wanted at most", "best of the 32")
    return MACRO.format(points=records[0]["points"]) + "\n\n" + table(head, rows)


def _extras(tasks: dict[str, list[Record]]) -> str:
    rows = [[f"10,000 budgets from the front of random {r['what']['instance']} ({r['points']:,} points)",
             f"{1e3 * r['query_seconds']:.2f}"] for r in tasks["queries"] if "query_seconds" in r]
    rows += [[f"the 32 best for every budget in one pass, random {r['what']['instance']} ({r['points']:,} labels)",
              f"{1e3 * r['seconds']:.0f}"] for r in tasks["ranked"] if "seconds" in r]
    return "## Many budgets\n\n" + table(("what", "ms"), rows) if rows else ""


def times(values: list[float]) -> str:
    """Median (least to most), in ms."""
    if not values:
        return ""
    return f"{_short(statistics.median(values))} ({_short(min(values))} to {_short(max(values))})"


def _short(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A markdown table."""
    head = list(head)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *rows])
