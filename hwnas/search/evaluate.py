"""Trains the shared weights of a supernet and scores architectures with them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from hwnas.data import Dataset, epoch, policy_for
from hwnas.errors import DataError
from hwnas.nets import Network, Supernet
from hwnas.space import Architecture
from hwnas.train import TrainConfig, accuracy, reestimate_batch_norm
from hwnas.train.loop import sgd, train_step


@dataclass(frozen=True)
class Fold:
    """The training set split in two: weights are trained on one part, architectures judged on the other.

    The validation set of the data is never touched by a search, so that it stays an honest judge of the result.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    val_images: np.ndarray
    val_labels: np.ndarray

    @classmethod
    def of(cls, data: Dataset, holdout: float, seed: int) -> Fold:
        """Hold out the share `holdout` of the training images, at least one, drawn with `seed`."""
        order = np.random.default_rng((seed, 1)).permutation(len(data.train_labels))
        cut = min(max(1, round(holdout * len(order))), len(order) - 1)
        val, train = np.sort(order[:cut]), np.sort(order[cut:])
        return cls(data.train_images[train], data.train_labels[train], data.train_images[val], data.train_labels[val])


@dataclass
class SupernetEvaluator:
    """Trains and validates paths of a supernet.

    Args:
        supernet: holds the shared weights; changed by `train`.
        data: for its augmentation policy.
        fold: see `Fold`.
        config: batch size, peak learning rate, decay, clipping.
        seed: batches of tick t are drawn with (seed, 2, t).
        batch_norm_images: training images over which the statistics of a path are re-estimated.
    """

    supernet: Supernet
    data: Dataset
    fold: Fold
    config: TrainConfig
    seed: int
    batch_norm_images: int = 512
    optimizer: torch.optim.SGD = field(init=False)

    def __post_init__(self) -> None:
        self.optimizer = sgd(self.supernet, self.config)

    @property
    def steps_per_epoch(self) -> int:
        """Steps that one pass over the fold's training part takes."""
        return math.ceil(len(self.fold.train_labels) / self.config.batch)

    def train(self, paths: Iterator[Sequence[int]], tick: int, steps: int, rates: Sequence[float]) -> None:
        """Train `steps` steps, each on the next path of `paths`, on batches drawn for `tick`.

        Args:
            paths: at least `steps` architectures.
            tick: number of this stretch of training; batches are drawn with (seed, 2, tick).
            rates: learning rate of every step.

        Raises:
            TrainingDiverged: the loss became NaN.
        """
        self.supernet.train()
        rng = np.random.default_rng((self.seed, 2, tick))
        for step, (images, labels) in enumerate(self._batches(rng, steps)):
            self.supernet.select(next(paths))
            for group in self.optimizer.param_groups:
                group["lr"] = rates[step]
            train_step(self.supernet, self.optimizer, images, labels, self.config, place=(tick, step))

    def _batches(self, rng: np.random.Generator, steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        policy = policy_for(self.data)
        if len(self.fold.train_labels) < 2:
            raise DataError(f"{self.data.source}: {len(self.fold.train_labels)} image is left to train on: add images")
        while steps > 0:
            passes = epoch(self.fold.train_images, self.fold.train_labels, self.config.batch, rng, policy)
            for batch in itertools.islice(passes, steps):
                steps -= 1
                yield batch

    def score(self, choice: Sequence[int]) -> float:
        """Accuracy in percent on the held-out fold, in eval mode, with batch-norm statistics of this path."""
        self._select(choice)
        return accuracy(self.supernet, self.fold.val_images, self.fold.val_labels)

    def network(self, arch: Architecture) -> Network:
        """`arch` as a network of its own with the shared weights and its own batch-norm statistics."""
        self._select(arch.choice)
        return self.supernet.network(arch)

    def _select(self, choice: Sequence[int]) -> None:
        self.supernet.select(choice)
        reestimate_batch_norm(self.supernet, self.supernet.active(), self.fold.train_images[: self.batch_norm_images])
