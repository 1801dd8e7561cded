"""The searcher that asks a strategy, has an evaluator score its asks on an executor, and tells it the answers.

Up to `batch` asks are out at once. Answers are told in the order of the asks, whichever is completed first, and a new
ask follows every answer: so the search depends on the batch, never on the executor or on what was faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hwnas.errors import RunError, UsageError
from hwnas.search.distribution import Distribution
from hwnas.search.effects import fit_effects
from hwnas.search.roles import Executor, Mask, SearchBudget, SearchContext, Searcher, SearchOutcome
from hwnas.search.strategy import Ask, Choice, Failed, Score, Strategy


class AskTell(Searcher):
    """Any strategy with any evaluator whose weights do not move.

    Args:
        ridge: of the effect regression, in samples.
    """

    def __init__(self, ridge: float = 10.0) -> None:
        self._ridge = ridge

    def run(self, context: SearchContext, budget: SearchBudget) -> SearchOutcome:
        if context.evaluator.weights_move:
            raise UsageError("scores of weights that move are not alike, so the searcher ask_tell cannot compare them: "
                             "take the searcher weight_sharing")
        strategy, most = context.strategy, budget.evaluations or context.strategy.evaluations
        evaluated = list(context.before)
        failed = list(context.failed)
        batch = budget.batch or context.executor.workers
        for ask, answer in answers(strategy, context.executor, batch, most):
            if isinstance(answer, Failed):
                failed.append((ask.choice, answer.reason))
            else:
                evaluated.append((ask.choice, answer.value))
            context.told(ask, answer)
            context.progress("search", strategy.asked - len(strategy.pending), min(most, strategy.evaluations))
        return finished(context, evaluated, failed, self._ridge)


def ask_and_tell(setting: Any) -> AskTell:
    """The searcher as a configuration asks for it; of an `evaluators.setting.EvaluatorSetting`."""
    return AskTell(setting.config.ridge)


def answers(strategy: Strategy, executor: Executor, batch: int,
            most: int | None = None) -> Iterator[tuple[Ask, Score | Failed]]:
    """Every ask with its answer, just after the strategy was told; what a killed search had out comes first.

    Args:
        batch: asks out at once.
        most: evaluations in all, told ones included; None for all that the strategy plans.
    """
    limit = strategy.evaluations if most is None else min(most, strategy.evaluations)
    there: dict[int, Score | Failed] = {}
    for ask in strategy.pending:
        executor.submit(ask)
    while not strategy.done and strategy.asked - len(strategy.pending) < limit:
        room = min(batch - len(strategy.pending), limit - strategy.asked)
        for ask in strategy.ask(room) if room > 0 else []:
            executor.submit(ask)
        first = strategy.pending[0]
        while first.id not in there:
            found, answer = executor.completed()
            there[found.id] = answer
        strategy.tell(first.id, there[first.id])
        yield first, there.pop(first.id)


def finished(context: SearchContext, evaluated: Sequence[tuple[Choice, float]], failed: Sequence[tuple[Choice, str]],
             ridge: float) -> SearchOutcome:
    """The outcome: the strategy's law on the ops that the reducer leaves, with the effects of all scores on these.

    Raises:
        RunError: every evaluation failed.
    """
    strategy = context.strategy
    if strategy.best is None:
        raise RunError(f"all {len(failed)} evaluations of the search failed, the first: {failed[0][1]}")
    whole = SearchOutcome(strategy.distribution(), strategy.best, evaluated, failed)
    mask = context.reducer.reduce(context.space, whole)
    law = on_mask(whole.distribution, mask)
    samples, scores = [choice for choice, _ in evaluated], [score for _, score in evaluated]
    if samples:
        fit = fit_effects(samples, scores, [0] * len(samples), law.choices, ridge)
        effects, stderr = fit.centred(law.live)
        law = Distribution(law.probabilities, law.live, effects, stderr)
    return SearchOutcome(law, whole.best, evaluated, failed)


def on_mask(law: Distribution, mask: Mask) -> Distribution:
    """The law given that only ops of the mask are drawn; uniform where these had no probability. Effects are centred
    over what is left; their standard errors stay as they were."""
    if all(np.array_equal(mine, theirs) for mine, theirs in zip(mask, law.live, strict=True)):
        return law
    probabilities, effects = [], []
    for p, b, left in zip(law.probabilities, law.effects, mask, strict=True):
        kept = np.where(left, p, 0.0)
        kept = kept if kept.sum() > 0 else left.astype(np.float64)
        probabilities.append(kept / kept.sum())
        effects.append(b - b[left].mean())
    return Distribution(probabilities, mask, effects, law.stderr)
