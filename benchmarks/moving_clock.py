"""The default job beside a load that comes and goes: do its numbers agree, are budgets met, does the interval hold?

    python benchmarks/moving_clock.py --out DIR [--rounds 20] [--write benchmarks/moving_clock.md]
    python benchmarks/moving_clock.py --out DIR --still        the same without the load
    python benchmarks/moving_clock.py --out DIR --quick        two rounds of a network that learns nothing, a light load

One `hwnas compress` on the digits, then `--rounds` networks from its search, each with another budget: compressed,
verified, deployed, its bundle verified, all by the command line, all beside the load. The load is a process a core that
works for some seconds (half of the times in the caches, half of them through the memory) and rests for some. What DIR
holds already is not run again.

numbers    of one network in one round: among the candidates, when it ships, by `verify`, by `bundle verify`; and of the
           reference: when the budget was fixed, beside the candidates, when it ships, by `verify`
apart      largest over smallest of them, less one
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.documents import read_json
from hwnas.files import write_json
from hwnas.latency import Prediction
from hwnas.latency.correction import Correction
from hwnas.runtime import Fingerprint, open_runtime

WORKS, RESTS = 4.0, 4.0  # seconds in the mean
BUDGETS = (30, 70)  # percent of the reference
QUICK_WORKS, QUICK_BUDGETS = 0.2, (85, 95)
QUICK_SPACE = ("--depth", "1", "--width-mult", "0.5")
QUICK = (*QUICK_SPACE, "--latency", "90%", "--epochs", "1", "--warmup", "1", "--cycles", "1", "--settle", "6", "--top",
         "2", "--finalists", "1", "--trial-epochs", "1", "--limit", "200")
GOAL = 5.0  # percent that numbers may be apart


def burn(core: int, seed: int, works: float) -> None:
    """Work, for so many seconds in the mean, and rest by turns on one core, for ever."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    rng = np.random.default_rng(seed)
    small, large = rng.normal(size=(128, 128)), rng.normal(size=(2, 1 << 23))
    while True:
        end, in_caches = time.monotonic() + rng.exponential(works), rng.random() < 0.5
        while time.monotonic() < end:
            if in_caches:
                small = small @ small
                small /= np.abs(small).max()
            else:
                large[0] = large[1]
        time.sleep(rng.exponential(RESTS))


@contextmanager
def load(still: bool, works: float = WORKS) -> Iterator[None]:
    """The load, while the block runs."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    spawned = multiprocessing.get_context("spawn")
    burners = [] if still else [spawned.Process(target=burn, args=(core, core, works), daemon=True) for core in cores]
    for burner in burners:
        burner.start()
    try:
        yield
    finally:
        for burner in burners:
            burner.terminate()


def _hwnas(*words: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", "hwnas", *words], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 4):  # 4: measured, and not within its promise
        raise SystemExit(f"hwnas {' '.join(words)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.returncode, done.stdout


def search(out: Path, quick: bool) -> None:
    """The run whose search all rounds begin with."""
    run, tables = out / "search", ["--tables", str(out / "tables")]
    if (run / "report.json").is_file():
        return
    if quick:
        _hwnas("profile", *QUICK_SPACE, "--imgsz", "16", "--channels", "1", "--classes", "10", *tables, "--max-seconds",
               "4")
    _hwnas("compress", *(["--resume", str(run)] if (run / "run.json").is_file() else
                         ["--out", str(run), *tables, *(QUICK if quick else ())]))


def one_round(out: Path, number: int, rounds: int, between: tuple[int, int]) -> dict[str, Any]:
    """A network of the search within another budget, and all that is measured of it."""
    kept = out / f"round-{number}.json"
    if kept.is_file():
        return dict(read_json(kept))
    low, high = between
    budget = f"{low + (high - low) * number / max(rounds - 1, 1):.1f}%"
    run, bundle = out / f"round-{number}", out / f"bundle-{number}"
    _hwnas("compress", *([] if run.exists() else ["--from", str(out / "search"), "--latency", budget, "--epochs", "1"]),
           *(["--resume", str(run)] if run.exists() else ["--out", str(run)]))
    verified, told = _hwnas("verify", str(run), "--json")
    if not bundle.exists():
        _hwnas("deploy", str(run), "--out", str(bundle))
    carried, bundled = _hwnas("bundle", "verify", str(bundle), "--json")
    state = read_json(run / "run.json")
    generated, exported = (state["stages"][name]["result"] for name in ("generate", "export"))
    check, packed = json.loads(told), json.loads(bundled)
    found = {
        "budget": budget, "met": verified == 0, "bundle_met": carried == 0,
        "model": {"candidates": generated["measured_ms"]["median_ms"],
                  "ships": exported["verdict"]["latency"]["median_ms"], "verify": check["latency"]["median_ms"],
                  "bundle verify": packed["latency"]["median_ms"]},
        "reference": {"budget": state["reference"]["latency_ms"],
                      "candidates": generated["reference_measured_ms"]["median_ms"],
                      "ships": exported["reference"]["latency"]["median_ms"],
                      "verify": check["reference_latency"]["median_ms"]},
        "interval": interval(generated), "share": exported["promise"]["share"],
        "table_interval": [generated["predicted_low_ms"], generated["predicted_high_ms"]],
        "kernel": check["latency"]["kernel_ms"],
        "said": any("busy machine" in told or "held the machine" in told
                    for told in (*exported.get("warnings", []), *check["warnings"])),
    }
    write_json(kept, found)
    return found


def interval(generated: dict[str, Any]) -> list[float]:
    """Of the network that ships, as the run tells it: by the table, corrected by the other candidates."""
    told = Prediction(generated["predicted"]["latency"] / 1e6, generated["predicted_low_ms"],
                      generated["predicted_high_ms"], 1.0)
    if generated.get("correction"):
        told = Correction(**generated["correction"]).applied(told)
    return [told.low_ms, told.high_ms]


def apart(numbers: dict[str, float]) -> float:
    """Largest over smallest, less one, percent."""
    return 100 * (max(numbers.values()) / min(numbers.values()) - 1)


def page(rounds: list[dict[str, Any]], seconds: float, still: bool) -> str:
    """What came of it."""
    of_model, of_reference = ([apart(r[name]) for r in rounds] for name in ("model", "reference"))
    inside, by_table = ([r[name][0] <= r["model"]["ships"] <= r[name][1] for r in rounds]
                        for name in ("interval", "table_interval"))
    used = [r["model"]["ships"] / r["reference"]["ships"] / r["share"] for r in rounds]
    told = [(r["said"], far > GOAL) for r, far in zip(rounds, of_model, strict=True)]
    met, carried = sum(r["met"] for r in rounds), sum(r["bundle_met"] for r in rounds)
    everywhere = {str(i): r["reference"]["verify"] for i, r in enumerate(rounds)}
    device = Fingerprint.of(open_runtime("onnxruntime"))
    rows = [["of", "apart, median", "worst round", f"rounds within {GOAL:.0f} %"], ["---"] * 4,
            *[[f"one {name} in a round", f"{statistics.median(found):.1f} %", f"{max(found):.1f} %",
               f"{sum(f <= GOAL for f in found)} of {len(found)}"]
              for name, found in (("network", of_model), ("reference", of_reference))],
            ["the reference over all rounds, by `verify`", "", f"{apart(everywhere):.1f} %", ""]]
    return "\n".join([
        "# Numbers beside a load that comes and goes", "",
        f"    python benchmarks/moving_clock.py --out DIR --rounds {len(rounds)}{' --still' if still else ''}", "",
        f"Device: {device.to_json().get('cpu', 'unknown')}, {os.cpu_count()} cores; {time.strftime('%Y-%m-%d')}; "
        f"{seconds / 60:.0f} minutes.", "", *("| " + " | ".join(row) + " |" for row in rows), "",
        f"- {sum(said for said, is_far in told if is_far)} of the {sum(is_far for _, is_far in told)} rounds whose "
        f"network was measured more than {GOAL:.0f} % apart said that the machine was busy; so did "
        f"{sum(said for said, is_far in told if not is_far)} others.",
        f"- Budgets met by `verify`: {met} of {len(rounds)}; by `bundle verify`: {carried} of {len(rounds)}.",
        f"- The 90 % interval held the measured time of {sum(inside)} of {len(inside)} networks "
        f"({100 * statistics.mean(inside):.0f} %; goal 85 to 95 %); that of the table alone, before the other "
        f"candidates correct it, of {sum(by_table)}.",
        f"- What ships uses {100 * min(used):.0f} to {100 * max(used):.0f} % of its budget, in the median "
        f"{100 * statistics.median(used):.0f} %.", ""])


def main() -> None:
    """Run what is missing, and write or print the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--write", type=Path)
    parser.add_argument("--still", action="store_true", help="without the load")
    parser.add_argument("--quick", action="store_true", help="to try it out: says nothing, writes nothing")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rounds, began = min(args.rounds, 2) if args.quick else args.rounds, time.monotonic()
    with load(args.still, QUICK_WORKS if args.quick else WORKS):
        search(args.out, args.quick)
        found = [one_round(args.out, number, rounds, QUICK_BUDGETS if args.quick else BUDGETS)
                 for number in range(rounds)]
    text = page(found, time.monotonic() - began, args.still)
    print(text)
    if args.write and not args.quick:
        args.write.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
