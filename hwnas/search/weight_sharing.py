"""The searcher with shared weights: ask, train, score, tell; then score anew with the final weights.

Weights that are trained on between two evaluations make scores of different moments unlike. So evaluations come one
after the other, every one after a round of training, and at the end fair samples of what is left are scored once more.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hwnas.errors import RunError, UsageError
from hwnas.progress import Progress
from hwnas.search.ask_tell import on_mask
from hwnas.search.config import SearchConfig
from hwnas.search.cycle import fair_cycle
from hwnas.search.distribution import Distribution
from hwnas.search.effects import fit_effects
from hwnas.search.evaluators.shared import SupernetEvaluator
from hwnas.search.log import Evaluation, SearchLog
from hwnas.search.roles import SearchBudget, SearchContext, Searcher, SearchOutcome
from hwnas.search.schedule import Round, fair_rounds, path_rounds
from hwnas.search.strategy import Ask, Strategy
from hwnas.space import Space


@dataclass(frozen=True)
class WeightSharing(Searcher):
    """Any strategy on a supernet that is trained while it is asked.

    Args:
        config: how long is trained, and how many architectures are scored at the end.
        log: every evaluation is appended to it; what it holds of a killed search is not repeated.
        done: rounds of training that a killed search had made.
        saved: called after every round with the number of rounds made, to save weights and strategy.
        restored: called before the result is handed over, to bring the weights back to those of the last round: a
            score moves batch-norm statistics, and a resumed run has not scored.
    """

    config: SearchConfig
    log: SearchLog
    done: int
    saved: Callable[[int], None]
    restored: Callable[[], None]

    def run(self, context: SearchContext, budget: SearchBudget) -> SearchOutcome:
        strategy, evaluator = context.strategy, context.evaluator
        if not isinstance(evaluator, SupernetEvaluator):
            raise UsageError("a search with shared weights needs the evaluator shared")
        rounds = rounds_of(context.space, evaluator, strategy, self.config)
        if self.done < len(rounds):
            self.log.keep("settle", 0)
        for current in rounds[self.done :]:
            self._round(strategy, evaluator, current)
            self.saved(current.number + 1)
            context.progress("search", current.number + 1, len(rounds) + self.config.settle)
        if strategy.best is None:
            raise RunError("the search holds no evaluation: delete its folder and start again")
        whole = SearchOutcome(strategy.distribution(), strategy.best)
        law = on_mask(whole.distribution, context.reducer.reduce(context.space, whole))
        law = self._rescored(law, evaluator, len(rounds), context.progress)
        self.restored()
        return SearchOutcome(law, whole.best, [(e.choice, e.score) for e in self.log.of("train")])

    def _round(self, strategy: Strategy, evaluator: SupernetEvaluator, current: Round) -> None:
        began = time.monotonic()
        ask = next(iter(strategy.pending or strategy.ask(1))) if current.evaluates else None
        paths = _paths(strategy, ask, self.config, evaluator.seed, current)
        evaluator.train(paths, current.number, len(current.rates), current.rates)
        if ask is not None:
            score = evaluator.score(ask.choice)
            strategy.tell(ask.id, score)
            self.log.append(Evaluation("train", ask.id, ask.choice, score, time.monotonic() - began))

    def _rescored(self, learnt: Distribution, evaluator: SupernetEvaluator, rounds: int,
                  progress: Progress) -> Distribution:
        """Score fair samples of the live ops with the final weights and take the effects from these.

        While weights are trained, scores drift and early samples judge half-trained ops; a score without training costs
        a tenth of one with it. Each is a function of weights and architecture alone, so what is logged is not repeated.
        """
        rng = np.random.default_rng((evaluator.seed, 3))
        samples: list[tuple[int, ...]] = []
        while len(samples) < self.config.settle:
            samples += fair_cycle(learnt.live, rng)
        samples = samples[: self.config.settle]
        logged = self.log.of("settle")
        for number, choice in enumerate(samples):
            if number >= len(logged):
                began = time.monotonic()
                score = evaluator.score(choice)
                self.log.append(Evaluation("settle", number, choice, score, time.monotonic() - began))
            progress("search", rounds + number + 1, rounds + len(samples))
        if not samples:
            return learnt
        scores = [e.score for e in self.log.of("settle")]
        fit = fit_effects(samples, scores, [0] * len(samples), learnt.choices, self.config.ridge)
        effects, stderr = fit.centred(learnt.live)
        dead = [~mask for mask in learnt.live]  # were never sampled here: keep what the strategy knew of them
        return replace(
            learnt,
            effects=[np.where(d, old, new) for d, old, new in zip(dead, learnt.effects, effects, strict=True)],
            stderr=[np.where(d, old, new) for d, old, new in zip(dead, learnt.stderr, stderr, strict=True)],
        )


def rounds_of(space: Space, evaluator: SupernetEvaluator, strategy: Strategy, config: SearchConfig) -> list[Round]:
    """The rounds of training of a search.

    Raises:
        UsageError: training of asked paths for another number of evaluations than MIGO's cycles have.
    """
    peak, epoch = config.train.lr, evaluator.steps_per_epoch
    if config.training == "path":
        rounds = path_rounds(space.sizes, config.cycles, config.keep, epoch, peak)
        if len(rounds) != strategy.evaluations:
            raise UsageError(f"training 'path' has learning rates for {len(rounds)} evaluations, not for "
                             f"{strategy.evaluations}: leave out evaluations, or take training 'fair'")
        return rounds
    steps = max(1, round(config.epochs_per_evaluation * epoch))
    return fair_rounds(strategy.evaluations, [epoch] * config.warmup, steps, peak)


def _paths(strategy: Strategy, asked: Ask | None, config: SearchConfig, seed: int,
           current: Round) -> Iterator[Sequence[int]]:
    """The architectures that the steps of a round train."""
    if config.training == "path" and asked is not None:
        return itertools.repeat(asked.choice)
    live, rng = strategy.distribution().live, np.random.default_rng((seed, 4, current.number))
    return itertools.chain.from_iterable(fair_cycle(live, rng) for _ in itertools.count())
