"""A search over the networks of a space in a folder: strategy, evaluator, reducer and executor by name.

The run writes three files and resumes from them, bit for bit, after a kill at any moment:
    search.jsonl              every evaluation: its score, or why it has none
    search.safetensors        state of the strategy after the last answer; shared weights and momenta, where there are
    distribution.json         the result
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from hwnas.data.labelled import LabelledData
from hwnas.documents import read_json
from hwnas.errors import InputError, RunError, UsageError
from hwnas.files import write_json
from hwnas.nets import Supernet
from hwnas.progress import Progress, silent
from hwnas.search.config import SearchConfig
from hwnas.search.cycle import Protected, planned_evaluations, protected_ops
from hwnas.search.distribution import Distribution
from hwnas.search.evaluators.setting import EvaluatorSetting, NetworkEvaluator
from hwnas.search.evaluators.shared import SupernetEvaluator
from hwnas.search.journal import Journal
from hwnas.search.log import Evaluation, Failure, Line, SearchLog
from hwnas.search.registry import create, strategy_class
from hwnas.search.restricted import Restricted
from hwnas.search.roles import (
    Mask,
    SearchBudget,
    SearchContext,
    Searcher,
    StagedReducer,
    create_evaluator,
    create_executor,
    create_reducer,
    create_searcher,
)
from hwnas.search.shrinking import shrunk
from hwnas.search.strategy import Ask, Failed, Score, Strategy
from hwnas.space import Space
from hwnas.tracking.tracker import Curve, no_curve
from hwnas.train import Workload, workload_of
from hwnas.train.checkpoint import load_matching, load_tensors, one_line, save_tensors
from hwnas.train.loop import restore, snapshot
from hwnas.validation import Count, Schema, checked

UNPRUNED = 60  # evaluations at least of a search that prunes nothing, as in a space of switches


class CheckpointSchema(Schema):
    """The metadata of search.safetensors; the strategy checks its own state."""

    origin: dict[str, Any]
    strategy: dict[str, Any]
    ticks: Count  # rounds, as 0.1 calls them; answers, where no weights are trained
    searcher: dict[str, Any] = Field(default_factory=dict)  # of those that learn by themselves


@dataclass(frozen=True)
class SearchResult:
    """The distribution over architectures, and what scored them.

    Args:
        distribution: over the architectures of the space.
        evaluator: can score again, and has weights to go on from.
        best: the best evaluated architecture and its score.
    """

    distribution: Distribution
    evaluator: NetworkEvaluator
    best: tuple[tuple[int, ...], float]

    @property
    def supernet(self) -> Supernet:
        """The shared weights.

        Raises:
            UsageError: the search had none.
        """
        if not isinstance(self.evaluator, SupernetEvaluator):
            raise UsageError("this search had no shared weights")
        return self.evaluator.supernet


def run(space: Space, data: LabelledData | Workload, config: SearchConfig, *, folder: Path, seed: int = 0,
        protect: Protected | None = None, init: Path | None = None,
        smaller: Mapping[int, Workload] | None = None, progress: Progress = silent,
        told: Callable[[Line], None] = lambda line: None, curve: Curve = no_curve) -> SearchResult:
    """Learn a distribution over the architectures of `space` on `data`, or go on where a killed search stopped.

    Args:
        data: what is learnt; of a plain data set, to classify.
        folder: where search.jsonl, search.safetensors and distribution.json are written.
        seed: of everything random: initial weights, samples, batches.
        init: search.safetensors of another search, whose shared weights this one starts from where they fit.
        protect: an op index per choice, or several, that is never pruned (the cheapest, so that tight budgets stay
            reachable); None takes the op with the fewest FLOPs.
        smaller: the task at every one of the sizes of `config`.
        told: called with every evaluation before it is logged.
        curve: told of loss and learning rate of every round of training of shared weights.

    Raises:
        TrainingDiverged: the loss became NaN.
        RunError: the files in `folder` belong to another search, `init` cannot be read, or every evaluation failed.
        UsageError: nothing in `init` fits, or roles that do not go together.
        UnknownName: no such strategy, evaluator, executor or reducer.
    """
    guarded = list(protect or space.smallest().choice)
    reducer = create_reducer(config.reduce, config.keep, guarded)
    setting = EvaluatorSetting(space, workload_of(data), config, seed, smaller or {})
    accelerator = setting.task.accelerator
    evaluator = evaluator_of(setting)
    _start_from(init, evaluator, space)
    origin = {"space": space.fingerprint, "data": evaluator.fold.data.fingerprint, "seed": seed,
              "config": config.described()}
    live: Mask | None = None
    if isinstance(reducer, StagedReducer):
        searcher_of(setting, evaluator)  # what does not go together is told before minutes of training
        live = shrunk(space, evaluator, reducer, config, folder, origin, progress, curve)
        setting = replace(setting, config=replace(config, warmup=0))
    strategy = strategy_of(space, config, guarded, seed, live)
    searcher = searcher_of(setting, evaluator)
    log = SearchLog(folder / "search.jsonl", told, writes=accelerator.leads)
    journal = _Checkpoint(log, folder / "search.safetensors", evaluator, strategy, searcher, origin)
    journal.read()
    if isinstance(evaluator, SupernetEvaluator):
        accelerator.alike(evaluator.supernet)
    accelerator.wait()  # every process has read before one writes
    log.keep("alone", strategy.asked - len(strategy.pending))

    def answered(ask: Ask, answer: Score | Failed) -> None:
        if isinstance(answer, Score):
            log.append(Evaluation("alone", ask.id, ask.choice, answer.value, answer.seconds))
        else:
            log.append(Failure("alone", ask.id, ask.choice, answer.reason))
        journal.save(strategy.asked - len(strategy.pending))

    place = config.executor or ("inline" if config.workers == 1 else "processes")
    with create_executor(place, evaluator, space, config.workers) as executor:
        before = [(e.choice, e.score) for e in log.of("alone")]
        failed = [(e.choice, e.failed) for e in log.failures]
        context = SearchContext(space, strategy, evaluator, executor, reducer, journal, answered, before, failed,
                                progress, curve)
        found = searcher.run(context, SearchBudget())
    if accelerator.leads:
        write_json(folder / "distribution.json", found.distribution.to_json())
    accelerator.wait()  # the others read what was written
    assert found.best is not None
    return SearchResult(found.distribution, evaluator, found.best)


def load(space: Space, data: LabelledData | Workload, config: SearchConfig, *, folder: Path, seed: int = 0,
         smaller: Mapping[int, Workload] | None = None) -> SearchResult:
    """A finished search from its folder; arguments as of `run`.

    Raises:
        RunError: the search is not finished or its files are damaged.
    """
    evaluator = evaluator_of(EvaluatorSetting(space, workload_of(data), config, seed, smaller or {}))
    try:
        if isinstance(evaluator, SupernetEvaluator):
            _restore(evaluator, folder / "search.safetensors")
        distribution = Distribution.from_json(read_json(folder / "distribution.json"))
        entries = SearchLog(folder / "search.jsonl").asked()
        best = max(entries, key=lambda e: e.score)
    except (InputError, ValueError) as err:
        raise RunError(f"{folder} does not hold a finished search of {space.name}: {err}") from err
    return SearchResult(distribution, evaluator, (best.choice, best.score))


def evaluator_of(setting: EvaluatorSetting) -> NetworkEvaluator:
    """The evaluator as a search begins with it.

    Raises:
        UsageError: one that has no networks to go on from.
    """
    found = create_evaluator(setting.config.evaluator, setting)
    if not isinstance(found, NetworkEvaluator):
        raise UsageError(f"evaluator {setting.config.evaluator!r} scores no networks: it must be a "
                         "hwnas.search.evaluators.setting.NetworkEvaluator")
    return found


def searcher_of(setting: EvaluatorSetting, evaluator: NetworkEvaluator) -> Searcher:
    """The searcher as a search begins with it: that of the configuration, else the one that the evaluator needs.

    Raises:
        UsageError: one that asks no strategy, beside a strategy.
    """
    config = setting.config
    name = config.searcher or evaluator.searcher or ("weight_sharing" if evaluator.weights_move else "ask_tell")
    found = create_searcher(name, setting)
    if not found.asks and isinstance(create_reducer(config.reduce, config.keep), StagedReducer):
        raise UsageError(f"the searcher {name} asks no strategy, so it has no use for a space that was shrunk: take "
                         f"--reduce migo instead of {config.reduce}")
    if not found.asks and config.strategy != SearchConfig().strategy:
        raise UsageError(f"the searcher {name} asks no strategy: leave out strategy {config.strategy}")
    return found


def strategy_of(space: Space, config: SearchConfig, protect: Protected, seed: int,
                live: Mask | None = None) -> Strategy:
    """The strategy as a search begins with it: MIGO by its cycles, another one for as many evaluations.

    Args:
        live: per choice which ops it may ask for; None for all.

    Raises:
        UnknownName: no such strategy.
        UsageError: it needs options that a configuration does not have.
    """
    if live is not None:
        ops = [np.flatnonzero(row).tolist() for row in live]
        kept = [[ops[i].index(k) for k in protected_ops(protect, i)] for i in range(len(ops))]
        return Restricted(space.sizes, [row.tolist() for row in live],
                          lambda sizes: _strategy_of(sizes, config, kept, seed))
    return _strategy_of(space.sizes, config, protect, seed)


def _strategy_of(sizes: Sequence[int], config: SearchConfig, protect: Protected, seed: int) -> Strategy:
    keep, planned = config.keep, config.evaluations
    if 1 < max(sizes) <= keep:  # nothing is pruned, so nothing says how long it takes
        keep, protect = max(sizes) - 1, [list(range(k)) for k in sizes]
        planned = planned or max(UNPRUNED, sum(k - 1 for k in sizes))
    if config.strategy == "migo":
        plan: dict[str, Any] = {"evaluations": planned} if planned else {"s": config.cycles}
        return create("migo", sizes, mode=config.mode, keep=keep, ridge=config.ridge, protect=list(protect), seed=seed,
                      **plan)
    cycles = planned_evaluations(sizes, config.cycles, keep)
    given: dict[str, Any] = {"evaluations": planned or max(1, cycles), "seed": seed, "ridge": config.ridge}
    parameters = inspect.signature(strategy_class(config.strategy)).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    options = {name: value for name, value in given.items() if open_ended or name in parameters}
    return create(config.strategy, sizes, **options)


def _start_from(init: Path | None, evaluator: NetworkEvaluator, space: Space) -> None:
    if init is None or not isinstance(evaluator, SupernetEvaluator):  # others share no weights to start from
        return
    if not load_matching(evaluator.supernet, load_tensors(init)[0], "weight."):
        raise UsageError(f"{init} has no weights that fit space {space.name}: take a run of the same space and width")


class _Checkpoint(Journal):
    """search.safetensors: what a search needs to go on."""

    def __init__(self, log: SearchLog, path: Path, evaluator: NetworkEvaluator, strategy: Strategy, searcher: Searcher,
                 origin: dict[str, Any]) -> None:
        super().__init__(log)
        self._path, self._evaluator, self._origin = path, evaluator, origin
        self._strategy, self._searcher = strategy, searcher

    def read(self) -> None:
        """Bring strategy, searcher and weights to where a killed search was.

        Raises:
            RunError: it is damaged, or of another search.
        """
        if not self._path.exists():
            return
        stored = checked(CheckpointSchema, load_tensors(self._path)[1], f"{self._path} is not a checkpoint of a search",
                         RunError, "delete it to start again")
        # A checkpoint of hwnas 0.1 knows its images by their pixels.
        like = {"data": self._evaluator.fold.data.fingerprint_like(stored.origin.get("data"))}
        if stored.origin != self._origin | like:
            raise RunError(f"{self._path} belongs to another search (space, data, seed or options differ): "
                           "choose another folder, or delete it to start again")
        self._strategy.load_state_dict(stored.strategy)
        self._searcher.load_state_dict(stored.searcher)
        self.restore()
        self.rounds = stored.ticks

    def save(self, rounds: int) -> None:
        weights = {}
        if isinstance(self._evaluator, SupernetEvaluator):
            weights = snapshot(self._evaluator.supernet, self._evaluator.optimizer)
        state = {"strategy": self._strategy.state_dict(), "origin": self._origin, "ticks": rounds}
        if learnt := self._searcher.state_dict():
            state["searcher"] = learnt
        accelerator = self._evaluator.fold.accelerator
        if accelerator.leads:
            save_tensors(self._path, weights, state)
        accelerator.wait()

    def restore(self) -> None:
        if isinstance(self._evaluator, SupernetEvaluator):
            _restore(self._evaluator, self._path)


def _restore(evaluator: SupernetEvaluator, path: Path) -> None:
    try:
        restore(evaluator.supernet, evaluator.optimizer, load_tensors(path)[0])
    except RuntimeError as err:  # names or shapes; torch lists them all
        raise RunError(f"{path} does not hold the weights of this space: {one_line(err)}") from err
