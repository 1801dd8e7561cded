"""Three budgets from one search beside three runs, each with a search of its own: time, and what came of them.

    python benchmarks/several_budgets.py --out DIR [--budgets 30%,50%,70%] [--write FILE.md] [-- FLAGS OF COMPRESS]

Each is `hwnas compress` on the digits with its defaults, in a process of its own, one after the other; they share one
latency table, which is timed before. Wall time is of the process; CPU time, which other work on the machine changes
less, is of the process and its children. What DIR holds already is not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SPACE = ("--imgsz", "16", "--channels", "1", "--classes", "10")


def main() -> None:
    """Run what is missing, and write or print the page."""
    args = _arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    tables = ["--tables", str(args.out / "tables")]
    _hwnas("profile", *SPACE, *tables)
    jobs = {"several": args.budgets} | {budget: budget for budget in args.budgets.split(",")}
    found = {name: _timed(args.out / name.replace("%", "pct"), budget, [*tables, *args.flags])
             for name, budget in jobs.items()}
    page = _page(found, args)
    print(page)
    if args.write:
        args.write.write_text(page, encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budgets", default="30%,50%,70%")
    parser.add_argument("--write", type=Path)
    parser.add_argument("flags", nargs="*", help="of hwnas compress, behind --")
    return parser.parse_args()


def _hwnas(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "hwnas", *words], check=True)


def _timed(run: Path, budget: str, flags: list[str]) -> dict[str, Any]:
    """Seconds of a compress and the networks that it made."""
    kept = run.with_suffix(".json")
    if not kept.is_file():
        began, before = time.monotonic(), os.times()
        _hwnas("compress", "--latency", budget, *flags, "--out", str(run))
        after = os.times()
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        kept.write_text(json.dumps({"wall_s": time.monotonic() - began, "cpu_s": cpu}), encoding="utf-8")
    told = json.loads((run / "report.json").read_text(encoding="utf-8"))
    stages = json.loads((run / "run.json").read_text(encoding="utf-8"))["stages"]
    shared = sum(stages[name]["seconds"] for name in ("data", "profile", "reference", "search"))
    return json.loads(kept.read_text(encoding="utf-8")) | {"networks": _networks(told, budget), "shared_s": shared}


def _networks(told: dict[str, Any], budget: str) -> dict[str, tuple[float, float]]:
    """Budget -> accuracy in percent, and latency as a share of that of the reference beside it."""
    if "networks" in told:
        return {row["budgets"]["latency"]: (row["score"], row["share"]) for row in told["networks"]}
    rows = told["comparison"]
    return {budget: (rows["accuracy"]["compressed"], rows["latency"]["ratio"])}


def _page(found: dict[str, Any], args: argparse.Namespace) -> str:
    together, alone = found["several"], [row for name, row in found.items() if name != "several"]
    names = args.budgets.split(",")
    rows = [["", "wall s", "CPU s"], ["---"] * 3,
            ["one search, all budgets", f"{together['wall_s']:.0f}", f"{together['cpu_s']:.0f}"],
            *([f"{name} alone", f"{found[name]['wall_s']:.0f}", f"{found[name]['cpu_s']:.0f}"] for name in names)]
    ratios = [together[key] / sum(row[key] for row in alone) for key in ("wall_s", "cpu_s")]
    rows.append(["one search over the sum of the runs", *(f"{ratio:.2f}" for ratio in ratios)])
    nets = [["budget", "accuracy %, one search", "of the reference", "accuracy %, alone", "of the reference"],
            ["---"] * 5]
    for name in names:
        (first, share), (second, other) = together["networks"][name], found[name]["networks"][name]
        nets.append([name, f"{first:.2f}", f"{100 * share:.1f} %", f"{second:.2f}", f"{100 * other:.1f} %"])
    return "\n".join([
        "# Several budgets from one search", "",
        f"    python benchmarks/several_budgets.py --out DIR{' -- ' if args.flags else ''}{' '.join(args.flags)}", "",
        f"`hwnas compress` on the digits, defaults but for the flags above, {os.cpu_count()} cores; one process after "
        "the other, one latency table that was timed before.",
        f"Data, tables, reference and search took {together['shared_s']:.0f} s of the run for all.", "",
        *("| " + " | ".join(row) + " |" for row in rows), "",
        *("| " + " | ".join(row) + " |" for row in nets), "",
    ])


if __name__ == "__main__":
    main()
