"""Batches for training, from a part of a data set: order, random numbers, pixels, one after the other.

1. the order of the images is drawn, and with it which are in a batch together;
2. `draw` takes all random numbers of a batch from the same generator: cheap, batch after batch in order;
3. `make` reads the images and changes them: the work, and a function of what was drawn alone.

So it does not matter where and when `make` runs: any number of threads, workers or ranks gives the same batches. With
workers a batch is drawn before it is wanted, so a generator that is given to `epoch` must have no other use meanwhile.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from hwnas.data.reading import reading
from hwnas.data.sampling import Sampler, order_of
from hwnas.data.threads import INLINE, threads, workers
from hwnas.errors import UsageError

Indices = npt.NDArray[np.int64]
Drawn = TypeVar("Drawn")
Batch = TypeVar("Batch")
AHEAD = 1  # batches that wait, beside one that every worker makes


class Share(NamedTuple):
    """Which images of every batch are made: those of numbers rank, rank + world, ...

    Args:
        rank, world: of the processes that train together.
    """

    rank: int = 0
    world: int = 1


WHOLE = Share()


class Feed(ABC, Generic[Drawn, Batch]):
    """Batches of one part; `Drawn` is what `draw` hands to `make`.

    Attributes:
        sampler: says which images an epoch shows; None shows each once.
    """

    sampler: Sampler | None = None

    @abstractmethod
    def __len__(self) -> int:
        """Images of the part."""

    @abstractmethod
    def draw(self, chosen: Indices, rng: np.random.Generator) -> Drawn:
        """All random numbers that a batch of the images `chosen` needs."""

    @abstractmethod
    def make(self, chosen: Indices, drawn: Drawn, threads: Executor) -> Batch:
        """The batch: images uint8 (B, H, W, C) and the truth about them.

        Args:
            threads: for work on one image each.

        Raises:
            DataError: an image that cannot be decoded, by name.
        """

    def classes(self) -> Sequence[Indices]:
        """The classes in every image, for a sampler.

        Raises:
            UsageError: the images have none.
        """
        raise UsageError("these images have no classes that a sampler could go by")

    def order(self, rng: np.random.Generator) -> Indices:
        """The images of an epoch, in order."""
        return rng.permutation(len(self)) if self.sampler is None else order_of(self.sampler, self.classes(), rng)

    def shared(self, drawn: Drawn, share: Share) -> Drawn:
        """Of what was drawn for a batch, that of the images of a share."""
        found: Any = drawn
        return found[share.rank :: share.world]  # type: ignore[no-any-return]

    def epoch(self, batch: int, rng: np.random.Generator, share: Share = WHOLE) -> Iterator[Batch]:
        """Shuffled batches, each image once, or as the sampler says.

        The last batch may be smaller. If one image would be left over it is dropped, because batch normalisation has
        no variance over one; a `batch` of 1 is taken as meant. Where several processes share a batch, a last one with
        fewer than two images for each is dropped. Workers (`hwnas.data.reading`) give the same batches as none.

        Args:
            batch: B, images at a time, of all processes together.
            rng: gives the order now and the changes as batches are taken, the same in every process.
            share: which part of every batch is made here.

        Raises:
            UsageError: batch under 1, or too small to be shared.
        """
        if batch < 1:
            raise UsageError(f"batch must be 1 or more, not {batch}")
        if share.world > 1 and batch < 2 * share.world:
            raise UsageError(f"a batch of {batch} is too small for {share.world} processes: two images for each are "
                             f"the least, so take a batch of {2 * share.world} or more, or fewer processes")
        least = 2 * share.world if share.world > 1 else min(batch, 2)
        return self._batches(slices(self.order(rng), batch, least), rng, share)

    def _batches(self, order: Iterator[Indices], rng: np.random.Generator, share: Share) -> Iterator[Batch]:
        count, drawn = reading().workers, self._drawn(order, rng, share)
        if not count:
            for chosen, numbers in drawn:
                yield self.make(chosen, numbers, threads())
            return
        begun = deque[Future[Batch]]()
        makers = workers(count)
        try:
            for chosen, numbers in drawn:
                begun.append(makers.submit(self.make, chosen, numbers, INLINE))
                if len(begun) > count + AHEAD:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            makers.shutdown(cancel_futures=True)

    def _drawn(self, order: Iterator[Indices], rng: np.random.Generator, share: Share
               ) -> Iterator[tuple[Indices, Drawn]]:
        for chosen in order:
            drawn = self.draw(chosen, rng)
            if share.world > 1:
                chosen, drawn = chosen[share.rank :: share.world], self.shared(drawn, share)
            yield chosen, drawn


def slices(order: Indices, batch: int, least: int = 2) -> Iterator[Indices]:
    """`order` in pieces of `batch`, the last one shorter; it is left out with fewer than `least` images."""
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        if len(chosen) < min(least, batch):
            return
        yield chosen
