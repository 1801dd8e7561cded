"""The searchers darts, gdas and proxylessnas: probabilities of ops learnt by gradients through mixtures.

    symbol   meaning                                                               shape
    a_i      logits of choice i, 0 at first                                        (K_i,)
    p_i      probabilities, softmax(a_i)                                           (K_i,)
    w        shared weights

A step of a round is first one of Adam on a by the loss of a held-out batch, then one of SGD on w by the loss of a
training batch, both through the mixture that a relaxation makes of a. This is the first-order form, which takes w for
what it will be (Liu, Simonyan, Yang, DARTS, ICLR 2019, section 2.3 with xi = 0): one backward pass instead of four, and
as good on CIFAR-10 within a few tenths of a point (their table 1). The other is in unrolled.py.

The loss knows no device: costs come in when DPNG solves the distribution, for any budget.

Source of the defaults: betas (0.5, 0.999) and weight decay 1e-3 of Adam are those of DARTS. Its learning rate of 3e-4
is for 50 epochs of CIFAR-10, 2e4 steps; a search here has a few hundred, so the default is that of FBNet, 0.01 (Wu et
al., CVPR 2019).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hwnas.errors import TrainingDiverged, UsageError
from hwnas.nets import Mixture
from hwnas.search.differentiable.learning import LogitLearner
from hwnas.search.differentiable.logits import Logits
from hwnas.search.differentiable.normalised import EdgeNormalised
from hwnas.search.differentiable.relaxations import Paired, Relaxation, Sampled, Softmax
from hwnas.search.differentiable.transit import Transit
from hwnas.search.distribution import Rows
from hwnas.search.effort import Effort
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import SupernetEvaluator
from hwnas.search.roles import Evaluator
from hwnas.search.schedule import Round
from hwnas.search.strategy import Choice
from hwnas.search.weight_sharing import training_effort
from hwnas.tasks.task import Batch


class Differentiable(LogitLearner):
    """Learns the probabilities of the ops of every choice by gradients through a mixture.

    Args:
        setting: of the search.
        relaxation: how logits become a mixture.

    Attributes:
        work: of both steps, in those of the first-order form.

    Raises:
        UsageError: the space or the configuration is none for this relaxation.
    """

    work: ClassVar[float] = 1.0

    def __init__(self, setting: EvaluatorSetting, relaxation: Relaxation) -> None:
        super().__init__(setting)
        self.relaxation = relaxation
        self.logits = Logits(relaxation.begin(setting.space.sizes), setting.config.architecture_lr)
        config = setting.config
        targets = [edge.target for edge in setting.space.edges]
        if isinstance(relaxation, Sampled) and len(set(targets)) == len(targets):
            raise UsageError(f"the space {setting.space.name} is a chain, where one sampled op has no gradient, since "
                             "the batch norm behind it takes its weight out: take the searcher proxylessnas or darts")
        if not relaxation.samples and (config.widths or config.sizes):
            raise UsageError("a mixture of many candidates has one width and one size: take the searcher "
                             "proxylessnas, or leave out widths and sizes")

    def probabilities(self) -> Rows:
        return self.relaxation.probabilities(self.logits.values())

    def derived(self) -> Choice:
        return self.relaxation.derived(self.logits.values())

    def train(self, evaluator: SupernetEvaluator, current: Round, progress: float) -> float:
        return evaluator.train(self._steps(evaluator, current, progress), current.number, len(current.rates),
                               current.rates)

    def effort(self, evaluator: Evaluator, evaluations: int) -> Effort:
        """A step of the probabilities beside each of the weights, through mixtures of so many candidates."""
        config = self.setting.config
        warmup, whole = training_effort(config, 0), training_effort(config, evaluations)
        return (warmup + (whole + warmup * -1) * (self.work * self.relaxation.cost)
                + evaluator.effort() * (evaluations + config.settle))

    def state_dict(self) -> dict[str, Any]:
        return {"logits": self.logits.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.logits.load_state_dict(state.get("logits"))

    def learn(self, evaluator: SupernetEvaluator, batch: Batch, rng: np.random.Generator, current: Round,
              progress: float) -> None:
        """A step of the logits on held-out images."""
        mixture = self.relaxation.mixture(evaluator.supernet.space, self.logits.rows, rng, progress)
        self.logits.step(self.loss(evaluator, mixture, batch, current))

    def loss(self, evaluator: SupernetEvaluator, mixture: Mixture, batch: Batch, current: Round) -> Tensor:
        """Of a mixture on a batch, with gradients.

        Raises:
            TrainingDiverged: it is no number.
        """
        images, targets = batch
        out = evaluator.supernet(evaluator.fold.accelerator.pixels(images), mixture)
        loss: Tensor = evaluator.fold.loss(out, targets, evaluator.config.label_smoothing)
        if not bool(torch.isfinite(loss)):
            raise TrainingDiverged(f"the loss of a mixture became {float(loss)} in round {current.number}: "
                                   "train with a lower --lr")
        return loss

    def _steps(self, evaluator: SupernetEvaluator, current: Round, progress: float) -> Iterator[Choice | Mixture]:
        """What the steps of a round train; the logits learn just before each."""
        rng = np.random.default_rng((evaluator.seed, 5, current.number))
        batches = self.held_out(evaluator, current.number)
        for _ in current.rates:
            self.learn(evaluator, next(batches), rng, current, progress)
            yield self.relaxation.path(evaluator.supernet.space, self.logits.rows, rng, progress)


def darts(setting: EvaluatorSetting) -> Differentiable:
    """Mixtures of all candidates."""
    return Differentiable(setting, Softmax(setting.space.sizes))


def entrannas(setting: EvaluatorSetting) -> Differentiable:
    """A mixture in one cell of every kind, the two strongest edges of every node in the others."""
    return Differentiable(setting, Transit(setting.space, sparse=False))


def entrannas_dst(setting: EvaluatorSetting) -> Differentiable:
    """The same with what learnt thresholds leave."""
    return Differentiable(setting, Transit(setting.space, sparse=True))


def gdas(setting: EvaluatorSetting) -> Differentiable:
    """One sampled candidate at a time."""
    return Differentiable(setting, Sampled())


def pcdarts(setting: EvaluatorSetting) -> Differentiable:
    """Mixtures of all candidates, and weights of edges."""
    return Differentiable(setting, EdgeNormalised(setting.space))


def proxylessnas(setting: EvaluatorSetting) -> Differentiable:
    """Two sampled candidates at a time."""
    return Differentiable(setting, Paired())
