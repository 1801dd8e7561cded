"""The searcher for evaluators whose weights say by themselves what ops are worth, and sums count.

    symbol   meaning                                                          shape
    s_ik     what the weights say of op k of choice i, in any unit            d rows of K_i
    S        sum of s over the ops of an architecture
    y        scores of some architectures, percent
    effects  (sd of y / sd of S) (s_ik - mean over k), percent points         d rows of K_i

It trains fair paths for a tenth of the epochs of a search with shared weights (Chen et al., BN-NAS, ICCV 2021, train
for 10 where SPOS trains for 100) and asks no strategy. So that the effects are in points, as everywhere, some fair
samples are scored: their spread gives the scale, not the order (ours).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import numpy as np

from hwnas.errors import UsageError
from hwnas.search.ask_tell import on_mask
from hwnas.search.config import SearchConfig
from hwnas.search.cycle import fair_paths
from hwnas.search.distribution import Distribution, Rows, everything_live
from hwnas.search.effort import Effort
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import SupernetEvaluator
from hwnas.search.log import Evaluation
from hwnas.search.roles import Evaluator, SearchBudget, SearchContext, Searcher, SearchOutcome
from hwnas.search.schedule import fair_rounds
from hwnas.search.strategy import Choice

PART = 0.1  # of the epochs that a search with shared weights trains
SCORED = 12


class Additive(Searcher):
    """Trains, and reads the effects off the weights.

    Args:
        config: of a search with shared weights, of whose epochs a tenth is trained.
    """

    asks = False

    def __init__(self, config: SearchConfig) -> None:
        self._config = config

    def run(self, context: SearchContext, budget: SearchBudget) -> SearchOutcome:
        evaluator, journal, sizes = context.evaluator, context.journal, context.space.sizes
        if not isinstance(evaluator, SupernetEvaluator) or evaluator.additive() is None:
            raise UsageError("the searcher additive reads off weights what ops are worth: take the evaluator bn")
        evaluations = budget.evaluations or context.strategy.evaluations
        epochs, scored = epochs_of(self._config, evaluations), min(SCORED, evaluations)
        rounds = fair_rounds(0, [evaluator.steps_per_epoch] * epochs, 0, self._config.train.lr)
        live = everything_live(sizes).live
        for current in rounds[journal.rounds :]:
            rng = np.random.default_rng((evaluator.seed, 4, current.number))
            loss = evaluator.train(fair_paths(live, rng), current.number, len(current.rates), current.rates)
            context.curve(current.number, {"loss": loss, "lr": current.rates[-1]})
            journal.save(current.number + 1)
            context.progress("search", current.number + 1, len(rounds) + scored)
        table = evaluator.additive()
        assert table is not None
        samples = itertools.islice(fair_paths(live, np.random.default_rng((evaluator.seed, 3))), scored)
        journal.log.keep("alone", 0)
        for number, choice in enumerate(samples):
            began, score = time.monotonic(), evaluator.score(choice)
            journal.log.append(Evaluation("alone", number, choice, score, time.monotonic() - began))
            context.progress("search", len(rounds) + number + 1, len(rounds) + scored)
        evaluated = [(e.choice, e.score) for e in journal.log.of("alone")]
        best, law = max(evaluated, key=lambda found: found[1]), law_of(table, evaluated)
        law = on_mask(law, context.reducer.reduce(context.space, SearchOutcome(law, best, evaluated)))
        journal.restore()
        return SearchOutcome(law, best, evaluated)

    def effort(self, evaluator: Evaluator, evaluations: int) -> Effort:
        return Effort(epochs_of(self._config, evaluations)) + evaluator.effort() * min(SCORED, evaluations)


def additive(setting: EvaluatorSetting) -> Additive:
    """The searcher as a configuration asks for it."""
    return Additive(setting.config)


def epochs_of(config: SearchConfig, evaluations: int) -> int:
    """A tenth of what a search with shared weights trains that scores so many architectures, and one at least."""
    return max(1, round(PART * (config.warmup + evaluations * config.epochs_per_evaluation)))


def law_of(table: Rows, evaluated: Sequence[tuple[Choice, float]]) -> Distribution:
    """The distribution whose effects are those of the table, scaled by the spreads of what was evaluated.

    Every op is live and equally probable but for the effects, which decide among equals.
    """
    sums = [sum(row[k] for row, k in zip(table, choice, strict=True)) for choice, _ in evaluated]
    of_sums, of_scores = float(np.std(sums)), float(np.std([score for _, score in evaluated]))
    scale = of_scores / of_sums if of_scores > 0 and of_sums > 0 else 1.0
    flat = everything_live([len(row) for row in table])
    effects = [scale * (row - row.mean()) for row in table]
    return Distribution(flat.probabilities, flat.live, effects, [np.zeros(len(row)) for row in table])
