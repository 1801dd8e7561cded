"""One thread that predicts, behind a queue of bounded length: the event loop never waits for a model."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from hwnas.deploy.server.limits import Refusal

T = TypeVar("T")
_NEW = 0.2  # weight of the latest job in the usual time


class Worker:
    """Does jobs in order, one at a time. To be used from one event loop.

    Args:
        queue: jobs that may wait, beside the one in work.
        took: told the seconds that each job took.
    """

    def __init__(self, queue: int, took: Callable[[float], None]) -> None:
        self._queue, self._took = queue, took
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hwnas-worker")
        self._accepted = 0
        self._usual_s = 0.0

    @property
    def waiting(self) -> int:
        """Jobs that wait."""
        return max(0, self._accepted - 1)

    def check(self) -> None:
        """Raise Refusal with 503 and Retry-After if a job would not find a place."""
        if self._accepted > self._queue:
            seconds = max(1, math.ceil(self._usual_s * self._accepted))
            raise Refusal(503, f"{self._accepted} predictions are in the queue, as many as it holds: try again in "
                               f"{seconds} s, or start the server with a longer --workers-queue",
                          {"Retry-After": str(seconds)})

    async def do(self, job: Callable[[], T]) -> T:
        """The result of a job; it is done even if nobody waits for it any more.

        Raises:
            Refusal: the queue is full.
        """
        self.check()
        self._accepted += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, _timed, job)
        future.add_done_callback(self._done)
        result, seconds = await asyncio.shield(future)
        self._took(seconds)
        self._usual_s += (seconds - self._usual_s) * (_NEW if self._usual_s else 1.0)
        return result

    def close(self) -> None:
        """End the thread after the job in work."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _done(self, future: asyncio.Future[Any]) -> None:
        self._accepted -= 1
        if not future.cancelled():
            future.exception()  # whoever asked may be gone, and then nobody else looks at it


def _timed(job: Callable[[], T]) -> tuple[T, float]:
    start = time.perf_counter()
    return job(), time.perf_counter() - start
