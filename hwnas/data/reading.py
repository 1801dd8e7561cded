"""How pixels are got while a network is trained: by how many workers, and whether they are kept decoded on disk.

It changes how long an epoch takes and nothing else, so it is no part of a data set: whoever trains says it once, for
all that is read within a block.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path

from hwnas.errors import UsageError


@dataclass(frozen=True)
class Reading:
    """How pixels are got.

    Attributes:
        cache: folder where decoded images are kept that do not fit into memory; None decodes them whenever they are
            wanted.
        workers: threads that make batches while the network learns from others, each a batch of its own; 0 makes every
            batch when it is asked for, by a thread for every core.

    Raises:
        UsageError: fewer than no workers.
    """

    cache: Path | None = None
    workers: int = 0

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise UsageError(f"workers must be 0 or more, not {self.workers}")

    @property
    def halved(self) -> Reading:
        """With half of the workers, where there are any: of a process that shares the cores with another."""
        return replace(self, workers=-(-self.workers // 2))


_PLAIN = Reading()
_NOW: ContextVar[Reading] = ContextVar("how pixels are got", default=_PLAIN)


def reading() -> Reading:
    """What is said now."""
    return _NOW.get()


@contextmanager
def read_by(how: Reading) -> Iterator[None]:
    """Inside the block, pixels are got so: by data sets that are loaded there, and epochs that are begun there."""
    before = _NOW.set(how)
    try:
        yield
    finally:
        _NOW.reset(before)
