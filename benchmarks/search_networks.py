"""Searchers of networks beside each other at equal work: what they find within half the multiply-accumulates.

    python benchmarks/search_networks.py --out DIR [--data digits] [--seeds 3] [--epochs 10]
    python benchmarks/search_networks.py --out DIR --searchers fpnas parsec --space fbnetv2 --depth 1 --rounds 20

Every searcher gets the epochs of training that MIGO's search takes by default (`Searcher.effort`), so those by
gradients make fewer rounds; with --rounds all make as many instead. Their distributions are solved by DPNG within half
the reference's multiply-accumulates; the answer starts from the shared weights of its search, is trained for some
epochs and judged on the validation images. A control trains a random architecture, as close under the same budget, from
the weights of MIGO's search. What is finished is not done again; the table is printed at the end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from hwnas.data import load
from hwnas.generate import solve
from hwnas.search import resumable
from hwnas.search.config import SearchConfig
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.log import SearchLog
from hwnas.search.resumable import SearchResult, evaluator_of, searcher_of
from hwnas.space import Space, SpaceConfig, build
from hwnas.train import TrainConfig, Workload, fit, workload_of
from hwnas.train.checkpoint import load_tensors

SEARCHERS = ("weight_sharing", "proxylessnas", "darts", "fpnas", "parsec")
CONTROL = "random"


@dataclass(frozen=True)
class Row:
    """One answer: percent of the reference's work, processor seconds of the search, scores in percent.

    Args:
        shared: with the shared weights; `trained`: after training, on the validation images.
        drawn: networks that the searchers by evidence drew.
    """

    name: str
    seed: int
    evaluations: int
    seconds: float
    work: float
    shared: float
    trained: float
    drawn: int = 0


def config_of(name: str, setting: EvaluatorSetting, rounds: int | None) -> SearchConfig:
    """The configuration whose training takes as long as that of MIGO, or of so many rounds."""
    if rounds is not None:
        return replace(setting.config, searcher=name, evaluations=rounds)
    plain = replace(setting.config, searcher="weight_sharing")
    evaluator = evaluator_of(setting)
    planned = resumable.strategy_of(setting.space, plain, setting.space.smallest().choice, setting.seed).evaluations
    goal = searcher_of(replace(setting, config=plain), evaluator).effort(evaluator, planned).epochs
    if name == "weight_sharing":
        return plain
    own = replace(setting.config, searcher=name)
    searcher = searcher_of(replace(setting, config=own), evaluator)
    fits = [e for e in range(1, planned + 1) if searcher.effort(evaluator, e).epochs <= goal]
    return replace(own, evaluations=max(fits, default=1))


def play(name: str, seed: int, space: Space, task: Workload, folder: Path, asked: argparse.Namespace) -> list[Row]:
    """One search, its answer, and of MIGO's the control."""
    plain = SearchConfig(train=TrainConfig(batch=64), architecture_lr=asked.architecture_lr)
    config, epochs = config_of(name, EvaluatorSetting(space, task, plain, seed), asked.rounds), asked.epochs
    folder.mkdir(parents=True, exist_ok=True)
    began = time.process_time()
    found = resumable.run(space, task, config, folder=folder, seed=seed)
    seconds, count = time.process_time() - began, len(SearchLog(folder / "search.jsonl").of("train"))
    costs = [[op.flops for op in choice.ops] for choice in space.choices]
    fixed = space.largest().flops - sum(row[op] for row, op in zip(costs, space.largest().choice, strict=True))
    limit = space.reference.flops // 2 - fixed
    answer = solve(found.distribution.utilities("effect"), costs, limit).choice
    learnt = load_tensors(folder / "search.safetensors")[1].get("searcher", {})
    rows = [replace(_row(name, seed, count, seconds, space, task, found, answer, epochs),
                    drawn=learnt.get("samples", 0))]
    if name == "weight_sharing":
        rng, best = np.random.default_rng(seed), None
        for _ in range(2000):
            choice = space.sample(rng).choice
            cost = sum(row[op] for row, op in zip(costs, choice, strict=True))
            if cost <= limit and (best is None or cost > best[0]):
                best = (cost, choice)
        assert best is not None
        rows.append(_row(CONTROL, seed, 0, 0.0, space, task, found, best[1], epochs))
    return rows


def _row(name: str, seed: int, count: int, seconds: float, space: Space, task: Workload, found: SearchResult,
         choice: tuple[int, ...], epochs: int) -> Row:
    arch = space.architecture(choice)
    shared = found.evaluator.score(choice)
    history = fit(found.evaluator.network(arch), task, TrainConfig(epochs=epochs, batch=64), seed=seed)
    return Row(name, seed, count, seconds, 100 * arch.flops / space.reference.flops, shared, history.score)


def table(rows: list[Row]) -> str:
    """Means over the seeds, with the least and the largest of the trained scores."""
    lines = ["| searcher | rounds that evaluate | networks drawn | search, processor s | beside the first "
             "| work of the answer, % | shared weights, % | trained, % |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    first = rows[0].name
    for name in dict.fromkeys(row.name for row in rows):
        own = [r for r in rows if r.name == name]
        mean = statistics.mean(r.seconds for r in own)
        timed = "" if name == CONTROL else f"{mean:.0f}"
        ratio = "" if name == CONTROL else f"{mean / statistics.mean(r.seconds for r in rows if r.name == first):.2f}"
        scores = [r.trained for r in own]
        lines.append(f"| {name} | {own[0].evaluations or ''} | {round(statistics.mean(r.drawn for r in own)) or ''} | "
                     f"{timed} | {ratio} | {statistics.mean(r.work for r in own):.1f} | "
                     f"{statistics.mean(r.shared for r in own):.2f} | "
                     f"{statistics.mean(scores):.2f} ({min(scores):.2f} to {max(scores):.2f}) |")
    return "\n".join(lines)


def main() -> None:
    """Play what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", default="digits")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--searchers", nargs="*", default=list(SEARCHERS[:3]), choices=SEARCHERS)
    parser.add_argument("--space", default="mobile")
    parser.add_argument("--depth", type=int, help="layers a stage")
    parser.add_argument("--rounds", type=int, help="as many for every searcher")
    parser.add_argument("--architecture-lr", type=float, default=0.01)
    parser.add_argument("--imgsz", type=int, help="of the images; none: as they are")
    parser.add_argument("--limit", type=int, help="training images")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    data = load(asked.data, imgsz=asked.imgsz, limit=asked.limit)
    space = build(SpaceConfig(asked.space, data.size[0], data.channels, len(data.classes), depth=asked.depth))
    asked.out.mkdir(parents=True, exist_ok=True)
    log = asked.out / "rows.jsonl"
    rows = [Row(**json.loads(line)) for line in log.read_text().splitlines()] if log.exists() else []
    for seed in range(asked.seeds):
        for name in asked.searchers:
            if any((r.name, r.seed) == (name, seed) for r in rows):
                continue
            new = play(name, seed, space, workload_of(data), asked.out / f"{name}-{seed}", asked)
            rows += new
            with log.open("a") as file:
                file.writelines(json.dumps(asdict(row)) + "\n" for row in new)
    print(table(rows))


if __name__ == "__main__":
    main()
