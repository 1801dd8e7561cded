"""A search over a space with shared weights: ask, train, test, tell; then settle the effects with the final weights.

The run writes three files and resumes from them, bit for bit, after a kill at any moment:
    search.jsonl              every evaluation
    search.safetensors        shared weights, momenta and the state of the strategy after the last evaluation
    distribution.json         the result
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from hwnas.documents import read_json
from hwnas.errors import InputError, RunError, UsageError
from hwnas.files import write_json
from hwnas.nets import Supernet
from hwnas.progress import Progress, silent
from hwnas.search.cycle import fair_cycle
from hwnas.search.distribution import Distribution
from hwnas.search.effects import fit_effects
from hwnas.search.evaluators.shared import SupernetEvaluator
from hwnas.search.log import Evaluation, SearchLog
from hwnas.search.registry import create
from hwnas.search.schedule import Round, fair_rounds, path_rounds
from hwnas.search.strategy import Strategy
from hwnas.space import FULL, Space, scaled, variants
from hwnas.train import Task, TrainConfig, as_task
from hwnas.train.loop import restore, snapshot
from hwnas.train.task import AnyData
from hwnas.train.tensors import adopt, load_tensors, one_line, save_tensors
from hwnas.validation import Count, Schema, checked


@dataclass(frozen=True)
class SearchConfig:
    """How a distribution is learnt.

    Args:
        mode: of MIGO: `pooled` (effects from all samples), `corrected` or `reference`.
        training: `fair` (a fresh path of a fair cycle every step) or `path` (the asked path for an epoch, as MIGO-NAS
            does it); see `hwnas.search.schedule`.
        warmup: epochs of fair training before the first evaluation; for `fair`.
        epochs_per_evaluation: training between two evaluations, in epochs; for `fair`.
        cycles: s, fair cycles between two prunings.
        keep: live ops per choice at which pruning stops; the generator picks among these.
        settle: architectures scored with the final weights, from which the effects are estimated.
        holdout: share of the training set that judges paths.
        ridge: of the effect regression, in samples.
        train: batch size, peak learning rate, decay; its epochs and warm-up are not used.
        widths: shares of the space's channels at which the shared weights are to work, besides all of them.
        sizes: heights of the input in pixels at which they are to work, besides the space's own.
    """

    mode: str = "pooled"
    training: Literal["fair", "path"] = "fair"
    warmup: int = 10
    epochs_per_evaluation: float = 0.5
    cycles: int = 2
    keep: int = 3
    settle: int = 60
    holdout: float = 0.2
    ridge: float = 10.0
    train: TrainConfig = TrainConfig()
    widths: tuple[float, ...] = ()
    sizes: tuple[int, ...] = ()


class CheckpointSchema(Schema):
    """The metadata of search.safetensors; the strategy checks its own state."""

    origin: dict[str, Any]
    strategy: dict[str, Any]
    ticks: Count  # rounds, as 0.1 calls them


@dataclass(frozen=True)
class SearchResult:
    """The distribution over architectures and the supernet it was learnt with."""

    distribution: Distribution
    evaluator: SupernetEvaluator
    best: tuple[tuple[int, ...], float]

    @property
    def supernet(self) -> Supernet:
        return self.evaluator.supernet


def run(space: Space, data: AnyData | Task, config: SearchConfig, *, folder: Path, seed: int = 0,
        protect: Sequence[int] | None = None, init: Path | None = None,
        smaller: Mapping[int, Task] | None = None, progress: Progress = silent) -> SearchResult:
    """Learn a distribution over the architectures of `space` on `data`, or go on where a killed search stopped.

    Args:
        data: what is learnt; of a plain data set, to classify.
        folder: where search.jsonl, search.safetensors and distribution.json are written.
        seed: of everything random: initial weights, samples, batches.
        init: search.safetensors of another search, whose shared weights this one starts from where they fit.
        protect: an op index per choice that is never pruned (the cheapest, so that tight budgets stay reachable);
            None takes the op with the fewest FLOPs.
        smaller: the task at every one of the sizes of `config`.

    Raises:
        TrainingDiverged: the loss became NaN.
        RunError: the files in `folder` belong to another search, or `init` cannot be read.
        UsageError: nothing in `init` fits.
    """
    evaluator = evaluator_of(space, data, config, seed, smaller or {})
    if init is not None and not adopt(evaluator.supernet, load_tensors(init)[0], "weight."):
        raise UsageError(f"{init} has no weights that fit space {space.name}: take a run of the same space and width")
    strategy = create("migo", space.sizes, mode=config.mode, s=config.cycles, keep=config.keep,
                      ridge=config.ridge, protect=list(protect or space.smallest().choice), seed=seed)
    log = SearchLog(folder / "search.jsonl")
    rounds = _learn(strategy, evaluator, log, folder / "search.safetensors", config, space, progress)
    distribution = _rescored(strategy, evaluator, log, config, seed, rounds, progress)
    _restore(evaluator, folder / "search.safetensors")  # settling moved batch-norm statistics; a resumed run has not
    write_json(folder / "distribution.json", distribution.to_json())
    best = strategy.best
    if best is None:
        raise RunError(f"{folder} holds a search without evaluations: delete it and start again")
    return SearchResult(distribution, evaluator, best)


def load(space: Space, data: AnyData | Task, config: SearchConfig, *, folder: Path, seed: int = 0,
         smaller: Mapping[int, Task] | None = None) -> SearchResult:
    """A finished search from its folder; arguments as of `run`.

    Raises:
        RunError: the search is not finished or its files are damaged.
    """
    evaluator = evaluator_of(space, data, config, seed, smaller or {})
    try:
        _restore(evaluator, folder / "search.safetensors")
        distribution = Distribution.from_json(read_json(folder / "distribution.json"))
        entries = SearchLog(folder / "search.jsonl").of("train")
        best = max(entries, key=lambda e: e.score)
    except (InputError, ValueError) as err:
        raise RunError(f"{folder} does not hold a finished search of {space.name}: {err}") from err
    return SearchResult(distribution, evaluator, (best.choice, best.score))


def evaluator_of(space: Space, data: AnyData | Task, config: SearchConfig, seed: int,
                 smaller: Mapping[int, Task]) -> SupernetEvaluator:
    """Shared weights as a search begins with them, and what trains and scores them; arguments as of `run`."""
    torch.manual_seed(seed)
    task = as_task(data)
    supernet = Supernet(space, task.data.mean.tolist(), task.data.std.tolist())
    task.prepare(supernet)
    supernet = supernet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    folds = {0: task} | {size: smaller[size] for size in config.sizes}
    folds = {size: of.fold(config.holdout, seed) for size, of in folds.items()}
    others = tuple((scaled(space, v), folds[v.imgsz]) for v in variants(config.widths, config.sizes) if v != FULL)
    return SupernetEvaluator(supernet, folds[0], config.train, seed, variants=others)


def _rounds(space: Space, evaluator: SupernetEvaluator, strategy: Strategy, config: SearchConfig) -> list[Round]:
    peak, epoch = config.train.lr, evaluator.steps_per_epoch
    if config.training == "path":
        return path_rounds(space.sizes, config.cycles, config.keep, epoch, peak)
    steps = max(1, round(config.epochs_per_evaluation * epoch))
    return fair_rounds(strategy.evaluations, [epoch] * config.warmup, steps, peak)


def _learn(strategy: Strategy, evaluator: SupernetEvaluator, log: SearchLog, checkpoint: Path,
           config: SearchConfig, space: Space, progress: Progress) -> int:
    """Train, ask, test, tell until the strategy is done; a checkpoint after every round. How many rounds there are."""
    done, origin = 0, _origin(evaluator, config)
    if checkpoint.exists():
        state = load_tensors(checkpoint)[1]
        stored = checked(CheckpointSchema, state, f"{checkpoint} is not a checkpoint of a search", RunError,
                         "delete it to start again")
        # A checkpoint of hwnas 0.1 knows its images by their pixels.
        like = {"data": evaluator.fold.data.fingerprint_like(stored.origin.get("data"))}
        if stored.origin != origin | like:
            raise RunError(f"{checkpoint} belongs to another search (space, data, seed or options differ): "
                           "choose another folder, or delete it to start again")
        strategy.load_state_dict(stored.strategy)
        _restore(evaluator, checkpoint)
        done = stored.ticks
    log.keep("train", strategy.asked)
    rounds = _rounds(space, evaluator, strategy, config)
    if done < len(rounds):
        log.keep("settle", 0)
    for current in rounds[done:]:
        began = time.monotonic()
        choice = strategy.ask() if current.evaluates else None
        paths = _paths(strategy, choice, config, evaluator.seed, current)
        evaluator.train(paths, current.number, len(current.rates), current.rates)
        if choice is not None:
            score = evaluator.score(choice)
            strategy.tell(choice, score)
            log.append(Evaluation("train", strategy.asked - 1, choice, score, time.monotonic() - began))
        state = {"strategy": strategy.state_dict(), "origin": origin, "ticks": current.number + 1}
        save_tensors(checkpoint, snapshot(evaluator.supernet, evaluator.optimizer), state)
        progress("search", current.number + 1, len(rounds) + config.settle)
    return len(rounds)


def _origin(evaluator: SupernetEvaluator, config: SearchConfig) -> dict[str, Any]:
    """What a checkpoint must agree with; `settle` may change, it comes after the last checkpoint."""
    described = {k: v for k, v in asdict(config).items() if k != "settle"}
    for name, default in (("optimizer", "sgd"), ("ema", 0.0)):  # checkpoints of hwnas 0.1 do not name them
        if described["train"][name] == default:
            del described["train"][name]
    for name in ("widths", "sizes"):
        if given := described.pop(name):  # nor these, where there are none
            described[name] = list(given)
    return {
        "space": evaluator.supernet.space.fingerprint, "data": evaluator.fold.data.fingerprint, "seed": evaluator.seed,
        "config": described,
    }


def _restore(evaluator: SupernetEvaluator, path: Path) -> None:
    """Shared weights, batch-norm statistics and momenta as they were after the last evaluation.

    Raises:
        RunError: the file is damaged or holds another network.
    """
    try:
        restore(evaluator.supernet, evaluator.optimizer, load_tensors(path)[0])
    except RuntimeError as err:  # names or shapes; torch lists them all
        raise RunError(f"{path} does not hold the weights of this space: {one_line(err)}") from err


def _paths(strategy: Strategy, asked: Sequence[int] | None, config: SearchConfig, seed: int,
           current: Round) -> Iterator[Sequence[int]]:
    """The architectures that the steps of a round train."""
    if config.training == "path" and asked is not None:
        return itertools.repeat(asked)
    live, rng = strategy.distribution().live, np.random.default_rng((seed, 4, current.number))
    return itertools.chain.from_iterable(fair_cycle(live, rng) for _ in itertools.count())


def _rescored(strategy: Strategy, evaluator: SupernetEvaluator, log: SearchLog, config: SearchConfig, seed: int,
            rounds: int, progress: Progress) -> Distribution:
    """Score fair samples of the live ops with the final weights and take the effects from these.

    While weights are trained, scores drift and early samples judge half-trained ops; a score without training costs
    a tenth of one with it. Each is a function of weights and architecture alone, so what is logged is not repeated.
    """
    learnt = strategy.distribution()
    rng = np.random.default_rng((seed, 3))
    samples: list[tuple[int, ...]] = []
    while len(samples) < config.settle:
        samples += fair_cycle(learnt.live, rng)
    samples = samples[: config.settle]
    logged = log.of("settle")
    for number, choice in enumerate(samples):
        if number >= len(logged):
            began = time.monotonic()
            score = evaluator.score(choice)
            log.append(Evaluation("settle", number, choice, score, time.monotonic() - began))
        progress("search", rounds + number + 1, rounds + len(samples))
    if not samples:
        return learnt
    scores = [e.score for e in log.of("settle")]
    fit = fit_effects(samples, scores, [0] * len(samples), learnt.choices, config.ridge)
    effects, stderr = fit.centred(learnt.live)
    dead = [~mask for mask in learnt.live]  # were never sampled here: keep what the strategy knew of them
    return replace(
        learnt,
        effects=[np.where(d, old, new) for d, old, new in zip(dead, learnt.effects, effects, strict=True)],
        stderr=[np.where(d, old, new) for d, old, new in zip(dead, learnt.stderr, stderr, strict=True)],
    )
