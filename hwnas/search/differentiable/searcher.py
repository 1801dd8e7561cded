"""The searchers darts, gdas and proxylessnas: probabilities of ops learnt by gradients, in turn with weights.

    symbol   meaning                                                               shape
    a_i      logits of choice i, 0 at first                                        (K_i,)
    p_i      probabilities, softmax(a_i)                                           (K_i,)
    w        shared weights
    rounds   as in a search with shared weights: warm-up, then one per evaluation

A warm-up round trains fair paths, so that no op is judged by random weights. A step of a later round is first one of
Adam on a by the loss of a held-out batch, then one of SGD on w by the loss of a training batch, both through the
mixture that a relaxation makes of a. This is the first-order form, which takes w for what it will be (Liu, Simonyan,
Yang, DARTS, ICLR 2019, section 2.3 with xi = 0): one backward pass instead of four, and as good on CIFAR-10 within a
few tenths of a point (their table 1). At the end of a round its most probable architecture is scored and logged.

The loss knows no device: costs come in when DPNG solves the distribution, for any budget.

Source of the defaults: betas (0.5, 0.999) and weight decay 1e-3 of Adam are those of DARTS. Its learning rate of 3e-4
is for 50 epochs of CIFAR-10, 2e4 steps; a search here has a few hundred, so the default is that of FBNet, 0.01 (Wu et
al., CVPR 2019).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hwnas.errors import RunError, TrainingDiverged, UsageError
from hwnas.nets import Mixture
from hwnas.search.ask_tell import on_mask
from hwnas.search.cycle import fair_paths, planned_evaluations
from hwnas.search.differentiable.logits import Logits
from hwnas.search.differentiable.relaxations import Paired, Relaxation, Sampled, Softmax
from hwnas.search.distribution import Distribution
from hwnas.search.effort import Effort
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import SupernetEvaluator
from hwnas.search.log import Evaluation
from hwnas.search.rescoring import rescored
from hwnas.search.roles import Evaluator, SearchBudget, SearchContext, Searcher, SearchOutcome
from hwnas.search.schedule import Round
from hwnas.search.strategy import Choice
from hwnas.search.weight_sharing import rounds_of, training_effort
from hwnas.tasks.task import Batch
from hwnas.train import Workload


class Differentiable(Searcher):
    """Learns the probabilities of the ops of every choice by gradients.

    The outcome: probabilities are p on the ops that the reducer leaves, which prunes by the effects log p_ik, centred
    over the choice. Effects and standard errors are then those of fair samples scored with the final weights, as in a
    search with shared weights, in percent points; where `settle` is 0 they stay the centred log p_ik, in nats, which
    order the ops of a choice and say nothing about points.

    Args:
        setting: of the search.
        relaxation: how logits become a mixture.
    """

    asks = False

    def __init__(self, setting: EvaluatorSetting, relaxation: Relaxation) -> None:
        self._setting, self._relaxation = setting, relaxation
        self._logits = Logits(setting.space.sizes, setting.config.architecture_lr)
        config = setting.config
        if config.training == "path":
            raise UsageError("training 'path' trains what a strategy asks for, and none is asked here: take 'fair'")
        targets = [edge.target for edge in setting.space.edges]
        if isinstance(relaxation, Sampled) and len(set(targets)) == len(targets):
            raise UsageError(f"the space {setting.space.name} is a chain, where one sampled op has no gradient, since "
                             "the batch norm behind it takes its weight out: take the searcher proxylessnas or darts")
        if isinstance(relaxation, Softmax) and (config.widths or config.sizes):
            raise UsageError("a mixture of all candidates has one width and one size: take the searcher "
                             "proxylessnas, or leave out widths and sizes")

    def run(self, context: SearchContext, budget: SearchBudget) -> SearchOutcome:
        evaluator, journal, config = context.evaluator, context.journal, self._setting.config
        if not isinstance(evaluator, SupernetEvaluator):
            raise UsageError("this searcher learns through shared weights: take the evaluator shared")
        if (world := evaluator.fold.accelerator.world) > 1:
            raise UsageError(f"a searcher by gradients is for one process, not {world}: take weight_sharing")
        evaluations = budget.evaluations or evaluations_of(context.space.sizes, self._setting)
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
        probabilities = self._logits.probabilities()
        effects = [np.log(p) - np.log(p).mean() for p in probabilities]
        return Distribution(probabilities, [p > 0 for p in probabilities], effects, [np.zeros(len(p)) for p in effects])

    def effort(self, evaluator: Evaluator, evaluations: int) -> Effort:
        """A step of the probabilities beside each of the weights, through mixtures of so many candidates."""
        config = self._setting.config
        warmup, whole = training_effort(config, 0), training_effort(config, evaluations)
        return (warmup + (whole + warmup * -1) * self._relaxation.cost
                + evaluator.effort() * (evaluations + config.settle))

    def state_dict(self) -> dict[str, Any]:
        return {"logits": self._logits.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._logits.load_state_dict(state.get("logits"))

    def _round(self, context: SearchContext, evaluator: SupernetEvaluator, current: Round, evaluations: int) -> None:
        began, config = time.monotonic(), self._setting.config
        if not current.evaluates:
            rng = np.random.default_rng((evaluator.seed, 4, current.number))
            every = [np.ones(k, dtype=np.bool_) for k in context.space.sizes]
            loss = evaluator.train(fair_paths(every, rng), current.number, len(current.rates), current.rates)
            context.curve(current.number, {"loss": loss, "lr": current.rates[-1]})
            return
        number = current.number - config.warmup
        loss = evaluator.train(self._steps(evaluator, current, number / evaluations), current.number,
                               len(current.rates), current.rates)
        context.curve(current.number, {"loss": loss, "lr": current.rates[-1]})
        choice = self.distribution().mode()
        score = evaluator.score(choice)
        context.journal.log.append(Evaluation("train", number, choice, score, time.monotonic() - began))

    def _steps(self, evaluator: SupernetEvaluator, current: Round, progress: float) -> Iterator[Choice | Mixture]:
        """What the steps of a round train; the logits learn just before each."""
        space, supernet = evaluator.supernet.space, evaluator.supernet
        rng = np.random.default_rng((evaluator.seed, 5, current.number))
        batches = self._held_out(evaluator, current.number)
        for _ in current.rates:
            weights = self._relaxation.weights(self._logits.rows, rng, progress)
            images, targets = next(batches)
            out = supernet(evaluator.fold.accelerator.pixels(images), Mixture.of_choices(space, weights))
            loss: Tensor = evaluator.fold.loss(out, targets, evaluator.config.label_smoothing)
            if not bool(torch.isfinite(loss)):
                raise TrainingDiverged(f"the loss of held-out images became {float(loss)} in round {current.number}: "
                                       "train with a lower --lr")
            self._logits.step(loss)
            weights = self._relaxation.weights(self._logits.rows, rng, progress)
            trained = self._relaxation.trained(weights)
            yield Mixture.of_choices(space, trained) if isinstance(trained, list) else trained

    def _held_out(self, evaluator: SupernetEvaluator, number: int) -> Iterator[Batch]:
        """Batches of the images that judge, augmented as those that train."""
        rng = np.random.default_rng((evaluator.seed, 6, number))
        self._turned.check_trainable()
        while True:
            yield from self._turned.epoch(evaluator.config.batch, rng)

    @cached_property
    def _turned(self) -> Workload:
        return self._setting.task.fold(self._setting.config.holdout, self._setting.seed, turned=True)


def evaluations_of(sizes: Sequence[int], setting: EvaluatorSetting) -> int:
    """How many rounds evaluate: as the configuration says, else as many as MIGO would ask for."""
    config = setting.config
    return config.evaluations or max(1, planned_evaluations(sizes, config.cycles, config.keep))


def darts(setting: EvaluatorSetting) -> Differentiable:
    """Mixtures of all candidates."""
    return Differentiable(setting, Softmax(setting.space.sizes))


def gdas(setting: EvaluatorSetting) -> Differentiable:
    """One sampled candidate at a time."""
    return Differentiable(setting, Sampled())


def proxylessnas(setting: EvaluatorSetting) -> Differentiable:
    """Two sampled candidates at a time."""
    return Differentiable(setting, Paired())
