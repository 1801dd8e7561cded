"""Two stages at the same time: the second of two that need nothing of each other is done beside the first.

The bits of a training depend on the number of its threads. So each of the two has the share that stage data decided on,
whether the other is done beside it, before it, or in another process after a kill.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from hwnas.data.reading import Reading, read_by
from hwnas.pipeline.beside import Beside
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.read_result import read_result
from hwnas.pipeline.run.results import StageResult
from hwnas.pipeline.stages.stage import Stage


class Context(Protocol):
    """What is asked of a run context."""

    @property
    def run(self) -> RunFolder:
        """The folder."""

    @property
    def beside(self) -> Beside | None:
        """The second process; None where there is none."""

    @property
    def reading(self) -> Reading:
        """How images are read."""

    @property
    def side_by_side(self) -> bool:
        """Whether stages are done at the same time."""

    def begin_beside(self, work: str, **order: object) -> None:
        """Have something done at the same time."""

    def threads(self, *, shared: bool) -> AbstractContextManager[None]:
        """Inside the block torch has a share of its threads, or all of them."""


def done(context: Context, stage: Stage[Any], following: Sequence[Stage[Any]],
         hook: Callable[[str, str, float], None]) -> tuple[StageResult, float]:
    """Do a stage, or wait for what was begun beside the one before it.

    Args:
        following: the stage after it, which is begun beside it where both can be done at once; empty for none.
        hook: told of what is begun.

    Returns:
        What it found, and the seconds that it took.

    Raises:
        HwnasError: whatever went wrong, here or there.
    """
    helper = context.beside
    if helper is not None and helper.working == stage.name:
        found, seconds = helper.found()
        return read_result(stage.name, found, f"stage {stage.name}"), seconds
    began, reading = time.monotonic(), context.reading
    hook(stage.name, "start", 0.0)
    for other in following:
        if other.beside == stage.name and context.side_by_side and not context.run.done(other.name):
            reading = reading.halved
            context.begin_beside(other.name, stage=other.name)
            hook(other.name, "start", 0.0)
    with context.threads(shared=bool(stage.beside)), read_by(reading):
        return stage.run(context), time.monotonic() - began
