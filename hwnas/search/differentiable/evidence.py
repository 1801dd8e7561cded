"""The searchers parsec and fpnas: logits and weights climb the evidence of sampled networks.

    symbol   meaning                                                               shape
    p        the law, a product over choices                                       d rows of K_i
    H        its entropy, nats                                                     scalar
    A_k      network k of a step, drawn from p                                     K of them
    ll_k     log-likelihood of a batch under A_k: minus the mean loss times the    scalar
             number of images
    wt_k     softmax of ll over the networks of a step: what each is worth         (K,)
    M        what the ops of a choice are made of (settings.py)                    (K_i, P_i)
    F_k, T   FLOPs of A_k; those up to which a network costs nothing               scalar

Theirs. PARSEC (Casale et al., arXiv 1902.05116): K = 16 networks a step; the evidence of a batch is the mean of
exp(ll_k), whose gradients are sum_k wt_k (e_k - p) for the logits, on held-out images, and sum_k wt_k grad ll_k for the
weights, on training images. FP-NAS (Yan et al., CVPR 2021, arXiv 2011.10949): K = ceil(H / 4), two at the least, so
that a law that is sure asks less; at first a law over settings (`coarse`), then jointly; and
beta log mean_k max(0, F_k / T - 1) in the loss, 0.3 as beta. Both hold one network in memory at a time.

Ours: the settings as columns of a table, so that skips and tuples that do not exist have a place; networks drawn twice
in a step run once; one whose weight is below 1/1000 does not train; half of the rounds are coarse. T is a share of the
largest network's FLOPs, and without one there is no cost: budgets come in when DPNG solves the law. What was
reproduced: benchmarks/indicators.md.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hwnas.errors import RunError, TrainingDiverged, UsageError
from hwnas.nets import Subnet
from hwnas.search.differentiable.learning import LogitLearner
from hwnas.search.differentiable.logits import Logits, positive_softmax
from hwnas.search.differentiable.settings import settings_table
from hwnas.search.distribution import FloatArray, Rows
from hwnas.search.distribution_learning.batch_weights import importance_weights
from hwnas.search.distribution_learning.fpnas import excess_shares
from hwnas.search.distribution_learning.learner import entropy, score_gradient
from hwnas.search.effort import Effort
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import SupernetEvaluator
from hwnas.search.roles import Evaluator
from hwnas.search.schedule import Round
from hwnas.search.strategy import Choice
from hwnas.search.weight_sharing import training_effort
from hwnas.tasks.task import Batch
from hwnas.train.parts import parts_of

PARSEC_SAMPLES = 16
PER_NAT, LEAST = 0.25, 2
COARSE = 0.5  # of the rounds that evaluate
BETA = 0.3
WORTH = 1e-3


class Evidence(LogitLearner):
    """Learns the law of the networks from how likely they make held-out images.

    Args:
        setting: of the search.
        adaptive: whether the entropy says how many networks a step draws; otherwise PARSEC_SAMPLES.
        coarse: whether the first rounds learn a law over settings.

    Attributes:
        samples: networks drawn so far.

    Raises:
        UsageError: widths or sizes are asked for, or what `LogitLearner` refuses.
    """

    def __init__(self, setting: EvaluatorSetting, *, adaptive: bool, coarse: bool) -> None:
        super().__init__(setting)
        if setting.config.widths or setting.config.sizes:
            raise UsageError("networks that are drawn by their evidence have one width and one size: take another "
                             "searcher, or leave out widths and sizes")
        self._adaptive, self._lr = adaptive, setting.config.architecture_lr
        self._tables = [settings_table(choice.ops) for choice in setting.space.choices] if coarse else []
        self._logits = self._begin(coarse)
        self.samples = 0

    @property
    def coarse(self) -> bool:
        """Whether the law is over settings."""
        return bool(self._tables)

    def probabilities(self) -> Rows:
        return [positive_softmax(row) for row in self._rows()]

    def train(self, evaluator: SupernetEvaluator, current: Round, progress: float) -> float:
        if progress >= COARSE:
            self.refine()
        evaluator.supernet.train()
        rng = np.random.default_rng((evaluator.seed, 5, current.number))
        held_out, losses = self.held_out(evaluator, current.number), []
        for step, batch in enumerate(evaluator.batches(current.number, len(current.rates))):
            for group in evaluator.optimizer.param_groups:
                group["lr"] = current.rates[step]
            drawn = self._drawn(rng)
            self.learn(evaluator, drawn, next(held_out), current.number)
            losses.append(self.weights_step(evaluator, drawn, batch, current.number))
        return float(np.mean(losses))

    def refine(self) -> None:
        """Go on with a law over ops, which begins as the one over settings is, where that is not so yet."""
        if self.coarse:
            self._logits, self._tables = Logits(self._rows(), self._lr), []

    def effort(self, evaluator: Evaluator, evaluations: int) -> Effort:
        """A step runs every network that it draws forwards on two batches, and trains with about half of them.

        As the law grows sure fewer are drawn, by about half on the way.
        """
        config = self.setting.config
        warmup, whole = training_effort(config, 0), training_effort(config, evaluations)
        count = PARSEC_SAMPLES if not self._adaptive else max(LEAST, 0.5 * self.count)
        return warmup + (whole + warmup * -1) * (count * (2 / 3 + 1 / 2)) + evaluator.effort() * (
            evaluations + config.settle)

    def state_dict(self) -> dict[str, Any]:
        return {"logits": self._logits.state_dict(), "coarse": self.coarse, "samples": self.samples}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        coarse, samples = state.get("coarse"), state.get("samples")
        if type(coarse) is not bool or type(samples) is not int or (coarse and not self.coarse):
            raise RunError("the saved logits are broken, or of another search; start a new run")
        logits = self._begin(coarse)
        logits.load_state_dict(state.get("logits"))
        self._logits, self.samples = logits, samples
        self._tables = self._tables if coarse else []

    def _begin(self, coarse: bool) -> Logits:
        sizes = [table.shape[1] for table in self._tables] if coarse else self.setting.space.sizes
        return Logits([np.zeros(k) for k in sizes], self._lr)

    def _rows(self) -> Rows:
        """The logits of the ops of every choice."""
        rows = self._logits.values()
        return [table @ row for table, row in zip(self._tables, rows, strict=True)] if self.coarse else rows

    @property
    def count(self) -> int:
        """Networks that the next step draws."""
        if not self._adaptive:
            return PARSEC_SAMPLES
        return max(LEAST, math.ceil(PER_NAT * entropy(self.probabilities()) - 1e-9))

    def _drawn(self, rng: np.random.Generator) -> Counter[Choice]:
        law, count = self.probabilities(), self.count
        self.samples += count
        return Counter(tuple(int(rng.choice(len(p), p=p / p.sum())) for p in law) for _ in range(count))

    def learn(self, evaluator: SupernetEvaluator, drawn: Counter[Choice], batch: Batch, number: int) -> None:
        """A step of the logits on held-out images."""
        pull = _worth(drawn, self.likelihoods(evaluator, drawn, batch, number))
        if (share := self.setting.config.cost_target) is not None:
            space = evaluator.supernet.space
            flops = np.array([float(space.architecture(choice).flops) for choice in drawn])
            shares = excess_shares(np.repeat(flops, list(drawn.values())), share * space.largest().flops)
            pull = pull - BETA * np.array([part.sum() for part in np.split(shares, np.cumsum([*drawn.values()])[:-1])])
        gradient = score_gradient(list(drawn), pull, self.probabilities())
        if self.coarse:
            gradient = [table.T @ row for table, row in zip(self._tables, gradient, strict=True)]
        self._logits.climb(gradient)

    def weights_step(self, evaluator: SupernetEvaluator, drawn: Counter[Choice], batch: Batch, number: int) -> float:
        """A step of the shared weights; the mean loss of what was drawn, by its worth."""
        config, accelerator = evaluator.config, evaluator.fold.accelerator
        likelihoods = self.likelihoods(evaluator, drawn, batch, number)
        worth = _worth(drawn, likelihoods)
        evaluator.optimizer.zero_grad(set_to_none=True)
        for choice, weight in zip(drawn, worth.tolist(), strict=True):
            if weight < WORTH:
                continue
            net = evaluator.supernet.subnet(evaluator.supernet.space.architecture(choice))
            for images, targets in parts_of(*batch, config.accumulate):
                loss = _loss(evaluator, net, images, targets, config.label_smoothing)
                accelerator.backward(weight * len(images) / len(batch[0]) * loss)
        accelerator.step(evaluator.optimizer, evaluator.supernet.parameters(), config.clip)
        return float(-(worth @ likelihoods) / len(batch[0]))

    def likelihoods(self, evaluator: SupernetEvaluator, drawn: Counter[Choice], batch: Batch, number: int
                    ) -> FloatArray:
        """ll of every network that was drawn, (n,)."""
        space, found = evaluator.supernet.space, []
        with torch.no_grad():
            for choice in drawn:
                net, value = evaluator.supernet.subnet(space.architecture(choice)), 0.0
                for images, targets in parts_of(*batch, evaluator.config.accumulate):
                    value -= len(images) * float(_loss(evaluator, net, images, targets, 0.0))
                if not math.isfinite(value):
                    raise TrainingDiverged(f"the loss of a network became {-value} in round {number}: train with a "
                                           "lower --lr")
                found.append(value)
        return np.array(found)


def parsec(setting: EvaluatorSetting) -> Evidence:
    """Sixteen networks a step, a law over ops."""
    return Evidence(setting, adaptive=False, coarse=False)


def fpnas(setting: EvaluatorSetting) -> Evidence:
    """As many networks as the entropy asks for, a law over settings first."""
    return Evidence(setting, adaptive=True, coarse=True)


def _worth(drawn: Counter[Choice], likelihoods: FloatArray) -> FloatArray:
    """wt summed over equal networks, (n,)."""
    return importance_weights(likelihoods + np.log(list(drawn.values())))


def _loss(evaluator: SupernetEvaluator, net: Subnet, images: np.ndarray, targets: Any, smoothing: float) -> Tensor:
    accelerator = evaluator.fold.accelerator
    with accelerator.autocast():
        out = accelerator.floats(net(accelerator.pixels(images)))
    return evaluator.fold.loss(out, targets, smoothing)
