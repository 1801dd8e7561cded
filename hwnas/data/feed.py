"""Batches for training, from a part of a data set: order, random numbers, pixels, one after the other.

1. the order of the images is drawn, and with it which are in a batch together;
2. `draw` takes all random numbers of a batch from the same generator: cheap, batch after batch in order;
3. `make` reads the images and changes them: the work, and a function of what was drawn alone.

So it does not matter where and when `make` runs: any number of threads, workers or ranks gives the same batches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from hwnas.data.threads import pool
from hwnas.errors import UsageError

Indices = npt.NDArray[np.int64]
Drawn = TypeVar("Drawn")
Batch = TypeVar("Batch")


class Feed(ABC, Generic[Drawn, Batch]):
    """Batches of one part; `Drawn` is what `draw` hands to `make`."""

    @abstractmethod
    def __len__(self) -> int:
        """Images of the part."""

    @abstractmethod
    def draw(self, chosen: Indices, rng: np.random.Generator) -> Drawn:
        """All random numbers that a batch of the images `chosen` needs."""

    @abstractmethod
    def make(self, chosen: Indices, drawn: Drawn, threads: Executor) -> Batch:
        """The batch: images uint8 (B, H, W, C) and the truth about them.

        Raises:
            DataError: an image that cannot be decoded, by name.
        """

    def epoch(self, batch: int, rng: np.random.Generator) -> Iterator[Batch]:
        """Shuffled batches, each image once.

        The last batch may be smaller. If one image would be left over it is dropped, because batch normalisation has
        no variance over one; a `batch` of 1 is taken as meant.

        Args:
            batch: B, images at a time.
            rng: gives the order now and the changes as batches are taken.

        Raises:
            UsageError: batch under 1.
        """
        if batch < 1:
            raise UsageError(f"batch must be 1 or more, not {batch}")
        return self._batches(slices(rng.permutation(len(self)), batch), rng)

    def _batches(self, order: Iterator[Indices], rng: np.random.Generator) -> Iterator[Batch]:
        with pool() as threads:
            for chosen in order:
                yield self.make(chosen, self.draw(chosen, rng), threads)


def slices(order: Indices, batch: int) -> Iterator[Indices]:
    """`order` in pieces of `batch`, the last one shorter; a last one of a single image is left out."""
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        if len(chosen) == 1 < batch:
            return
        yield chosen
