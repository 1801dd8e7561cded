"""The long runs that want a GPU: CIFAR-10 with all its images, and photographs at 224 px.

    python benchmarks/headline.py --job cifar10 --data cifar10.npz --out DIR        x_train, y_train, x_val, y_val
    python benchmarks/headline.py --job photos --data FOLDER --out DIR              FOLDER/train/CLASS/*.jpg, FOLDER/val
    python benchmarks/headline.py --job cifar10 --data cifar10.npz --out DIR --smoke    minutes on a CPU, says nothing
    python benchmarks/headline.py --write benchmarks/headline.md DIR [DIR ...]      trains nothing

A run is `hwnas compress` with the options below, on the GPU that torch finds, in bf16, compiled. It resumes: the same
command goes on after a kill. What it leaves is DIR/headline.json, with hours of the search apart from the rest, since
published systems are compared by those.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from hwnas.files import write_json
from hwnas.pipeline import RunFolder, compress, load_context, resume

BF16 = {"accelerator": "auto", "amp": "bf16", "compile": True}
JOBS: dict[str, dict[str, Any]] = {
    "cifar10": {"space": "mobile", "imgsz": 32, "depth": 4, "width_mult": 3.0, "epochs": 300, "warmup": 60,
                "batch_size": 128, "recipe": "photo-long", "budgets": {"flops": "50%"}, **BF16},
    "photos": {"space": "ofa", "imgsz": 224, "epochs": 100, "warmup": 20, "batch_size": 256, "workers": 12,
               "recipe": "photo", "budgets": {"flops": "50%"}, **BF16},
}
SMOKE: dict[str, Any] = {
    "depth": 1, "width_mult": 0.5, "epochs": 1, "warmup": 1, "cycles": 1, "settle": 2, "top": 2, "finalists": 1,
    "epochs_per_evaluation": 0.5, "trial_epochs": 1, "limit": 256, "batch_size": 32, "workers": 0, "compile": False,
    "amp": "no", "accelerator": "cpu", "budgets": {"flops": "80%"},
}
SEARCHES = ("search",)


def run(args: argparse.Namespace) -> RunFolder:
    """Made, or gone on with."""
    folder: Path = args.out / "run"
    if (folder / "run.json").exists():
        return resume(folder)
    asked = JOBS[args.job] | (SMOKE if args.smoke else {}) | {"seed": args.seed}
    if args.job == "photos":
        asked.pop("width_mult", None)
        asked |= {"imgsz": 64} if args.smoke else {}
    return compress(folder, data=str(args.data), tables=str(args.out / "tables"), target=args.target, **asked)


def facts(found: RunFolder, args: argparse.Namespace) -> dict[str, Any]:
    """What stands on the page."""
    context, config = load_context(found), found.state.config
    seconds = {name: stage.seconds for name, stage in found.state.stages.items()}
    exported = found.result("export")
    return {
        "job": args.job, "smoke": args.smoke, "seed": config.seed, "data": found.result("data")["summary"],
        "accelerator": str(context.accelerator.device), "amp": config.train.amp, "versions": found.state.versions,
        "reference": found.result("reference")["accuracy"], "compressed": exported["verdict"]["accuracy"],
        "budget": dict(config.budgets), "measured": exported["ratio"],
        "search_hours": sum(seconds.get(name, 0.0) for name in SEARCHES) / 3600,
        "hours": sum(seconds.values()) / 3600, "date": time.strftime("%Y-%m-%d"),
    }


def page(found: list[dict[str, Any]]) -> str:
    """The rows of runs that were no smoke."""
    lines = ["| job | on | reference % | compressed % | search h | all h | date |", "|---|---|---|---|---|---|---|"]
    lines += [f"| {row['job']}, seed {row['seed']} | {row['accelerator']} {row['amp']} | {row['reference']:.2f} | "
              f"{row['compressed']:.2f} | {row['search_hours']:.2f} | {row['hours']:.2f} | {row['date']} |"
              for row in found if not row["smoke"]]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", help="for --write")
    parser.add_argument("--job", choices=JOBS, default="cifar10")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--target", default="local")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true")
    parser.add_argument("--write", type=Path, help="adds the table of finished folders to a page")
    args = parser.parse_args()
    if args.write:
        rows = page([json.loads((folder / "headline.json").read_text()) for folder in args.folders])
        text = args.write.read_text(encoding="utf-8") if args.write.exists() else ""
        args.write.write_text(text.split("## Runs\n")[0] + "## Runs\n\n" + rows, encoding="utf-8")
        return
    if args.data is None or args.out is None:
        parser.error("--data and --out are needed")
    args.out.mkdir(parents=True, exist_ok=True)
    write_json(args.out / "headline.json", facts(run(args), args))
    print((args.out / "headline.json").read_text())


if __name__ == "__main__":
    main()
