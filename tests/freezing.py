"""Processes that are held still while a test looks, so that no machine's speed decides what it sees."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator

import psutil

PATIENCE_S = 120.0  # that only a hang takes


def until(met: Callable[[], object], what: str) -> None:
    """Wait for a condition.

    Raises:
        AssertionError: it is still not met after a time that only a hang takes.
    """
    end = time.monotonic() + PATIENCE_S
    while not met():
        assert time.monotonic() < end, f"after {PATIENCE_S:g} s still not: {what}"
        time.sleep(0.01)


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process that does nothing within the block; it may be killed there."""
    process = psutil.Process(pid)
    process.send_signal(signal.SIGSTOP)
    until(lambda: process.status() == psutil.STATUS_STOPPED, f"process {pid} stands still")
    try:
        yield
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGCONT)


def child_of(pid: int) -> int:
    """The one child of a process, once it has one."""
    until(lambda: len(psutil.Process(pid).children()) == 1, f"process {pid} has a child")
    (child,) = psutil.Process(pid).children()
    return int(child.pid)
