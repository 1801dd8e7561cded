"""Distillation end to end: a network whose units were replaced learns to give what the user's network gives.

Loss per image: KL of the teacher's probabilities to the student's where an output is of classes, squared error over the
channel's variance where it is not (as `hwnas.surgery.judging`), and with labels half a cross entropy on top. AdamW at a
small rate, since norms are folded into the weights: the rate is the best of three after a tenth of the steps each, on
images that are held out; with a few hundred images the largest destroys what the fit had, the smallest is harmless.

symbol  meaning                                    shape
x       inputs                                     (n, C, H, W) or (n, H, W, C)
t, s    what teacher and student give, an output   (n, K) or (n, K, H, W) or any
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hwnas.errors import TrainingDiverged
from hwnas.progress import Progress, silent
from hwnas.surgery.examples import Examples
from hwnas.surgery.interpreter import OnnxModule
from hwnas.surgery.judging import CLASSES, VALUES

RATES = (3e-4, 1e-4, 3e-5)
HELD_OUT, TRIAL = 0.1, 0.1  # shares of the images, and of the steps
LABELS_WEIGHT = 0.5
DECAY, CLIP = 1e-4, 1.0


@dataclass(frozen=True)
class Tuning:
    """How it is tuned.

    Args:
        epochs: over the images.
        batch: images a step.
        seed: of the order of the images.
        device: of torch, e.g. `cuda`.
    """

    epochs: int = 4
    batch: int = 32
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Tuned:
    """What came of it.

    Args:
        constants: name in the student's model -> weights.
        rate: that was chosen.
        before, after: loss on the held-out images.
        steps: that were taken.
    """

    constants: dict[str, NDArray[np.float32]]
    rate: float
    before: float
    after: float
    steps: int


def tune(student: onnx.ModelProto, teacher: onnx.ModelProto, examples: Examples, kinds: Sequence[str], tuning: Tuning,
         progress: Progress = silent) -> Tuned:
    """Train a student to give what the teacher gives.

    Args:
        student: in float32, with its replacements.
        teacher: the user's network.
        examples: images; a tenth is held out.
        kinds: of the outputs, as `Judge.kinds`.

    Raises:
        UsageError: an operator that torch has no counterpart for here.
        TrainingDiverged: the loss is no number at every rate.
    """
    return _Tuning(student, teacher, examples, kinds, tuning, progress).found()


class _Tuning:
    def __init__(self, student: onnx.ModelProto, teacher: onnx.ModelProto, examples: Examples, kinds: Sequence[str],
                 tuning: Tuning, progress: Progress) -> None:
        self._tuning, self._examples, self._kinds, self._progress = tuning, examples, kinds, progress
        self._teacher = OnnxModule(teacher, trains=False).to(tuning.device).eval()
        self._start = OnnxModule(student).to(tuning.device)
        order = np.random.default_rng(tuning.seed).permutation(len(examples))
        held = max(1, round(HELD_OUT * len(order)))
        self._held, self._learnt = np.sort(order[:held]), order[held:]
        self._steps = tuning.epochs * max(1, math.ceil(len(self._learnt) / tuning.batch))
        self._spread = self._channel_spread()

    def found(self) -> Tuned:
        before = self._loss_held(self._start)
        trial = max(1, round(TRIAL * self._steps))
        total = self._steps + trial * len(RATES)
        tried: dict[float, float] = {}
        for i, rate in enumerate(RATES):
            tried[rate] = self._loss_held(self._trained(rate, trial, i * trial, total))
        rate = min(tried, key=lambda r: tried[r] if math.isfinite(tried[r]) else math.inf)
        if not math.isfinite(tried[rate]):
            raise TrainingDiverged("tuning gave no number at any rate: check the images and the input contract")
        last = self._trained(rate, self._steps, trial * len(RATES), total)
        self._progress("tuning", total, total)
        return Tuned(last.constants(), rate, before, self._loss_held(last), self._steps)

    def _trained(self, rate: float, steps: int, done: int, total: int) -> OnnxModule:
        """From the start, by one rate that falls to nothing."""
        net = copy.deepcopy(self._start).train()
        optimizer = torch.optim.AdamW(net.parameters(), rate, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps + 1, pct_start=0.1)
        rng = np.random.default_rng([self._tuning.seed, 1])
        step = 0
        while step < steps:
            order = rng.permutation(self._learnt)
            for start in range(0, len(order), self._tuning.batch):
                if step == steps:
                    break
                self._progress("tuning", done + step, total)
                places = order[start:start + self._tuning.batch]
                loss = self._loss(net, places).mean()
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP)
                optimizer.step()
                schedule.step()
                step += 1
        return net.eval()

    def _loss(self, net: OnnxModule, places: NDArray[np.int64]) -> Tensor:
        """Of every image."""
        x = torch.from_numpy(self._examples.inputs(places)).to(self._tuning.device)
        with torch.no_grad():
            truth = self._teacher(x)
        given = net(x)
        losses = [self._output_loss(i, t, s) for i, (t, s) in enumerate(zip(truth, given, strict=True))]
        total = torch.stack(losses).sum(0)
        if self._examples.labelled and self._kinds[0] == CLASSES:
            labels = torch.from_numpy(self._examples.labels[places]).to(x.device)
            total = total + LABELS_WEIGHT * functional.nll_loss(_log(given[0]), labels, reduction="none")
        return total

    def _output_loss(self, i: int, truth: Tensor, given: Tensor) -> Tensor:
        if self._kinds[i] == VALUES:
            return ((given - truth).square() / self._spread[i]).flatten(1).mean(1)
        p, q = _log(truth), _log(given)
        return (p.exp() * (p - q)).sum(1).reshape(len(truth), -1).mean(1)

    @torch.no_grad()
    def _loss_held(self, net: OnnxModule) -> float:
        parts = [self._loss(net, self._held[i:i + self._tuning.batch])
                 for i in range(0, len(self._held), self._tuning.batch)]
        return float(torch.cat(parts).mean())

    @torch.no_grad()
    def _channel_spread(self) -> list[Tensor]:
        """Variance of every channel of what the teacher gives, of outputs that are no classes."""
        places = self._learnt[:4 * self._tuning.batch]
        found = self._teacher(torch.from_numpy(self._examples.inputs(np.sort(places))).to(self._tuning.device))
        return [t.var((0, *range(2, t.dim())), keepdim=True, correction=0).clamp_min(1e-12) for t in found]


def _log(values: Tensor) -> Tensor:
    """Log probabilities of logits, or of probabilities."""
    if bool((values.detach() >= 0).all()) and torch.allclose(values.detach().sum(1), torch.ones_like(values[:, 0]),
                                                             atol=1e-3):
        return values.clamp_min(1e-12).log()
    return functional.log_softmax(values, 1)


def with_constants(model: onnx.ModelProto, constants: dict[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """A model with other weights."""
    from onnx import numpy_helper

    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for tensor in changed.graph.initializer:
        if tensor.name in constants:
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(constants[tensor.name]), tensor.name))
    return changed


