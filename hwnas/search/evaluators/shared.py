"""Trains the shared weights of a supernet and scores architectures with them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from hwnas.data.views import ImageView
from hwnas.nets import Mixture, Network, Subnet, Supernet
from hwnas.search.distribution import Rows
from hwnas.search.evaluators.setting import EvaluatorSetting, NetworkEvaluator, fold_of
from hwnas.space import FULL, Architecture, Space, scaled, variants
from hwnas.tasks.task import Batch
from hwnas.train import TrainConfig, Workload, reestimate_batch_norm
from hwnas.train.loop import optimizer_of, train_step


@dataclass
class SupernetEvaluator(NetworkEvaluator):
    """Trains and validates paths of a supernet.

    Args:
        supernet: holds the shared weights; changed by `train`.
        fold: what is learnt, on the part of the training set that trains weights and judged on the other
            (`Workload.fold`).
        config: batch size, peak learning rate, decay, clipping.
        seed: batches of round t are drawn with (seed, 2, t).
        batch_norm_images: training images over which the statistics of a path are re-estimated.
        variants: scaled spaces, whose networks are trained with parts of the shared weights, each with the fold at its
            input size.
    """

    weights_move: ClassVar[bool] = True
    supernet: Supernet
    fold: Workload
    config: TrainConfig
    seed: int
    batch_norm_images: int = 512
    variants: tuple[tuple[Space, Workload], ...] = ()
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.optimizer = optimizer_of(self.supernet, self.config)

    @property
    def steps_per_epoch(self) -> int:
        """Steps that one pass over the fold's training part takes."""
        return self.fold.steps(self.config.batch)

    def train(self, paths: Iterator[Sequence[int] | Mixture], number: int, steps: int, rates: Sequence[float]) -> float:
        """Train `steps` steps, each on the next path of `paths`, on batches drawn for round `number`.

        With variants every path is trained once more, as one of them in turn: on the same batch, or where that is
        of other images on a batch of these.

        Args:
            paths: at least `steps` architectures or, without variants, mixtures.
            number: of this round of training; batches are drawn with (seed, 2, number).
            rates: learning rate of every step.

        Returns:
            The mean loss.

        Raises:
            TrainingDiverged: the loss became NaN.
        """
        self.supernet.train()
        smaller: dict[tuple[int, int], Iterator[Batch]] = {}
        losses: list[float] = []
        for step, batch in enumerate(self.batches(number, steps)):
            choice = next(paths)
            for group in self.optimizer.param_groups:
                group["lr"] = rates[step]
            losses.append(self._step(choice, None, self.fold, batch, (number, step)))
            if not self.variants:
                continue
            space, fold = self.variants[step % len(self.variants)]
            if fold is not self.fold:
                size = space.config.size
                if size not in smaller:
                    own = np.random.default_rng((self.seed, 2, number, *size))
                    smaller[size] = self._batches(fold, own, steps)
                batch = next(smaller[size])
            losses.append(self._step(choice, space, fold, batch, (number, step)))
        return float(np.mean(losses))

    def batches(self, number: int, steps: int) -> Iterator[Batch]:
        """The training batches of round `number`, (images, targets)."""
        return self._batches(self.fold, np.random.default_rng((self.seed, 2, number)), steps)

    def _step(self, choice: Sequence[int] | Mixture, space: Space | None, fold: Workload, batch: Batch,
              place: tuple[int, int]) -> float:
        whole = space or self.supernet.space
        net = (self.supernet.subnet(choice) if isinstance(choice, Mixture)
               else self.path_of(whole.architecture(choice)))
        return train_step(net, self.optimizer, *batch, fold, self.config, place=place)

    def _batches(self, fold: Workload, rng: np.random.Generator, steps: int) -> Iterator[Batch]:
        fold.check_trainable()
        while steps > 0:
            for batch in itertools.islice(fold.epoch(self.config.batch, rng), steps):
                steps -= 1
                yield batch

    def additive(self) -> Rows | None:
        """What the weights say of every op of every choice, in any unit, where they say it without an image; larger is
        better and sums count. None where they say nothing."""
        return None

    def fold_of(self, space: Space) -> Workload:
        return fold_of(space, [(self.supernet.space, self.fold), *self.variants])

    def score(self, choice: Sequence[int], scaled: Space | None = None) -> float:
        """The task's metric in percent on the held-out part, in eval mode, with batch-norm statistics of this path.

        Args:
            scaled: the space of `choice`, where it is not the supernet's own.
        """
        if scaled is not None:
            return self.fold_of(scaled).score(self.network(scaled.architecture(choice)))
        return self.fold.score(self._judged(self.supernet.space.architecture(choice)))

    def network(self, arch: Architecture) -> Network:
        """`arch` as a network of its own with the shared weights and its own batch-norm statistics."""
        if arch.space.fingerprint == self.supernet.space.fingerprint:
            self._judged(arch)
            return self.supernet.network(arch)
        net = self.supernet.network(arch)
        reestimate_batch_norm(net, [net], self._batch_norm_images(self.fold_of(arch.space)))
        return net

    def _judged(self, arch: Architecture) -> Subnet:
        """A path with batch-norm statistics of its own."""
        net = self.path_of(arch)
        reestimate_batch_norm(net, self._active(arch), self._batch_norm_images(self.fold))
        return net

    def path_of(self, arch: Architecture) -> Subnet:
        """`arch` as it runs with the shared weights."""
        return self.supernet.subnet(arch)

    def _active(self, arch: Architecture) -> Sequence[nn.Module]:
        """The modules that a path runs."""
        return self.supernet.active(arch)

    def _batch_norm_images(self, fold: Workload) -> ImageView:
        return fold.train_images[: self.batch_norm_images]


def shared_weights(setting: EvaluatorSetting) -> SupernetEvaluator:
    """Shared weights as a search begins with them, and what trains and scores them."""
    torch.manual_seed(setting.seed)
    task, folds = setting.task, setting.folds()
    supernet = Supernet(setting.space, task.data.mean.tolist(), task.data.std.tolist())
    task.prepare(supernet)
    supernet = task.accelerator.placed(supernet.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    others = tuple((scaled(setting.space, v), folds[v.imgsz])
                   for v in variants(setting.config.widths, setting.config.sizes) if v != FULL)
    return SupernetEvaluator(supernet, folds[0], setting.config.train, setting.seed, variants=others)
