"""Which signal orders networks of one budget: random ones, trained, beside what was said of them before.

    python benchmarks/one_budget.py --data ../shared/data/cifar10 --out DIR [--share 0.25] [--networks 24] [--seed 0]

Networks of the space mobile are drawn at random whose multiply-accumulates lie between 0.9 and 1 of a share of the
reference's. One search with its defaults trains the shared weights and says what ops are worth; every network starts
from these weights, as in `compress`, and is trained for --epochs on all 10,000 images, and judged on 10,000 others.
Beside the truth stand the signals of `hwnas bench supernet` that need no training of their own, the score with the
shared weights, the sum of the search's effects, and sums of places. What is finished is kept in DIR.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cifar10 import judge_split

from hwnas.data import load
from hwnas.files import write_json
from hwnas.latency.metrics import kendall_tau
from hwnas.search import resumable
from hwnas.search.config import SearchConfig
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.signals import Signals
from hwnas.space import Space, SpaceConfig, build
from hwnas.train import TrainConfig, Workload, fit, workload_of

ALONE = ("params", "flops", "synflow", "jacob_cov", "naswot")
SUMS = ("params+jacob_cov+naswot", "params+naswot", "accuracy+params", "accuracy+naswot", "effects+naswot",
        "effects+params", "accuracy+effects", "accuracy+effects+params+naswot", "accuracy+params+jacob_cov+naswot")
BATCH, LR = 64, 0.1


def drawn(space: Space, share: float, count: int, seed: int) -> list[tuple[int, ...]]:
    """Different random networks of nearly one amount of work, by rejection; sparse ones as often as it takes."""
    rng, found = np.random.default_rng((seed, 1)), list[tuple[int, ...]]()
    most = share * space.reference.flops
    while len(found) < count:
        arch = space.sample(rng)
        if 0.9 * most <= arch.flops <= most and arch.choice not in found:
            found.append(arch.choice)
    return found


def searched(space: Space, task: Workload, folder: Path, seed: int) -> resumable.SearchResult:
    """One search with its defaults, or the one that DIR holds."""
    folder.mkdir(parents=True, exist_ok=True)
    return resumable.run(space, task, config(), folder=folder, seed=seed)


def config() -> SearchConfig:
    return SearchConfig(train=TrainConfig(batch=BATCH, lr=LR))


def trained(job: tuple[str, str, int, tuple[int, ...], int]) -> tuple[tuple[int, ...], float, float]:
    """A network's accuracy in percent after training from the shared weights, and the seconds it took."""
    npz, folder, seed, choice, epochs = job
    torch.set_num_threads(1)
    began, task, space = time.monotonic(), workload_of(load(npz)), space_of(npz)
    net = resumable.load(space, task, config(), folder=Path(folder), seed=seed).evaluator.network(
        space.architecture(choice))
    history = fit(net, task, TrainConfig(epochs=epochs, batch=BATCH, lr=LR), seed=seed)
    return choice, history.score, time.monotonic() - began


def space_of(npz: str) -> Space:
    with np.load(npz) as stored:
        size = stored["x_train"].shape[1]
    return build(SpaceConfig("mobile", size, 3, 10))


def truths(npz: Path, cells: list[tuple[int, ...]], args: argparse.Namespace) -> dict[tuple[int, ...], float]:
    """The accuracies, those that are missing computed by --processes at a time."""
    log = args.out / "trained.jsonl"
    known = {tuple(row["choice"]): row["accuracy"] for row in map(json.loads, log.read_text().splitlines())
             } if log.exists() else {}
    jobs = [(str(npz), str(args.out / "search"), args.seed, cell, args.epochs) for cell in cells if cell not in known]
    with ProcessPoolExecutor(args.processes, get_context("spawn")) as pool:
        for choice, accuracy, seconds in pool.map(trained, jobs):
            known[choice] = accuracy
            print(f"{choice}: {accuracy:.2f} % in {seconds:.0f} s", flush=True)
            with log.open("a") as file:
                file.write(json.dumps({"choice": choice, "accuracy": accuracy, "seconds": round(seconds)}) + "\n")
    return known


def told(space: Space, task: Workload, cells: list[tuple[int, ...]], args: argparse.Namespace) -> Signals:
    """The signals, with what the search said among them."""
    setting = EvaluatorSetting(space, task, config(), args.seed)
    found = searched(space, task, args.out / "search", args.seed)
    signals = Signals(setting, 0)
    signals.know("accuracy", cells, np.array([found.evaluator.score(cell) for cell in cells]))
    effects = found.distribution.effects
    signals.know("effects", cells, np.array([sum(row[k] for row, k in zip(effects, cell, strict=True))
                                             for cell in cells]))
    return signals


def table(said: dict[str, list[float]], truth: np.ndarray) -> str:
    """A row a signal: tau, with what chance makes of it, and the truth of the best by it beside the mean of all."""
    lines = ["| signal | tau | standard error | its best beside the mean, points | of the 4 best in its 8 |",
             "| --- | ---: | ---: | ---: | ---: |"]
    rng, best = np.random.default_rng(0), set(np.argsort(-truth)[:4].tolist())
    for name, values in said.items():
        value = np.array(values)
        drawn_again = (rng.integers(len(truth), size=len(truth)) for _ in range(400))
        again = [kendall_tau(value[i], truth[i]) for i in drawn_again]
        first = set(np.argsort(-value, kind="stable")[:8].tolist())
        lines.append(f"| {name} | {kendall_tau(value, truth):.3f} | {np.nanstd(again):.2f} | "
                     f"{truth[int(value.argmax())] - truth.mean():+.2f} | {len(first & best)} |")
    return "\n".join(lines)


def main() -> None:
    """Compute what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--networks", type=int, default=24)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=10_000, help="that train, and as many that judge")
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    npz = judge_split(args.data, args.out, args.images)
    space, task = space_of(str(npz)), workload_of(load(npz))
    cells = drawn(space, args.share, args.networks, args.seed)
    signals = told(space, task, cells, args)
    said = {name: signals(name, cells).tolist() for name in ("accuracy", "effects", *ALONE, *SUMS)}
    known = truths(npz, cells, args)
    truth = np.array([known[cell] for cell in cells])
    rows: dict[str, Any] = {"cells": cells, "truth": truth.tolist(), "said": said}
    write_json(args.out / f"one_budget-{args.share:g}-{args.seed}.json", rows)
    print(f"truth: mean {truth.mean():.2f}, standard deviation {truth.std():.2f}, best {truth.max():.2f}")
    print(table(said, truth))


if __name__ == "__main__":
    main()
