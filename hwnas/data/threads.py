"""Threads for work on many images: decoding and resizing leave the interpreter's lock.

One set of threads serves the whole process: starting some for every batch costs as much as reading a batch that is
cached. In those threads, and in those of `workers`, work on several images goes on in the thread itself, since a thread
that waited for others would hold a place that they need.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

MOST = 8
P = ParamSpec("P")
T = TypeVar("T")
_mine = threading.local()


class Inline(Executor):
    """Does in the thread that asks whatever it is asked to, one after the other."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as err:  # told to whoever asks for the result, as the threads of a pool do
            done.set_exception(err)
        return done


INLINE = Inline()


def cores() -> int:
    """Those that this process may use, at most `MOST`."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, allowed)


def threads() -> Executor:
    """A thread for every core, shared by the whole process; never to be shut down."""
    return INLINE if getattr(_mine, "working", False) else _shared()


def workers(count: int) -> ThreadPoolExecutor:
    """Threads of their own, each of which does all of its work itself; close them after use."""
    return ThreadPoolExecutor(count, thread_name_prefix="hwnas-worker", initializer=_work)


@functools.cache
def _shared() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), thread_name_prefix="hwnas-images", initializer=_work)


def _work() -> None:
    _mine.working = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_shared.cache_clear)  # a forked process has none of the threads
