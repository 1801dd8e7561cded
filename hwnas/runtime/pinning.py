"""Keeping a process on some cores while it is timed."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hwnas.errors import UsageError


@contextmanager
def pinned(cores: Sequence[int] | None) -> Iterator[None]:
    """All threads of this process on these logical cores; as before when the block ends.

    Threads that are started inside inherit it, and those that outlive the block go where the caller may go.

    Args:
        cores: logical cores as the system counts them; None changes nothing.

    Raises:
        UsageError: the system cannot pin, or the process may not use one of the cores.
    """
    if cores is None:
        yield
        return
    if not hasattr(os, "sched_setaffinity"):
        raise UsageError(f"{platform.system()} cannot pin a process to cores, Linux can: leave `cores` out")
    allowed = os.sched_getaffinity(0)
    if not cores or not set(cores) <= allowed:
        raise UsageError(f"cores must be among {sorted(allowed)}, which this process may use; got {list(cores)}")
    before = {thread: os.sched_getaffinity(thread) for thread in _threads()}
    for thread in before:
        _place(thread, set(cores))
    try:
        yield
    finally:
        for thread in _threads():
            _place(thread, before.get(thread, allowed))


def _threads() -> list[int]:
    """Ids of all threads of this process; `sched_setaffinity` moves one thread, not a process."""
    with contextlib.suppress(OSError):
        return [int(task.name) for task in Path("/proc/self/task").iterdir()]
    return [0]


def _place(thread: int, cores: set[int]) -> None:
    with contextlib.suppress(ProcessLookupError):  # it ended in the meantime
        os.sched_setaffinity(thread, cores)
