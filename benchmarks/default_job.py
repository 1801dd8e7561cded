"""The default job, `hwnas compress`, ten times: is the result within its budget and as accurate as the reference?

    python benchmarks/default_job.py --out /tmp/default --seeds 10
    python benchmarks/default_job.py --out /tmp/default --seeds 10 --jobs 2    # two at a time, one training thread each
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
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
