"""NSE beside a fixed space: the same search at equal measured latency.

    python benchmarks/evolve.py --data ../shared/data/cifar10 --out DIR [--budget 50%] [--images 4000] [--epochs 12]

The space mobile is searched with the defaults of `hwnas compress` within a share of its reference's latency. The space
nse, `--reduce evolve`, then gets the milliseconds that the first result measured, the same images, epochs and seed.
Trained on images of CIFAR-10, judged on as many others. What is finished is kept in DIR.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cifar10 import judge_split

from hwnas import pipeline


def run(folder: Path, **options: Any) -> pipeline.RunFolder:
    """A run that is finished to its export."""
    if folder.exists():
        return pipeline.resume(folder, until="export", hook=_told)
    return pipeline.compress(folder, until="export", hook=_told, **options)


def _told(stage: str, event: str, seconds: float) -> None:
    print(f"{stage} {event} {seconds:.0f} s", flush=True)


def main() -> None:
    """Both runs, and their line in a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--budget", default="50%")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--warmup", type=int, default=10, help="epochs of every round of NSE, and before the search")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    given = {"data": str(judge_split(args.data, args.out, args.images)), "epochs": args.epochs, "seed": args.seed,
             "warmup": args.warmup, "tables": str(args.out / "tables")}
    fixed = run(args.out / "mobile", budgets={"latency": args.budget}, **given)
    limit = fixed.result("export")["verdict"]["latency"]["median_ms"]
    evolved = run(args.out / "nse", budgets={"latency": f"{limit:.4f}ms"}, space="nse", reduce="evolve", **given)
    print("| space | accuracy, % | latency, ms | MFLOPs | reference, % |\n| --- | ---: | ---: | ---: | ---: |")
    for name, found in (("mobile", fixed), ("nse", evolved)):
        export, flops = found.result("export"), found.result("generate")["predicted"].get("flops")
        print(f"| {name} | {export['verdict']['accuracy']:.2f} | {export['verdict']['latency']['median_ms']:.3f} | "
              f"{flops if flops is None else flops / 1e6:.1f} | {export['reference']['accuracy']:.2f} |")


if __name__ == "__main__":
    main()
