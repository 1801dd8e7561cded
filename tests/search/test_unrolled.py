"""DARTS of the second order against finite differences of the held-out loss after a step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from hwnas.data import load
from hwnas.nets import Mixture
from hwnas.search.config import SearchConfig
from hwnas.search.differentiable.searcher import darts
from hwnas.search.differentiable.unrolled import Unrolled, darts2
from hwnas.search.evaluators.setting import EvaluatorSetting
from hwnas.search.evaluators.shared import SupernetEvaluator, shared_weights
from hwnas.search.schedule import Round
from hwnas.space import SpaceConfig, build
from hwnas.tasks.task import Batch
from hwnas.train import TrainConfig, as_task

SPACE = build(SpaceConfig("nasbench201", 16, 1, 10, 0.5, 1))
RATE = 0.05
STEP = 1e-2  # of a logit
ROUND = Round(0, True, (RATE,) * 3)


def setting(**changes: object) -> EvaluatorSetting:
    config = SearchConfig(searcher="darts2", train=TrainConfig(batch=32, lr=RATE, label_smoothing=0.0), **changes)  # type: ignore[arg-type]
    return EvaluatorSetting(SPACE, as_task(load("digits").subset(160, 60, seed=0)), config, seed=1)


def test_the_gradient_is_that_of_the_loss_after_a_step() -> None:
    asked = setting()
    searcher, evaluator = darts2(asked), shared_weights(asked)
    evaluator.supernet.double().train()
    evaluator.supernet.register_forward_pre_hook(lambda net, given: (given[0].double(), *given[1:]))
    for module in list(evaluator.supernet.modules()):
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = 0.0
        for name, inner in module.named_children():
            if isinstance(inner, torch.nn.ReLU):  # whose gradient jumps: differences of it say nothing then
                setattr(module, name, torch.nn.Softplus())
    weights = list(evaluator.supernet.parameters())
    for group in evaluator.optimizer.param_groups:
        group["lr"] = RATE
    for w in weights:  # as after some steps
        evaluator.optimizer.state[w]["momentum_buffer"] = 0.1 * torch.randn_like(w)
    held, trained = next(searcher.held_out(evaluator, 0)), next(evaluator.batches(2 * 10**6, 1))
    found: list[list[torch.Tensor | None]] = []
    searcher.logits.descend = lambda grads: found.append(list(grads))  # type: ignore[method-assign]
    before = [w.detach().clone() for w in weights]
    searcher.learn(evaluator, held, np.random.default_rng(0), ROUND, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(before, weights, strict=True)), "the weights are where they were"
    numeric, first = [], []
    for i in (0, 3, 5):
        for k in range(5):
            sides = [ahead(searcher, evaluator, before, held, trained, (i, k, s * STEP)) for s in (1, -1)]
            numeric.append((sides[0] - sides[1]) / (2 * STEP))
            row = found[0][i]
            assert row is not None
            first.append(float(row[k]))
    scale = float(np.abs(numeric).max())
    assert np.abs(np.array(numeric) - np.array(first)).max() < 0.05 * scale


def ahead(searcher: Unrolled, evaluator: SupernetEvaluator, before: list[torch.Tensor], held: Batch, trained: Batch,
          change: tuple[int, int, float]) -> float:
    """The held-out loss of the weights after a step of SGD, with one logit changed."""
    i, k, by = change
    rows = [torch.zeros(n, dtype=torch.float64) for n in SPACE.sizes]
    rows[i][k] += by
    mixture = Mixture.of_choices(SPACE, [dict(enumerate(torch.softmax(row, 0).unbind())) for row in rows])
    weights = list(evaluator.supernet.parameters())

    def loss(batch: Batch) -> torch.Tensor:
        images = evaluator.fold.accelerator.pixels(batch[0])
        return evaluator.fold.loss(evaluator.supernet(images, mixture), batch[1], 0.0)

    with torch.no_grad():
        for w, value in zip(weights, before, strict=True):
            w.copy_(value)
    grads = torch.autograd.grad(loss(trained), weights, allow_unused=True)
    groups = {id(p): group for group in evaluator.optimizer.param_groups for p in group["params"]}
    with torch.no_grad():
        for w, g in zip(weights, grads, strict=True):
            group, v = groups[id(w)], evaluator.optimizer.state[w]["momentum_buffer"]
            w -= RATE * ((0.0 if g is None else g) + group["weight_decay"] * w + group["momentum"] * v)
        value = float(loss(held))
        for w, old in zip(weights, before, strict=True):
            w.copy_(old)
    return value


def test_it_takes_two_and_a_half_times_as_long() -> None:
    asked = setting(evaluations=4)
    evaluator = shared_weights(asked)
    plain = replace(asked, config=replace(asked.config, searcher="darts"))
    first, second = darts(plain).effort(evaluator, 4), darts2(asked).effort(evaluator, 4)
    warm = asked.config.warmup
    assert (second.epochs - warm) / (first.epochs - warm) == 2.5
