"""The training loop: SGD or AdamW with warm-up and cosine, one checkpoint an epoch, deterministic given the seed.

Every epoch draws its batches from a generator seeded with (seed, epoch), and a checkpoint holds weights, momenta and
history, so a run that was killed goes on as if nothing had happened.
"""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from hwnas.data.labelled import LabelledData
from hwnas.errors import RunError, TrainingDiverged
from hwnas.nets.block import dropped_paths
from hwnas.progress import Progress, silent
from hwnas.tracking.tracker import Curve, no_curve
from hwnas.train.accelerator import Accelerator
from hwnas.train.checkpoint import load_tensors, one_line, save_tensors
from hwnas.train.distill import Teacher
from hwnas.train.ema import Ema
from hwnas.train.muon import Muon, is_orthogonal
from hwnas.train.parts import parts_of
from hwnas.train.workload import Workload, workload_of
from hwnas.validation import Count, Schema, checked

CURVE_STEPS = 20  # that a point of a curve of losses is the mean of


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained.

    Args:
        epochs: passes over the training set.
        batch: images per step.
        lr: peak learning rate, reached after `warmup` epochs, then cosine to zero.
        warmup: epochs of linear warm-up.
        optimizer: `sgd` with Nesterov momentum, `adamw` (Loshchilov & Hutter, ICLR 2019), which detectors need, or
            `muon` (`hwnas.train.muon`), which gets farther in few epochs.
        momentum: of SGD.
        weight_decay: none on batch norm and biases.
        label_smoothing: of the cross entropy.
        clip: largest gradient norm.
        ema: decay of a moving average of the weights, which is what is judged and kept; 0 for none.
        drop_path: share of the images for which the last residual block is left out in a step (stochastic depth, Huang
            et al., ECCV 2016), those before it less often in proportion to their depth; of networks trained alone.
        accumulate: parts in which a batch is computed, one after the other, before the weights move: less memory. The
            same step but for batch norm, whose statistics are then those of a part.
        patience: epochs without a better score after which training ends early; 0 for never. All validation images
            are then looked at after every epoch, and the weights are the last ones, not the best.
    """

    epochs: int = 15
    batch: int = 64
    lr: float = 0.1
    warmup: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    clip: float = 5.0
    optimizer: Literal["sgd", "adamw", "muon"] = "sgd"
    ema: float = 0.0
    drop_path: float = 0.0
    accumulate: int = 1
    patience: int = 0

    def lr_at(self, progress: float) -> float:
        """Learning rate after `progress` epochs (fractions allowed)."""
        if progress < self.warmup:
            return self.lr * min(1.0, (progress + 1e-3) / self.warmup)
        done = (progress - self.warmup) / max(self.epochs - self.warmup, 1e-9)
        return 0.5 * self.lr * (1 + math.cos(math.pi * min(done, 1.0)))


@dataclass(frozen=True)
class EpochLog:
    """One finished epoch; `val_score`, by the metric of the task in percent, is after the last over all images."""

    epoch: int
    loss: float
    val_score: float
    seconds: float

    @property
    def val_accuracy(self) -> float:
        """`val_score` under its name of 0.1, for one version more."""
        warnings.warn("EpochLog.val_accuracy is now EpochLog.val_score", DeprecationWarning, stacklevel=2)
        return self.val_score

    def to_json(self) -> dict[str, float]:
        """The fields; in files the score has its key of 0.1."""
        return {"epoch": self.epoch, "loss": self.loss, "val_accuracy": self.val_score, "seconds": self.seconds}


class EpochSchema(Schema):
    """An epoch in the metadata of a checkpoint."""

    epoch: Count
    loss: float
    val_accuracy: float
    seconds: float


class CheckpointSchema(Schema):
    """The metadata of a checkpoint."""

    history: list[EpochSchema]


@dataclass
class History:
    """Finished epochs, oldest first."""

    epochs: list[EpochLog] = field(default_factory=list)

    def stalled(self, patience: int) -> bool:
        """Whether the last `patience` epochs, if that is not 0, brought no better score than those before them."""
        scores = [epoch.val_score for epoch in self.epochs]
        return 0 < patience < len(scores) and max(scores[-patience:]) <= max(scores[:-patience])

    @property
    def score(self) -> float:
        """By the metric of the task after the last epoch, percent."""
        return self.epochs[-1].val_score if self.epochs else float("nan")

    @property
    def accuracy(self) -> float:
        """`score` under its name of 0.1, for one version more."""
        warnings.warn("History.accuracy is now History.score", DeprecationWarning, stacklevel=2)
        return self.score


def optimizer_of(net: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """As the config says; batch norm and biases are not decayed."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    if config.optimizer == "muon":
        turned = [p for p in decayed if is_orthogonal(p)]
        others = [p for p in decayed if not is_orthogonal(p)]
        return Muon([{"params": turned, "orthogonal": True}, groups[0] | {"params": others}, groups[1]], config.lr,
                    config.momentum)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=True)


def train_step(net: nn.Module, optimizer: torch.optim.Optimizer, images: np.ndarray, targets: Any, task: Workload,
               config: TrainConfig, teacher: Teacher | None = None, place: tuple[int, int] = (0, 0),
               run: nn.Module | None = None) -> float:
    """One step on a batch of uint8 images.

    Args:
        targets: of the batch, as the task gives them.
        place: (epoch, step), the teacher's key to its cache.
        run: what is called in place of `net` (`Accelerator.compiled`).

    Returns:
        The loss.

    Raises:
        TrainingDiverged: the loss is NaN or infinite; the weights are those before the step.
    """
    accelerator, value = task.accelerator, 0.0
    run = net if run is None else run  # a compiled network has a length, so it may be false
    optimizer.zero_grad(set_to_none=True)
    for number, (some, truth) in enumerate(parts_of(images, targets, config.accumulate)):
        with accelerator.together(len(some)) as share:
            share *= len(some) / len(images)
            where = place[0], place[1] * config.accumulate + number
            loss = _loss(net, run, accelerator.pixels(some), truth, task, config, teacher, where)
            value += accelerator.total(share * float(loss.detach()))
            if not math.isfinite(value):
                raise TrainingDiverged(
                    f"the loss became {value} at epoch {place[0]}, step {place[1]}, learning rate "
                    f"{optimizer.param_groups[0]['lr']:.3g}: train with a lower --lr"
                )
            accelerator.backward(loss if share == 1 else share * loss)
    accelerator.step(optimizer, net.parameters(), config.clip)
    return value


def _loss(net: nn.Module, run: nn.Module, pixels: Tensor, targets: Any, task: Workload, config: TrainConfig,
          teacher: Teacher | None, place: tuple[int, int]) -> Tensor:
    with task.accelerator.autocast():
        out = task.accelerator.floats(run(pixels))
    loss = task.loss(out, targets, config.label_smoothing)
    if teacher is not None:
        loss = task.distilled(out, teacher.outputs(pixels, *place), loss, teacher)
        if (gap := teacher.feature_loss(net)) is not None:
            loss = loss + teacher.features * gap
    return loss


def fit(net: nn.Module, data: LabelledData | Workload, config: TrainConfig, *, seed: int,
        teacher: Teacher | None = None, checkpoint: Path | None = None, progress: Progress = silent,
        what: str = "train", curve: Curve = no_curve) -> History:
    """Train `net` in place; go on from `checkpoint` if it is there.

    Args:
        net: (N, C, H, W) pixels in 0..1 -> the outputs of the task.
        data: what is learnt; of a plain data set, to classify. Validation images are only looked at.
        checkpoint: written after every epoch.
        curve: told of the mean loss every `CURVE_STEPS` steps, and of every epoch before its checkpoint is written: an
            epoch that was killed in between is told again.

    Returns:
        One entry per epoch.

    Raises:
        TrainingDiverged: the loss became NaN.
        RunError: the checkpoint is damaged.
    """
    task = workload_of(data)
    net = task.accelerator.alike(net)
    if teacher:
        teacher.net.to(task.accelerator.device)
    optimizer = optimizer_of(net, config)
    average = Ema(net, decay=config.ema) if config.ema else None
    history = History()
    if checkpoint and checkpoint.exists():
        history = _resume(net, optimizer, average, task.accelerator, checkpoint)
    steps, run = task.steps(config.batch), task.accelerator.compiled(net)
    with teacher.capture_features(net) if teacher else contextlib.nullcontext(), dropped_paths(net, config.drop_path):
        for index in range(len(history.epochs), config.epochs):
            if history.stalled(config.patience):
                break
            began, losses = time.monotonic(), []
            rng = np.random.default_rng((seed, index))
            if config.drop_path:
                torch.manual_seed(int(np.random.default_rng((seed, index, 1)).integers(2**63)))
            net.train()
            for step, (images, targets) in enumerate(task.epoch(config.batch, rng)):
                for group in optimizer.param_groups:
                    group["lr"] = config.lr_at(index + step / steps)
                losses.append(train_step(net, optimizer, images, targets, task, config, teacher, (index, step), run))
                if average:
                    average.update(net)
                progress(what, index * steps + step + 1, config.epochs * steps)
                if (step + 1) % CURVE_STEPS == 0:
                    curve(index * steps + step + 1, {"loss": float(np.mean(losses[-CURVE_STEPS:]))})
            with average.applied(net) if average else contextlib.nullcontext():
                score = task.score(net, quick=index < config.epochs - 1 and not config.patience)
            history.epochs.append(EpochLog(index, float(np.mean(losses)), score, time.monotonic() - began))
            curve((index + 1) * steps, epoch_point(history.epochs[-1], optimizer.param_groups[0]["lr"]))
            if checkpoint and task.accelerator.leads:
                _save(net, optimizer, average, task.accelerator, checkpoint, history)
    if average:
        net.load_state_dict(average.average)
    return history


def epoch_point(epoch: EpochLog, lr: float) -> dict[str, float]:
    """What a curve is told of an epoch; `lr` is that of its last step."""
    return {"epoch": epoch.epoch + 1, "epoch_loss": epoch.loss, "score": epoch.val_score, "lr": lr,
            "epoch_seconds": epoch.seconds}


STATE = {"momentum": "momentum_buffer", "exp_avg": "exp_avg", "exp_avg_sq": "exp_avg_sq", "step": "step"}
"""What a checkpoint calls the state of an optimiser, and what torch does."""


def momenta(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as '<what>.<parameter>'; parameters that never got a gradient have none."""
    return {
        f"{name}.{parameter}": found[key]
        for parameter, p in net.named_parameters() for name, key in STATE.items()
        if (found := optimizer.state.get(p, {})).get(key) is not None
    }


def restore(net: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back the weights saved as 'weight.*' and the optimiser's state."""
    net.load_state_dict({k.removeprefix("weight."): v for k, v in tensors.items() if k.startswith("weight.")})
    for parameter, p in net.named_parameters():
        for name, key in STATE.items():
            stored = tensors.get(f"{name}.{parameter}")
            if stored is not None:  # in the memory format of the parameter, or the next step differs
                if stored.shape != p.shape and stored.numel() != 1:
                    raise RuntimeError(f"{name}.{parameter} has the shape {tuple(stored.shape)}, not {tuple(p.shape)}")
                layout = torch.empty_like(p) if stored.shape == p.shape else torch.empty_like(stored)
                optimizer.state[p][key] = layout.copy_(stored)


def snapshot(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Weights as 'weight.*' and the optimiser's state."""
    return {f"weight.{k}": v for k, v in net.state_dict().items()} | momenta(net, optimizer)


def _save(net: nn.Module, optimizer: torch.optim.Optimizer, average: Ema | None, accelerator: Accelerator, path: Path,
          history: History) -> None:
    log = [e.to_json() for e in history.epochs]
    state = snapshot(net, optimizer) | (average.state() if average else {}) | accelerator.state()
    save_tensors(path, state, {"history": log})


def _resume(net: nn.Module, optimizer: torch.optim.Optimizer, average: Ema | None, accelerator: Accelerator,
            path: Path) -> History:
    tensors, metadata = load_tensors(path)
    stored = checked(CheckpointSchema, metadata, f"{path} is not a checkpoint of this network", RunError,
                     "delete it to train again")
    history = History([EpochLog(e.epoch, e.loss, e.val_accuracy, e.seconds) for e in stored.history])
    try:
        restore(net, optimizer, tensors)
        if average:
            average.restore(tensors)
        accelerator.restore(tensors)
    except RuntimeError as err:  # names or shapes; torch lists them all
        raise RunError(f"{path} is not a checkpoint of this network ({one_line(err)}): delete it to train again"
                       ) from err
    return history
