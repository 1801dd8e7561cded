"""The training loop: SGD with warm-up and cosine, one checkpoint an epoch, deterministic given the seed.

Every epoch draws its batches from a generator seeded with (seed, epoch), and a checkpoint holds weights, momenta and
history, so a run that was killed goes on as if nothing had happened.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.data import Dataset, epoch, policy_for
from hwnas.errors import RunError, TrainingDiverged
from hwnas.progress import Progress, silent
from hwnas.train.distill import Teacher
from hwnas.train.evaluate import accuracy
from hwnas.train.tensors import load_tensors, save_tensors, to_pixels


@dataclass(frozen=True)
class TrainConfig:
    """How a network is trained.

    Args:
        epochs: passes over the training set.
        batch: images per step.
        lr: peak learning rate, reached after `warmup` epochs, then cosine to zero.
        warmup: epochs of linear warm-up.
        momentum, weight_decay: of SGD (Nesterov); no decay on batch norm and biases.
        label_smoothing: of the cross entropy.
        clip: largest gradient norm.
    """

    epochs: int = 15
    batch: int = 64
    lr: float = 0.1
    warmup: float = 1.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    clip: float = 5.0

    def lr_at(self, progress: float) -> float:
        """Learning rate after `progress` epochs (fractions allowed)."""
        if progress < self.warmup:
            return self.lr * min(1.0, (progress + 1e-3) / self.warmup)
        done = (progress - self.warmup) / max(self.epochs - self.warmup, 1e-9)
        return 0.5 * self.lr * (1 + math.cos(math.pi * min(done, 1.0)))


QUICK_VAL = 2000  # validation images looked at after every epoch but the last, which takes all


@dataclass(frozen=True)
class EpochLog:
    """One finished epoch; `val_accuracy` in percent over `QUICK_VAL` images, after the last epoch over all."""

    epoch: int
    loss: float
    val_accuracy: float
    seconds: float


@dataclass
class History:
    """Finished epochs, oldest first."""

    epochs: list[EpochLog] = field(default_factory=list)

    @property
    def accuracy(self) -> float:
        """Validation accuracy after the last epoch, percent."""
        return self.epochs[-1].val_accuracy if self.epochs else float("nan")


def sgd(net: nn.Module, config: TrainConfig) -> torch.optim.SGD:
    """SGD with Nesterov momentum; batch norm and biases are not decayed."""
    decayed = [p for p in net.parameters() if p.ndim > 1]
    plain = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=True)


def train_step(net: nn.Module, optimizer: torch.optim.SGD, images: np.ndarray, labels: np.ndarray,
               config: TrainConfig, teacher: Teacher | None = None, place: tuple[int, int] = (0, 0)) -> float:
    """One step of SGD on a batch of uint8 images.

    Args:
        place: (epoch, step), the teacher's key to its memory.

    Returns:
        The loss.

    Raises:
        TrainingDiverged: the loss is NaN or infinite; the weights are those before the step.
    """
    pixels, targets = to_pixels(images), torch.from_numpy(labels)
    out = net(pixels)
    loss = functional.cross_entropy(out, targets, label_smoothing=config.label_smoothing)
    if teacher is not None:
        loss = teacher.loss(out, teacher.logits(pixels, *place), loss)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingDiverged(
            f"the loss became {value} at epoch {place[0]}, step {place[1]}, learning rate "
            f"{optimizer.param_groups[0]['lr']:.3g}: train with a lower --lr"
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_([p for p in net.parameters() if p.grad is not None], config.clip)
    optimizer.step()
    return value


def fit(net: nn.Module, data: Dataset, config: TrainConfig, *, seed: int, teacher: Teacher | None = None,
        checkpoint: Path | None = None, progress: Progress = silent, what: str = "train") -> History:
    """Train `net` in place; go on from `checkpoint` if it is there.

    Args:
        net: (N, C, H, W) pixels in 0..1 -> (N, classes) logits.
        data: training and validation images; the latter are only looked at.
        checkpoint: written after every epoch.

    Returns:
        One entry per epoch.

    Raises:
        TrainingDiverged: the loss became NaN.
        RunError: the checkpoint is damaged.
    """
    optimizer = sgd(net, config)
    history = _resume(net, optimizer, checkpoint) if checkpoint and checkpoint.exists() else History()
    policy = policy_for(data)
    steps = max(1, math.ceil(len(data.train_labels) / config.batch))
    for index in range(len(history.epochs), config.epochs):
        began, losses = time.monotonic(), []
        rng = np.random.default_rng((seed, index))
        net.train()
        batches = epoch(data.train_images, data.train_labels, config.batch, rng, policy)
        for step, (images, labels) in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = config.lr_at(index + step / steps)
            losses.append(train_step(net, optimizer, images, labels, config, teacher, (index, step)))
            progress(what, index * steps + step + 1, config.epochs * steps)
        looked_at = slice(None if index == config.epochs - 1 else QUICK_VAL)
        score = accuracy(net, data.val_images[looked_at], data.val_labels[looked_at])
        history.epochs.append(EpochLog(index, float(np.mean(losses)), score, time.monotonic() - began))
        if checkpoint:
            _save(net, optimizer, checkpoint, history)
    return history


def momenta(net: nn.Module, optimizer: torch.optim.SGD) -> dict[str, Tensor]:
    """The optimiser's momentum buffers by parameter name; parameters that never got a gradient have none."""
    return {
        f"momentum.{name}": optimizer.state[p]["momentum_buffer"]
        for name, p in net.named_parameters()
        if optimizer.state.get(p, {}).get("momentum_buffer") is not None
    }


def restore(net: nn.Module, optimizer: torch.optim.SGD, tensors: dict[str, Tensor]) -> None:
    """Put back weights and momentum buffers saved as 'weight.*' and 'momentum.*'."""
    net.load_state_dict({k.removeprefix("weight."): v for k, v in tensors.items() if k.startswith("weight.")})
    for name, parameter in net.named_parameters():
        buffer = tensors.get(f"momentum.{name}")
        if buffer is not None:
            layout = torch.empty_like(parameter)  # same memory format as the parameter, or the next step differs
            optimizer.state[parameter]["momentum_buffer"] = layout.copy_(buffer)


def snapshot(net: nn.Module, optimizer: torch.optim.SGD) -> dict[str, Tensor]:
    """Weights as 'weight.*' and momentum buffers as 'momentum.*'."""
    return {f"weight.{k}": v for k, v in net.state_dict().items()} | momenta(net, optimizer)


def _save(net: nn.Module, optimizer: torch.optim.SGD, path: Path, history: History) -> None:
    log = [vars(e) for e in history.epochs]
    save_tensors(path, snapshot(net, optimizer), {"history": log})


def _resume(net: nn.Module, optimizer: torch.optim.SGD, path: Path) -> History:
    tensors, metadata = load_tensors(path)
    try:
        history = History([EpochLog(**entry) for entry in metadata["history"]])
        restore(net, optimizer, tensors)
    except (KeyError, TypeError, RuntimeError) as err:
        raise RunError(f"{path} is not a checkpoint of this network ({err}): delete it to train again") from err
    return history
