"""The searcher with shared weights: ask, train, score, tell; then score anew with the final weights.

Weights that are trained on between two evaluations make scores of different moments unlike. So evaluations come one
after the other, every one after a round of training, and at the end fair samples of what is left are scored once more.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence

import numpy as np

from hwnas.errors import RunError, UsageError
from hwnas.search.ask_tell import on_mask
from hwnas.search.config import SearchConfig
from hwnas.search.cycle import fair_paths
from hwnas.search.effort import Effort
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import SupernetEvaluator
from hwnas.search.log import Evaluation
from hwnas.search.rescoring import rescored
from hwnas.search.roles import Evaluator, SearchBudget, SearchContext, Searcher, SearchOutcome
from hwnas.search.schedule import Round, fair_rounds, path_rounds
from hwnas.search.strategy import Ask, Score, Strategy
from hwnas.space import Space


class WeightSharing(Searcher):
    """Any strategy on a supernet that is trained while it is asked.

    Args:
        config: how long is trained, and how many architectures are scored at the end.
    """

    def __init__(self, config: SearchConfig) -> None:
        self._config = config

    def run(self, context: SearchContext, budget: SearchBudget) -> SearchOutcome:
        strategy, evaluator, journal = context.strategy, context.evaluator, context.journal
        if not isinstance(evaluator, SupernetEvaluator):
            raise UsageError("a search with shared weights needs the evaluator shared")
        rounds = rounds_of(context.space, evaluator, strategy.evaluations, self._config)
        journal.log.keep("train", strategy.asked - len(strategy.pending))
        if journal.rounds < len(rounds):
            journal.log.keep("settle", 0)
        for current in rounds[journal.rounds :]:
            self._round(context, evaluator, current)
            journal.save(current.number + 1)
            context.progress("search", current.number + 1, len(rounds) + self._config.settle)
        if strategy.best is None:
            raise RunError("the search holds no evaluation: delete its folder and start again")
        whole = SearchOutcome(strategy.distribution(), strategy.best)
        law = on_mask(whole.distribution, context.reducer.reduce(context.space, whole))
        law = rescored(law, evaluator, journal.log, self._config, len(rounds), context.progress)
        journal.restore()
        return SearchOutcome(law, whole.best, [(e.choice, e.score) for e in journal.log.of("train")])

    def effort(self, evaluator: Evaluator, evaluations: int) -> Effort:
        return training_effort(self._config, evaluations) + evaluator.effort() * (evaluations + self._config.settle)

    def _round(self, context: SearchContext, evaluator: SupernetEvaluator, current: Round) -> None:
        began, strategy = time.monotonic(), context.strategy
        ask = next(iter(strategy.pending or strategy.ask(1))) if current.evaluates else None
        paths = _paths(strategy, ask, self._config, evaluator.seed, current)
        loss = evaluator.train(paths, current.number, len(current.rates), current.rates)
        context.curve(current.number, {"loss": loss, "lr": current.rates[-1]})
        if ask is not None:
            score = evaluator.score(ask.choice)
            strategy.tell(ask.id, Score(score))
            context.journal.log.append(Evaluation("train", ask.id, ask.choice, score, time.monotonic() - began))


def shared_weights(setting: EvaluatorSetting) -> WeightSharing:
    """The searcher as a configuration asks for it."""
    return WeightSharing(setting.config)


def training_effort(config: SearchConfig, evaluations: int) -> Effort:
    """What the rounds of training take, without scores; a step with variants trains two networks."""
    each, warmup = (1.0, 0) if config.training == "path" else (config.epochs_per_evaluation, config.warmup)
    return Effort(warmup + evaluations * each) * (2 if config.widths or config.sizes else 1)


def rounds_of(space: Space, evaluator: SupernetEvaluator, evaluations: int, config: SearchConfig) -> list[Round]:
    """The rounds of training of a search that scores so many architectures.

    Raises:
        UsageError: training of asked paths for another number of evaluations than MIGO's cycles have.
    """
    peak, epoch = config.train.lr, evaluator.steps_per_epoch
    if config.training == "path":
        rounds = path_rounds(space.sizes, config.cycles, config.keep, epoch, peak)
        if len(rounds) != evaluations:
            raise UsageError(f"training 'path' has learning rates for {len(rounds)} evaluations, not for "
                             f"{evaluations}: leave out evaluations, or take training 'fair'")
        return rounds
    steps = max(1, round(config.epochs_per_evaluation * epoch))
    return fair_rounds(evaluations, [epoch] * config.warmup, steps, peak)


def _paths(strategy: Strategy, asked: Ask | None, config: SearchConfig, seed: int,
           current: Round) -> Iterator[Sequence[int]]:
    """The architectures that the steps of a round train."""
    if config.training == "path" and asked is not None:
        return itertools.repeat(asked.choice)
    live, rng = strategy.distribution().live, np.random.default_rng((seed, 4, current.number))
    return fair_paths(live, rng)
