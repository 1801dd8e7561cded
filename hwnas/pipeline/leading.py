"""A run that several processes make: rank 0 leads through the stages, and the others follow where it calls them.

Measuring, choosing, exporting and writing are for one process; training is for all. So rank 0 carries out a run as one
process does, and before a stage that is done together it tells the others which. They do the same stage on their part
of every batch, come to the same weights and scores, and write nothing. All of them see the folder of the run.

If one process fails alone, it ends, and what started the processes ends the others; the run can be resumed by any
number of processes. `hwnas.pipeline.following` has the part of the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas import launch
from hwnas.errors import HwnasError, TrainingDiverged

if TYPE_CHECKING:
    from hwnas.train import Accelerator


class Lead:
    """What rank 0 does for the others; of one process, nothing."""

    @contextlib.contextmanager
    def doing(self, stage: str, run: Path, parent: Path | None, accelerator: Accelerator, *,
              together: bool) -> Iterator[None]:
        """Inside the block a stage of a run is done, by all processes or by this one as if it were alone.

        Args:
            parent: the run for several budgets that `run` is a branch of.
        """
        yield


class Call(Lead):
    """Of several processes.

    Attributes:
        parted: whether this process failed in what was done together, and the others do not know.
    """

    parted = False

    @contextlib.contextmanager
    def doing(self, stage: str, run: Path, parent: Path | None, accelerator: Accelerator, *,
              together: bool) -> Iterator[None]:
        from hwnas.train import processes

        if not together:
            with accelerator.apart():
                yield
            return
        processes.tell({"stage": stage, "run": str(run.absolute()),
                        "parent": None if parent is None else str(parent.absolute())})
        try:
            yield
        except TrainingDiverged:
            raise  # it did in all of them
        except BaseException:
            self.parted = True
            raise


ALONE = Lead()
_leading: ContextVar[Lead | None] = ContextVar("leading", default=None)


@contextlib.contextmanager
def leading() -> Iterator[Lead]:
    """Inside the block rank 0 does what it was started for; at the end of the outermost one the others are let go.

    Raises:
        RunError: the processes do not find one another.
    """
    if (outer := _leading.get()) is not None or launch.world() == 1:
        yield outer or ALONE
        return
    from hwnas.train import processes

    processes.join()
    call = Call()
    token = _leading.set(call)
    try:
        yield call
    except HwnasError:
        if not call.parted:
            processes.tell({})
        raise
    finally:
        _leading.reset(token)
    processes.tell({})
