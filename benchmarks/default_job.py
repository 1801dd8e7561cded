"""The default job, `hwnas compress`, ten times: is the result within its budget and as accurate as the reference?

    python benchmarks/default_job.py --out /tmp/default --seeds 10
    python benchmarks/default_job.py --out /tmp/default --seeds 10 --jobs 2    # two at a time, one training thread each
    python benchmarks/default_job.py --out /tmp/turns --seeds 3 --turns        # one by one and side by side, in turns
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def one(seed: int, out: Path, jobs: int) -> dict[str, float]:
    """One job in a process of its own; kept if it is there already."""
    run = out / f"seed-{seed}"
    if not (run / "report.json").exists():
        command = [sys.executable, "-m", "hwnas", "compress", "--seed", str(seed), "--out", str(run)]
        command += ["--tables", str(out / "tables"), *(["--torch-threads", "1"] if jobs > 1 else [])]
        with (out / f"seed-{seed}.log").open("w") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log)
    state = json.loads((run / "run.json").read_text())
    found = state["stages"]["export"]["result"]
    return {
        "seed": seed,
        "accuracy": found["verdict"]["accuracy"], "reference": found["reference"]["accuracy"],
        "budget": found["reference"]["latency"]["median_ms"] / 2, "fixed": found["budget_ms"],
        "ms": found["verdict"]["latency"]["median_ms"], "ratio": found["ratio"],
        "stages": sum(s["seconds"] for s in state["stages"].values()), "attempts": state["attempts"],
    }


WAYS = {"one by one": "--one-by-one", "side by side": "--side-by-side"}


def in_turns(seeds: int, out: Path) -> None:
    """The whole command, from starting Python to the result, either way, one after the other; tables are full."""
    tables = ["--tables", str(out / "tables")]
    hwnas = [sys.executable, "-m", "hwnas"]
    subprocess.run([*hwnas, "profile", "--data", "digits", *tables], check=True, stdout=subprocess.DEVNULL)
    names = ("reference", "search", "generate", "finetune", "export")
    print(f"| seed | way | seconds | of one core | {' | '.join(names)} | accuracy % | ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    ratios = []
    for seed in range(seeds):
        took: dict[str, float] = {}
        for way in list(WAYS)[:: 1 if seed % 2 == 0 else -1]:
            run = out / f"{way.replace(' ', '-')}-{seed}"
            command = [*hwnas, "compress", "--seed", str(seed), "--out", str(run), *tables, WAYS[way]]
            with (out / f"{run.name}.log").open("w") as log:
                began = time.perf_counter()
                process = subprocess.Popen(command, stdout=log, stderr=log)
                _, process.returncode, used = os.wait4(process.pid, 0)
                took[way] = time.perf_counter() - began
            assert process.returncode == 0, f"{run} failed: see {out / run.name}.log"
            stages = json.loads((run / "run.json").read_text())["stages"]
            times = [f"{stages[name]['seconds']:.0f}" for name in names]
            found = stages["export"]["result"]
            print(f"| {seed} | {way} | {took[way]:.0f} | {used.ru_utime + used.ru_stime:.0f} | {' | '.join(times)} "
                  f"| {found['verdict']['accuracy']:.2f} | {found['ratio']:.3f} |", flush=True)
        ratios.append(took["side by side"] / took["one by one"])
    print(f"\nside by side takes {statistics.median(ratios):.2f} of the time ({min(ratios):.2f}-{max(ratios):.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--turns", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    if args.turns:
        in_turns(args.seeds, args.out)
        return
    print("| seed | accuracy % | reference % | difference | measured ms | budget ms | ratio | within | re-solved "
          "| seconds |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    rows = []
    with ThreadPoolExecutor(args.jobs) as pool:
        found = pool.map(lambda seed: one(seed, args.out, args.jobs), range(args.seeds))
    for r in found:
        rows.append(r)
        print(
            f"| {r['seed']} | {r['accuracy']:.2f} | {r['reference']:.2f} | {r['accuracy'] - r['reference']:+.2f} "
            f"| {r['ms']:.4f} | {r['budget']:.4f} | {r['ratio']:.3f} | {'yes' if r['ms'] <= r['budget'] else 'NO'} "
            f"| {r['attempts']} | {r['stages']:.0f} |", flush=True,
        )
    within = sum(r["ms"] <= r["budget"] for r in rows)
    close = sum(r["accuracy"] >= r["reference"] - 1 for r in rows)
    fixed = sum(r["ms"] <= r["fixed"] for r in rows)
    print(f"\nwithin the budget {within}/{len(rows)} (in ms, within what the run fixed: {fixed}/{len(rows)}), "
          f"within 1 point of the reference {close}/{len(rows)}, "
          f"longest job {max(r['stages'] for r in rows):.0f} s")


if __name__ == "__main__":
    main()
