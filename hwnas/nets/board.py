"""A piece of memory that the processes of one machine share, over which they exchange numbers of a CPU.

A batch norm of a small network exchanges a few hundred numbers, dozens of times a step. Through gloo's sockets that
takes a few tenths of a millisecond each, longer than the norm itself; over shared memory a few microseconds.

Every process writes its numbers into its slot, then the number of the exchange beside it, and waits until it sees that
number of everyone. There are two slots each, used in turn: who is at the next exchange has read the one before.
Readers see the writes of another processor in their order on x86, so there is no board on other processors.

Glossary
    slot      place for the numbers of one process in one exchange                float32 (n,)
    turn      number of the exchange that a process has written, from 1           int64
    pid       of every process, to notice one that is gone                        int64
"""

from __future__ import annotations

import mmap
import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hwnas.errors import RunError

_BYTES = 1 << 25  # of all slots together: half of what a container has by default
_HEADER = 4096
_PATIENT = 20_000  # looks, a few milliseconds, before the waiting process sleeps between two
_SLEEP = 5e-4


def possible() -> bool:
    """Whether this processor shows writes in their order, and the system has memory that processes share."""
    return platform.machine().lower() in ("x86_64", "amd64") and hasattr(os, "sched_yield") and _shared().is_dir()


def _shared() -> Path:
    return Path("/dev/shm")


def create() -> Path:
    """An empty board as a file in memory, which goes once all have opened it.

    Raises:
        OSError: there is no room for it.
    """
    number, name = tempfile.mkstemp(prefix="hwnas-", dir=_shared())
    os.posix_fallocate(number, 0, _HEADER + _BYTES)  # a container without room says so now, not by a signal later
    os.close(number)
    return Path(name)


class Board:
    """One process' view of a board.

    Args:
        path: of `create`.
        rank, world: number of this process, and how many there are.
    """

    def __init__(self, path: Path, rank: int, world: int) -> None:
        self.rank, self.world = rank, world
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _HEADER + _BYTES)
        self.room = _BYTES // (8 * world)
        self._turns = np.frombuffer(self._memory, np.int64, world)
        self._pids = np.frombuffer(self._memory, np.int64, world, 8 * world)
        self._slots = np.frombuffer(self._memory, np.float32, 2 * world * self.room, _HEADER)
        self._slots = self._slots.reshape(2, world, self.room)
        self._pids[rank] = os.getpid()
        self._turn = 0

    def takes(self, values: Tensor) -> bool:
        """Whether these numbers (n,) can be exchanged over it."""
        return values.is_cpu and values.dtype == torch.float32 and len(values) <= self.room

    def exchange(self, values: np.ndarray) -> np.ndarray:
        """The values of every process, float32 (n,) -> (world, n); n is at most `room`, and the same in all.

        Raises:
            RunError: another process is gone.
        """
        self._turn += 1
        slots = self._slots[self._turn & 1, :, : len(values)]
        slots[self.rank] = values
        self._turns[self.rank] = self._turn
        looks = 0
        while int(self._turns.min()) < self._turn:
            looks += 1
            if looks < _PATIENT:
                os.sched_yield()
                continue
            time.sleep(_SLEEP)
            self._check()
        found: np.ndarray = slots.copy()
        return found

    def _check(self) -> None:
        for rank, pid in enumerate(self._pids.tolist()):
            # It may have written its numbers, and ended, since they were looked for: its turn is read after that.
            if pid and not _alive(pid) and int(self._turns[rank]) < self._turn:
                raise RunError(f"process {rank} of {self.world} that train together is gone: start the run again, it "
                               "goes on")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
