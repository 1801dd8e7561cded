"""What the searchers share that learn the logits of ops themselves: rounds, held-out batches, and how they end.

    symbol   meaning                                                               shape
    p_i      probabilities of the ops of choice i                                  (K_i,)
    rounds   as in a search with shared weights: warm-up, then one per evaluation

A warm-up round trains fair paths, so that no op is judged by random weights. In a later round the searcher trains what
it likes; at its end the most probable architecture is scored and logged.

The outcome: probabilities are p on the ops that the reducer leaves, which prunes by the effects log p_ik, centred over
the choice. Effects and standard errors are then those of fair samples scored with the final weights, as in a search
with shared weights, in percent points; where `settle` is 0 they stay the centred log p_ik, in nats, which order the ops
of a choice and say nothing about points.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np

from hwnas.errors import RunError, UsageError
from hwnas.search.ask_tell import on_mask
from hwnas.search.cycle import fair_paths, planned_evaluations
from hwnas.search.distribution import Distribution, Rows
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import SupernetEvaluator
from hwnas.search.log import Evaluation
from hwnas.search.rescoring import rescored
from hwnas.search.roles import SearchBudget, SearchContext, Searcher, SearchOutcome
from hwnas.search.schedule import Round
from hwnas.search.strategy import Choice
from hwnas.search.weight_sharing import rounds_of
from hwnas.tasks.task import Batch
from hwnas.train import Workload


class LogitLearner(Searcher):
    """A searcher that asks no strategy and learns probabilities of ops beside the shared weights.

    A subclass gives `probabilities` and `train`, and its state.

    Args:
        setting: of the search.

    Raises:
        UsageError: the configuration trains what a strategy asks for.
    """

    asks = False

    def __init__(self, setting: EvaluatorSetting) -> None:
        self.setting = setting
        if setting.config.training == "path":
            raise UsageError("training 'path' trains what a strategy asks for, and none is asked here: take 'fair'")

    @abstractmethod
    def probabilities(self) -> Rows:
        """p, none of them 0."""

    def derived(self) -> Choice:
        """The architecture that stands for what was learnt so far, scored after every round."""
        return self.distribution().mode()

    @abstractmethod
    def train(self, evaluator: SupernetEvaluator, current: Round, progress: float) -> float:
        """Train weights and probabilities for a round.

        Args:
            progress: how much of the search is done, 0 to 1.

        Returns:
            The mean loss of the weights.

        Raises:
            TrainingDiverged: a loss became NaN or infinite.
        """

    def run(self, context: SearchContext, budget: SearchBudget) -> SearchOutcome:
        evaluator, journal, config = context.evaluator, context.journal, self.setting.config
        if not isinstance(evaluator, SupernetEvaluator):
            raise UsageError("this searcher learns through shared weights: take the evaluator shared")
        if (world := evaluator.fold.accelerator.world) > 1:
            raise UsageError(f"a searcher by gradients is for one process, not {world}: take weight_sharing")
        evaluations = budget.evaluations or evaluations_of(context.space.sizes, self.setting)
        rounds = rounds_of(context.space, evaluator, evaluations, config)
        journal.log.keep("train", sum(current.evaluates for current in rounds[: journal.rounds]))
        if journal.rounds < len(rounds):
            journal.log.keep("settle", 0)
        for current in rounds[journal.rounds :]:
            self._round(context, evaluator, current, evaluations)
            journal.save(current.number + 1)
            context.progress("search", current.number + 1, len(rounds) + config.settle)
        evaluated = [(e.choice, e.score) for e in journal.log.of("train")]
        if not evaluated:
            raise RunError("the search holds no evaluation: delete its folder and start again")
        best = max(evaluated, key=lambda found: found[1])
        law = self.distribution()
        law = on_mask(law, context.reducer.reduce(context.space, SearchOutcome(law, best, evaluated)))
        law = rescored(law, evaluator, journal.log, config, len(rounds), context.progress)
        journal.restore()
        return SearchOutcome(law, best, evaluated)

    def distribution(self) -> Distribution:
        """What was learnt so far: every op live, its effect the centred log p_ik in nats."""
        probabilities = self.probabilities()
        effects = [np.log(p) - np.log(p).mean() for p in probabilities]
        return Distribution(probabilities, [p > 0 for p in probabilities], effects, [np.zeros(len(p)) for p in effects])

    def held_out(self, evaluator: SupernetEvaluator, number: int) -> Iterator[Batch]:
        """Batches of the images that judge, augmented as those that train, without end; drawn for round `number`."""
        rng = np.random.default_rng((evaluator.seed, 6, number))
        self._turned.check_trainable()
        while True:
            yield from self._turned.epoch(evaluator.config.batch, rng)

    def _round(self, context: SearchContext, evaluator: SupernetEvaluator, current: Round, evaluations: int) -> None:
        began, config = time.monotonic(), self.setting.config
        if not current.evaluates:
            rng = np.random.default_rng((evaluator.seed, 4, current.number))
            every = [np.ones(k, dtype=np.bool_) for k in context.space.sizes]
            loss = evaluator.train(fair_paths(every, rng), current.number, len(current.rates), current.rates)
            context.curve(current.number, {"loss": loss, "lr": current.rates[-1]})
            return
        number = current.number - config.warmup
        loss = self.train(evaluator, current, number / evaluations)
        context.curve(current.number, {"loss": loss, "lr": current.rates[-1]})
        choice = self.derived()
        score = evaluator.score(choice)
        context.journal.log.append(Evaluation("train", number, choice, score, time.monotonic() - began))

    @cached_property
    def _turned(self) -> Workload:
        return self.setting.task.fold(self.setting.config.holdout, self.setting.seed, turned=True)


def evaluations_of(sizes: Sequence[int], setting: EvaluatorSetting) -> int:
    """How many rounds evaluate: as the configuration says, else as many as MIGO would ask for."""
    config = setting.config
    return config.evaluations or max(1, planned_evaluations(sizes, config.cycles, config.keep))
