"""Searches of cells by gradients: what a step takes, and what they derive where the truth is known.

    python benchmarks/cells.py steps [--batch 32] [--cells 8] [--repeats 5]
    python benchmarks/cells.py truth --data ../shared/data/nasbench201 --images ../shared/data/cifar10/train_10k.parquet
                                     --out DIR [--seeds 3] [--rounds 30]

`steps`: a step of the logits and one of the weights of every searcher in the space darts, each in a process of its own:
seconds, and the most memory over what the process had before the first. `truth`: every searcher on the cell of
NAS-Bench-201 (one cell a stage, 16 px, 6,400 images train), and the published accuracies of what it derives.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hwnas.bench import nasbench201
from hwnas.data import load
from hwnas.nets import Supernet
from hwnas.nets.partial import PartialSupernet
from hwnas.search import resumable
from hwnas.search.config import SearchConfig
from hwnas.search.differentiable.logits import Logits
from hwnas.search.differentiable.normalised import EdgeNormalised
from hwnas.search.differentiable.relaxations import Relaxation, Sampled, Softmax
from hwnas.search.differentiable.transit import Transit
from hwnas.space import Space, SpaceConfig, build
from hwnas.space.nasbench201 import to_string
from hwnas.train import TrainConfig

STEPS = ("darts", "pcdarts", "entrannas", "entrannas_dst", "gdas")
TRUTH = ("darts", "gdas", "entrannas", "entrannas_dst", "fpnas")


def relaxation_of(name: str, space: Space) -> Relaxation:
    """What the searcher of that name makes of logits."""
    if name == "darts":
        return Softmax(space.sizes)
    if name == "pcdarts":
        return EdgeNormalised(space)
    return Sampled() if name == "gdas" else Transit(space, sparse=name == "entrannas_dst")


def step(name: str, args: argparse.Namespace) -> dict[str, float]:
    """Steps of one searcher in this process."""
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    space = build(SpaceConfig("darts", 32, 3, 10, depth=args.cells))
    kind = PartialSupernet if name == "pcdarts" else Supernet
    supernet = kind(space, [0.5] * 3, [0.25] * 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    supernet.train()
    relaxation = relaxation_of(name, space)
    logits = Logits(relaxation.begin(space.sizes), 0.01)
    optimizer = torch.optim.SGD(supernet.parameters(), lr=0.025, momentum=0.9)
    images, labels = torch.rand(args.batch, 3, 32, 32), torch.arange(args.batch) % 10
    rng, before, seconds = np.random.default_rng(0), _resident(), []
    for _ in range(args.repeats):
        began = time.perf_counter()
        out = supernet(images, relaxation.mixture(space, logits.rows, rng, 0.5))
        logits.step(torch.nn.functional.cross_entropy(out, labels))
        del out
        optimizer.zero_grad(set_to_none=True)
        path = relaxation.path(space, logits.rows, rng, 0.5)
        run = space.architecture(path) if isinstance(path, tuple) else path
        torch.nn.functional.cross_entropy(supernet(images, run), labels).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - began)
    return {"seconds": statistics.median(seconds[1:]), "megabytes": _peak() - before}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _resident() -> float:
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * resource.getpagesize() / 2**20


def steps(args: argparse.Namespace) -> None:
    """Print a row a searcher."""
    if args.only:
        print(json.dumps(step(args.only, args)))
        return
    first: dict[str, float] = {}
    print("| searcher | step, s | beside darts | memory of a step, MB | beside darts |\n"
          "| --- | ---: | ---: | ---: | ---: |")
    for name in STEPS:
        command = [sys.executable, *sys.argv, "--only", name]
        found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        first = first or found
        print(f"| {name} | {found['seconds']:.2f} | {found['seconds'] / first['seconds']:.2f} | "
              f"{found['megabytes']:.0f} | {found['megabytes'] / first['megabytes']:.2f} |", flush=True)


def truth(args: argparse.Namespace) -> None:
    """Search the cell of NAS-Bench-201 with every searcher and seed, and look up what is derived."""
    benchmark = nasbench201.load(args.data)
    data = load(args.images, imgsz=16, limit=8000)
    space = build(SpaceConfig("nasbench201", 16, 3, 10, 0.5, 1))
    best = float(benchmark.truths.max())
    args.out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[dict[str, Any]]] = {}
    for name in TRUTH:
        for seed in range(args.seeds):
            folder = args.out / f"{name}-{seed}"
            folder.mkdir(exist_ok=True)
            config = SearchConfig(warmup=5, evaluations=args.rounds, epochs_per_evaluation=0.5, settle=0, reduce="none",
                                  searcher=name, architecture_lr=args.architecture_lr,
                                  train=TrainConfig(batch=64, lr=0.1))
            began = time.process_time()
            found = resumable.run(space, data, config, folder=folder, seed=seed)
            choice = found.distribution.mode()
            row = {"choice": choice, "truth": float(benchmark.truths[choice]), "seconds": time.process_time() - began}
            rows.setdefault(name, []).append(row)
            print(f"{name} {seed}: {to_string(choice)} {row['truth']:.2f}", flush=True)
    print("| searcher | truth of what is derived, % | behind the best | skips of 6 | processor s |\n"
          "| --- | --- | ---: | ---: | ---: |")
    for name, own in rows.items():
        values = [row["truth"] for row in own]
        skips = statistics.mean(sum(k == 1 for k in row["choice"]) for row in own)
        print(f"| {name} | {statistics.mean(values):.2f} ({min(values):.2f} to {max(values):.2f}) | "
              f"{best - statistics.mean(values):.2f} | {skips:.1f} | "
              f"{statistics.mean(row['seconds'] for row in own):.0f} |")


def main() -> None:
    """Run one of the two parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    one = parts.add_parser("steps")
    one.add_argument("--batch", type=int, default=32)
    one.add_argument("--cells", type=int, default=8)
    one.add_argument("--repeats", type=int, default=5)
    one.add_argument("--threads", type=int, default=1)
    one.add_argument("--only", choices=STEPS, help="one searcher, in this process")
    two = parts.add_parser("truth")
    two.add_argument("--data", type=Path, required=True)
    two.add_argument("--images", type=Path, required=True)
    two.add_argument("--out", type=Path, required=True)
    two.add_argument("--seeds", type=int, default=3)
    two.add_argument("--rounds", type=int, default=30)
    two.add_argument("--architecture-lr", type=float, default=0.01)
    args = parser.parse_args()
    {"steps": steps, "truth": truth}[args.part](args)


if __name__ == "__main__":
    main()
