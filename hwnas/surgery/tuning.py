"""Distillation end to end: a network whose units were replaced learns to give what the user's network gives.

Loss per image: KL of the teacher's probabilities to the student's where an output is of classes, squared error over the
channel's variance where it is not (as `hwnas.surgery.judging`), the same error at the boundaries of units, and with
labels half a cross entropy on top. What units make weighs most: on ResNet-20 with half the channels in every unit it
takes the loss after 450 steps from 0.146 (weight 0) to 0.068 (64). Other views of the images (parts, mirrored, mixed)
made it worse, with 4,000 images and with 500. AdamW, since norms are folded into the weights; the rate is the best of
four after a twentieth of the steps each, on images that are held out, and all of it together takes the steps that were
asked for. With a checkpoint a tuning that was cut off goes on after the last epoch, or the last rate that was tried,
and ends with the same weights.

symbol  meaning                                    shape
x       inputs                                     (n, C, H, W) or (n, H, W, C)
t, s    what teacher and student give, an output   (n, K) or (n, K, H, W) or any
u, v    what they make at a boundary               (n, C, H, W) or any
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from hwnas.errors import RunError, TrainingDiverged
from hwnas.progress import Progress, silent
from hwnas.surgery.examples import Examples
from hwnas.surgery.interpreter import OnnxModule
from hwnas.surgery.judging import CLASSES, VALUES
from hwnas.surgery.rounded import RoundedModule, Rounding
from hwnas.train import Accelerator
from hwnas.train.checkpoint import load_tensors, one_line, save_tensors
from hwnas.train.loop import restore, snapshot
from hwnas.validation import Count, Name, Schema, checked

RATES = (2e-3, 1e-3, 3e-4, 1e-4)
EPOCHS, FEWEST_STEPS = 4, 240
HELD_OUT, TRIAL = 0.1, 0.05  # shares of the images, and of the steps
LABELS_WEIGHT = 0.5
FEATURES_WEIGHT = 64.0
DECAY, CLIP = 1e-4, 1.0
SET = ("lr", "betas")  # of an optimiser, by its schedule
TINY = 1e-12


@dataclass(frozen=True)
class Tuning:
    """How it is tuned.

    Args:
        epochs: over the images, trials of rates included; None: `EPOCHS`, or as many as make `FEWEST_STEPS`.
        batch: images a step.
        seed: of the order of the images.
        accelerator: where, and in which number format.
        features: weight of what units make.
        rates: that are tried; with one there is no trial.
        share: of those steps that are taken, where others of them were spent on finding out what to tune.
    """

    epochs: int | None = None
    batch: int = 32
    seed: int = 0
    accelerator: Accelerator = field(default_factory=Accelerator)
    features: float = FEATURES_WEIGHT
    rates: tuple[float, ...] = RATES
    share: float = 1.0


@dataclass(frozen=True)
class Tuned:
    """What came of it.

    Args:
        constants: name in the student's model -> weights.
        rate: that was chosen.
        before, after: loss on the held-out images.
        steps: that were taken, those of other rates included.
    """

    constants: dict[str, NDArray[np.float32]]
    rate: float
    before: float
    after: float
    steps: int


class _Checkpoint(Schema):
    """The metadata of a checkpoint.

    Args:
        of: seed, steps and images: what the steps follow from.
        before: loss of the start on the held-out images; `tried`: rate -> that after its trial; None is no number.
        step: of the training by the best of them.
        groups: of the optimiser: what its schedule set.
    """

    of: list[Count]
    before: float | None
    tried: dict[Name, float | None]
    step: Count = 0
    groups: list[dict[Name, Any]] = Field(default_factory=list)

    @property
    def losses(self) -> dict[float, float]:
        """Rate -> loss after its trial."""
        return {float(rate): math.inf if loss is None else loss for rate, loss in self.tried.items()}


def tune(student: onnx.ModelProto, teacher: onnx.ModelProto, examples: Examples, kinds: Sequence[str], tuning: Tuning,
         progress: Progress = silent, boundaries: Sequence[str] = (), checkpoint: Path | None = None,
         rounding: Rounding | None = None) -> Tuned:
    """Train a student to give what the teacher gives.

    Args:
        student: in float32, with its replacements.
        teacher: the user's network.
        examples: images; a tenth is held out.
        kinds: of the outputs, as `Judge.kinds`.
        boundaries: tensors between units; those that both make are learnt as well.
        checkpoint: file that is written after every epoch, and gone on from where it is there; one of other settings
            is begun anew.
        rounding: what the student's int8 form rounds, to learn under it; None for none.

    Raises:
        UsageError: an operator that torch has no counterpart for here.
        TrainingDiverged: the loss is no number at every rate.
        RunError: the checkpoint is damaged.
    """
    return _Tuning(student, teacher, examples, kinds, tuning, progress, boundaries, checkpoint, rounding).found()


class _Tuning:
    def __init__(self, student: onnx.ModelProto, teacher: onnx.ModelProto, examples: Examples, kinds: Sequence[str],
                 tuning: Tuning, progress: Progress, boundaries: Sequence[str], checkpoint: Path | None,
                 rounding: Rounding | None = None) -> None:
        self._tuning, self._examples, self._kinds, self._progress = tuning, examples, kinds, progress
        self._accelerator, device = tuning.accelerator, tuning.accelerator.device
        self._teacher = _wide(OnnxModule(teacher, trains=False)).to(device).eval()
        start = OnnxModule(student) if rounding is None else RoundedModule(student, rounding)
        self._start = _wide(start).to(device)
        made = {name for node in student.graph.node for name in node.output} - {*self._start.output_names}
        inner = {name for node in teacher.graph.node for name in node.output} & made
        self._between = [name for name in boundaries if name in inner] if tuning.features else []
        order = np.random.default_rng(tuning.seed).permutation(len(examples))
        held = max(1, round(HELD_OUT * len(order)))
        self._held, self._learnt = np.sort(order[:held]), order[held:]
        once = max(1, math.ceil(len(self._learnt) / tuning.batch))
        epochs = tuning.epochs if tuning.epochs is not None else max(EPOCHS, math.ceil(FEWEST_STEPS / once))
        self._steps = max(1, round(tuning.share * epochs * once))
        self._trial = max(1, round(TRIAL * self._steps)) if len(tuning.rates) > 1 else 0
        self._epoch, self._path, self._of = once, checkpoint, [tuning.seed, self._steps, len(examples)]
        self._spread = self._channel_spread()

    def found(self) -> Tuned:
        at, tensors = self._begun()
        rates = self._tuning.rates
        for i, rate in enumerate(rates if self._trial else ()):
            if rate not in at.losses:
                loss = _number(self._loss_held(self._trained(rate, self._trial, i * self._trial)))
                at = self._keep({}, at.model_copy(update={"tried": {**at.tried, str(rate): loss}}))
        tried = at.losses
        rate = min(rates, key=lambda r: tried.get(r, 0.0))
        if not math.isfinite(tried.get(rate, 0.0)):
            raise TrainingDiverged("tuning gave no number at any rate: check the images and the input contract")
        done = self._trial * len(rates)
        last = self._trained(rate, max(1, self._steps - done), done, at, tensors)
        before = math.nan if at.before is None else at.before
        self._progress("tuning", self._steps, self._steps)
        return Tuned(last.constants(), rate, before, self._loss_held(last), done + max(1, self._steps - done))

    def _begun(self) -> tuple[_Checkpoint, dict[str, Tensor]]:
        """What a tuning that was cut off left, or a beginning."""
        if self._path is not None and self._path.is_file():
            tensors, metadata = load_tensors(self._path)
            found = checked(_Checkpoint, metadata, f"{self._path} is no checkpoint of a tuning", RunError,
                            "delete it to tune from the start")
            if found.of == self._of:
                return found, tensors
        return _Checkpoint(of=self._of, before=_number(self._loss_held(self._start)), tried={}), {}

    def _keep(self, tensors: dict[str, Tensor], at: _Checkpoint) -> _Checkpoint:
        """Write how far it is, and give that."""
        if self._path is not None:
            save_tensors(self._path, tensors, at.model_dump())
        return at

    def _trained(self, rate: float, steps: int, done: int, at: _Checkpoint | None = None,
                 tensors: dict[str, Tensor] | None = None) -> OnnxModule:
        """From the start, by one rate that rises for a tenth of the steps and falls to nothing.

        Args:
            at: where it goes on, with `tensors`; a checkpoint is written after every epoch. None for a trial.
        """
        net = copy.deepcopy(self._start).train()
        optimizer = torch.optim.AdamW(net.parameters(), rate, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps + 1, pct_start=0.1)
        rng = np.random.default_rng([self._tuning.seed, 1])
        step = at.step if at is not None else 0
        if at is not None and step:
            self._restore(net, optimizer, tensors or {}, at)
            schedule.last_epoch = step
            for _ in range(math.ceil(step / self._epoch)):
                rng.permutation(self._learnt)
        while step < steps:
            order = rng.permutation(self._learnt)
            for start in range(0, len(order), self._tuning.batch):
                if step == steps:
                    break
                self._progress("tuning", done + step, max(self._steps, done + steps))
                loss = self._loss_shown(net, order[start:start + self._tuning.batch])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(net.parameters(), CLIP)
                optimizer.step()
                schedule.step()
                step += 1
            if at is not None:
                groups = [{name: group[name] for name in SET} for group in optimizer.param_groups]
                self._keep(snapshot(net, optimizer), at.model_copy(update={"step": step, "groups": groups}))
        return net.eval()

    def _restore(self, net: OnnxModule, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor],
                 at: _Checkpoint) -> None:
        try:
            restore(net, optimizer, tensors)
        except RuntimeError as err:  # names or shapes; torch lists them all
            raise RunError(f"{self._path} is no checkpoint of this network ({one_line(err)}): delete it to tune from "
                           "the start") from err
        for group, before in zip(optimizer.param_groups, at.groups, strict=True):
            group.update({**before, "betas": tuple(before["betas"])})

    def _loss_shown(self, net: OnnxModule, places: NDArray[np.int64]) -> Tensor:
        """What a step goes down by."""
        x, wanted = self._inputs(places), [*self._teacher.output_names, *self._between]
        with torch.no_grad():
            truth = self._teacher.run({self._teacher.input_names[0]: x}, wanted)
        with self._accelerator.autocast():
            given = [value.float() for value in net.run({net.input_names[0]: x}, wanted)]
        outputs = len(self._kinds)
        total = (self._outputs_loss(truth[:outputs], given[:outputs]) + self._label_loss(given[0], places)).mean()
        for t, s, spread in zip(truth[outputs:], given[outputs:], self._spread[outputs:], strict=True):
            total = total + self._tuning.features / len(self._between) * ((s - t).square() / spread).mean()
        return total

    def _inputs(self, places: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(self._examples.inputs(places)).to(self._accelerator.device)

    def _label_loss(self, given: Tensor, places: NDArray[np.int64]) -> Tensor:
        """Of every image."""
        if not (self._examples.labelled and self._kinds[0] == CLASSES):
            return given.new_zeros(len(places))
        labels = torch.from_numpy(self._examples.labels[places]).to(given.device)
        return LABELS_WEIGHT * functional.nll_loss(_log(given), labels, reduction="none")

    def _outputs_loss(self, truth: Sequence[Tensor], given: Sequence[Tensor]) -> Tensor:
        """Of every image."""
        losses = [self._output_loss(i, t, s) for i, (t, s) in enumerate(zip(truth, given, strict=True))]
        return torch.stack(losses).sum(0)

    def _output_loss(self, i: int, truth: Tensor, given: Tensor) -> Tensor:
        if self._kinds[i] == VALUES:
            return ((given - truth).square() / self._spread[i]).flatten(1).mean(1)
        p, q = _log(truth), _log(given)
        return (p.exp() * (p - q)).sum(1).reshape(len(truth), -1).mean(1)

    @torch.no_grad()
    def _loss_held(self, net: OnnxModule) -> float:
        """On images as they are that it did not learn from."""
        parts = []
        for i in range(0, len(self._held), self._tuning.batch):
            places = self._held[i:i + self._tuning.batch]
            x = self._inputs(places)
            given = net(x)
            parts.append(self._outputs_loss(self._teacher(x), given) + self._label_loss(given[0], places))
        return float(torch.cat(parts).mean())

    @torch.no_grad()
    def _channel_spread(self) -> list[Tensor]:
        """Variance of every channel of the outputs and boundaries, as the teacher gives them."""
        x = self._inputs(np.sort(self._learnt[:4 * self._tuning.batch]))
        found = self._teacher.run({self._teacher.input_names[0]: x}, [*self._teacher.output_names, *self._between])
        spread = [t.var((0, *range(2, t.dim())), keepdim=True, correction=0) for t in found]
        # a channel that hardly ever moves must not outweigh all others: at least a hundredth of the mean
        return [v.clamp_min(max(TINY, 0.01 * float(v.mean()))) if i >= len(self._kinds) else v.clamp_min(TINY)
                for i, v in enumerate(spread)]


def _wide(net: OnnxModule) -> OnnxModule:
    """With channels last in memory, which convolutions on CPUs and GPUs are faster in."""
    for value in (*net.parameters(), *net.buffers()):
        if value.dim() == 4:
            value.data = value.data.contiguous(memory_format=torch.channels_last)
    return net


def _number(loss: float) -> float | None:
    return loss if math.isfinite(loss) else None


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


