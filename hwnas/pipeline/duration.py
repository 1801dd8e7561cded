"""About how long a compress would take, and how many epochs fit into a time: a few real steps of training on this
machine, times how many there will be. What is done side by side is timed with its share of the threads.

The reference's step is what it trains by, and a mean path's what the search, the trials and the result do. How many
epochs and scores the search takes its searcher and its evaluator say. The range allows for a machine that others use,
too, and for what is not tried: checkpoints, export.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch

from hwnas.data.labelled import LabelledData
from hwnas.data.memory import fits
from hwnas.data.recipe import Recipe
from hwnas.pipeline.config.compress_config import CompressConfig, seconds_of
from hwnas.pipeline.context import search_config_of
from hwnas.pipeline.task_setup import training_of
from hwnas.search.config import SearchConfig
from hwnas.search.cycle import fair_paths
from hwnas.search.distribution import everything_live
from hwnas.search.effort import Effort
from hwnas.search.evaluators.setting import EvaluatorSetting, NetworkEvaluator
from hwnas.search.evaluators.shared import SupernetEvaluator, shared_weights
from hwnas.search.resumable import evaluator_of, searcher_of, strategy_of
from hwnas.search.roles import Evaluator, StagedReducer, create_reducer
from hwnas.search.shrinking import shrinking_effort
from hwnas.space import Space
from hwnas.tasks import find
from hwnas.train import TrainConfig, Workload

ENOUGH_SECONDS, STEPS = 0.5, 5  # of every probe: whichever comes first
DECODED = 32  # images that are decoded to know how long that takes
TEACHER = 1 / 3  # what a forward pass of the reference adds to a step of fine-tuning, in its own steps
LOW, HIGH = 0.7, 1.8  # a shared machine, images of other sizes, checkpoints, export
REST = (5.0, 40.0)  # export, checks, timing of what ships
TIMING = (12.0, 90.0)  # a table of one variant in one precision
MOST_EPOCHS = 10**5


class Timed(NamedTuple):
    """Seconds on this machine with some number of threads.

    Args:
        path_s, reference_s: of a step of a mean path, and of the reference.
        score_s: of a score.
    """

    path_s: float
    reference_s: float
    score_s: float

    def of(self, effort: Effort, steps: int) -> float:
        """Of an effort whose epochs have so many steps."""
        return effort.epochs * steps * self.path_s + effort.scores * self.score_s


@dataclass(frozen=True)
class Probe:
    """What was timed on this machine, of a space, its data and a batch.

    Args:
        whole, part: with all threads, and with a share of them.
        shares: among how many trainings threads are divided where neither needs the other.
        shared: the evaluator that was timed.
        setting: it belongs to.
        steps: how many were tried.
    """

    whole: Timed
    part: Timed
    shares: int
    shared: SupernetEvaluator
    setting: EvaluatorSetting
    steps: int

    def seconds(self, config: CompressConfig, networks: int, searched: bool = False) -> float:
        """Of training and scoring in a run of a configuration; `searched`: whether search and reference are there."""
        task, train = self.setting.task, self.setting.config.train
        # A step of a recipe's own batch takes about as long as it has images.
        steps, path_steps = task.steps(train.batch) * config.train.epochs, self.shared.steps_per_epoch
        setting = replace(self.setting, config=search_config_of(config, self.setting.space, train))
        reference = steps * self.part.reference_s
        search = self.part.of(search_effort(config, setting, self.shared), path_steps)
        trials = self.part.of(trial_effort(config), path_steps) / self.shares
        chosen = self.whole.of(choosing_effort(config, setting, self.shared), path_steps)
        tuned = steps * (self.whole.reference_s * TEACHER + self.whole.path_s)
        both = reference + search if self.shares == 1 else max(reference, search)
        return (0.0 if searched else both) + networks * (trials + chosen + tuned)


class Expected(NamedTuple):
    """How long a run takes.

    Args:
        low, high: seconds, at least and at most.
        steps: of training that were tried.
        config: with the epochs that were planned where a time was given.
        side_by_side: whether reference and search are made at the same time.
    """

    low: float
    high: float
    steps: int
    config: CompressConfig
    side_by_side: bool


def expect(config: CompressConfig, data: LabelledData, space: Space, tables: int, networks: int = 1,
           shares: int = 1, searched: bool = False) -> Expected:
    """How long the stages of a run take on this machine.

    Args:
        tables: how many tables are timed here first.
        networks: how many are made from the search.
        shares: as of `hwnas.pipeline.shares`.
        searched: whether the run takes over a search; then its epochs are decided.
    """
    probe = _tried(config, data, space, shares)
    if config.train.time is not None and not searched:
        config = config.replaced(**_fitting(probe, config, networks))
    seconds = probe.seconds(config, networks, searched)
    low, high = (share * seconds + networks * rest + tables * timing
                 for share, rest, timing in zip((LOW, HIGH), REST, TIMING, strict=True))
    return Expected(low, high, probe.steps, config, shares > 1 and not searched)


def planned(config: CompressConfig, data: LabelledData, space: Space, networks: int = 1,
            shares: int = 1) -> tuple[dict[str, Any], float]:
    """Epochs that fit into the time of a configuration, and the seconds that training and scoring then take.

    The epochs of the reference and of the result, the warm-up of the search and the training between its evaluations
    are shortened or prolonged alike, by whole epochs of the first; one epoch is the least. Arguments as of `expect`.

    Returns:
        Options by their flat names, for `CompressConfig.replaced`, and the seconds.
    """
    probe = _tried(config, data, space, shares)
    options = _fitting(probe, config, networks)
    return options, probe.seconds(config.replaced(**options), networks)


def _fitting(probe: Probe, config: CompressConfig, networks: int) -> dict[str, Any]:
    assert config.train.time is not None, "a time is given"
    budget = seconds_of(config.train.time)

    def fits_into(epochs: int) -> bool:
        return probe.seconds(config.replaced(**at_epochs(config, epochs)), networks) <= budget

    low, high = 1, 2
    while high < MOST_EPOCHS and fits_into(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits_into(middle) else (low, middle)
    return at_epochs(config, low)


def at_epochs(config: CompressConfig, epochs: int) -> dict[str, Any]:
    """The options that say how long is trained, all in the ratio that they have to `epochs`."""
    share = epochs / config.train.epochs
    between = min(1000.0, float(f"{config.search.epochs_per_evaluation * share:.3g}"))
    return {"epochs": epochs, "warmup": min(10**5, round(config.search.warmup * share)),
            "epochs_per_evaluation": max(0.01, between)}


def _tried(config: CompressConfig, data: LabelledData, space: Space, shares: int) -> Probe:
    threads = torch.get_num_threads()
    every = config.train.torch_threads or threads
    torch.set_num_threads(every)
    try:
        setting, evaluator = _to_try(config, data, space)
        decode_s = _decode_seconds(data)
        whole, tried = _timed_steps(setting, evaluator, decode_s)
        part, more = whole, 0
        if (share := max(1, every // shares)) < every:
            torch.set_num_threads(share)
            part, more = _timed_steps(setting, evaluator, decode_s)
    finally:
        torch.set_num_threads(threads)
    return Probe(whole, part, shares, evaluator, setting, tried + more)


def _to_try(config: CompressConfig, data: LabelledData, space: Space) -> tuple[EvaluatorSetting, SupernetEvaluator]:
    task = Workload.over(find(config.task), data.stand_in(), space)
    train = TrainConfig(**training_of(config, Recipe()))
    setting = EvaluatorSetting(space, task, SearchConfig(train=train), config.seed)
    return setting, shared_weights(setting)


def _timed_steps(setting: EvaluatorSetting, evaluator: SupernetEvaluator, decode_s: float) -> tuple[Timed, int]:
    """Seconds with the threads that torch has now, and how many steps were tried; `decode_s`: of an image."""
    space, batch = setting.space, setting.config.train.batch
    law, rng = everything_live(space.sizes), np.random.default_rng(setting.seed)
    paths = fair_paths(law.live, rng)
    reference = space.reference.choice
    path_s, tried = _timed(lambda i: evaluator.train(paths, i, 1, [1e-4]))
    reference_s, more = _timed(lambda i: evaluator.train(itertools.repeat(reference), i, 1, [1e-4]))
    score_s, _ = _timed(lambda i: evaluator.score(reference), most=1)
    path_s, reference_s = (seconds + batch * decode_s for seconds in (path_s, reference_s))
    score_s += (len(evaluator.fold.val_images) + evaluator.batch_norm_images) * decode_s
    return Timed(path_s, reference_s, score_s), tried + more


def trial_effort(config: CompressConfig) -> Effort:
    """What the trials of the finalists for one network take."""
    asked = config.search
    return Effort(asked.finalists * asked.trial_epochs if asked.finalists > 1 else 0)


def choosing_effort(config: CompressConfig, setting: EvaluatorSetting, shared: SupernetEvaluator) -> Effort:
    """What the choice among the candidates for one network takes beside trials; arguments as of `search_effort`."""
    score = _evaluator(config, setting, shared).effort()
    again = config.search.finalists + 1  # an evaluator that trains does so where its weights are wanted, too
    return score * (2 * config.search.top) + Effort(again * score.epochs)


def search_effort(config: CompressConfig, setting: EvaluatorSetting, shared: SupernetEvaluator) -> Effort:
    """What a search takes.

    Args:
        setting: of the search.
        shared: stands for the evaluator shared, whose weights are at hand.
    """
    evaluator, reducer = _evaluator(config, setting, shared), create_reducer(config.search.reduce, setting.config.keep)
    live, before = None, Effort()
    if isinstance(reducer, StagedReducer):  # how much it takes away shows on the way: at least what it begins with
        live, before = reducer.first(setting.space), shrinking_effort(reducer, setting.config, evaluator)
        setting = replace(setting, config=replace(setting.config, warmup=0))
    planned = strategy_of(setting.space, setting.config, setting.space.smallest().choice, config.seed, live).evaluations
    return before + searcher_of(setting, evaluator).effort(evaluator, planned) * (1 / _at_once(config, evaluator))


def _evaluator(config: CompressConfig, setting: EvaluatorSetting, shared: SupernetEvaluator) -> NetworkEvaluator:
    plain = replace(setting, config=replace(setting.config, widths=(), sizes=()))  # one variant says what a score takes
    return shared if config.search.evaluator == "shared" else evaluator_of(plain)


def _at_once(config: CompressConfig, evaluator: Evaluator) -> int:
    """Evaluations that run beside each other; workers that share a core are no faster."""
    if evaluator.weights_move or config.search.executor == "inline":
        return 1
    return max(1, min(config.search.workers, (os.cpu_count() or 1) // torch.get_num_threads()))


def _decode_seconds(data: LabelledData) -> float:
    """Of an image, where they are decoded whenever they are wanted; 0 where they would be kept."""
    train, val = (part.pixels for part in data.parts)
    if train.kept or fits(len(train) + len(val), train.shape[1:]):
        return 0.0
    some = np.linspace(0, len(train) - 1, DECODED).astype(np.int64)
    began = time.perf_counter()
    train[some]
    return (time.perf_counter() - began) / len(some)


def _timed(act: Callable[[int], object], most: int = STEPS) -> tuple[float, int]:
    """Median seconds of an action after a first one, or of the first alone where that takes long; how many there were.
    """
    began = time.perf_counter()
    act(0)
    first = time.perf_counter() - began
    seconds: list[float] = []
    while first < ENOUGH_SECONDS and len(seconds) < most and sum(seconds) < ENOUGH_SECONDS:
        began = time.perf_counter()
        act(len(seconds) + 1)
        seconds.append(time.perf_counter() - began)
    return (float(np.median(seconds)) if seconds else first), 1 + len(seconds)
