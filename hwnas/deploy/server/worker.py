"""One process that predicts, behind a queue of bounded length: the event loop never waits for a model, nor decodes."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwnas import errors
from hwnas.deploy.server import wire
from hwnas.deploy.server.job import Answer, Job
from hwnas.deploy.server.limits import Refusal
from hwnas.deploy.server.process import SERVES

_NEW = 0.2  # weight of the latest job in the usual time
_PIPE_BYTES = 1 << 20
_END_S = 2.0  # that the process has to end by itself
_log = logging.getLogger("hwnas.serve")


@dataclass(frozen=True)
class Model:
    """What to load.

    Args:
        path: a bundle, a run folder or an ONNX file that hwnas exported.
        overrides: fields of the target to replace.
        threshold: least score of a box.
    """

    path: Path
    overrides: Mapping[str, object] = dataclasses.field(default_factory=dict)
    threshold: float = 0.3

    def to_json(self) -> dict[str, Any]:
        """For the process."""
        return {"path": str(self.path), "overrides": dict(self.overrides), "threshold": self.threshold}


@dataclass(frozen=True)
class Facts:
    """What was loaded.

    Args:
        task: what the model does.
        classes: how many.
        pictures: which its answers have: 'picture', 'mask'.
        stands_in_for: the model's runtime, where ONNX Runtime answers in its place; else empty.
    """

    task: str
    classes: int
    pictures: Sequence[str] = ()
    stands_in_for: str = ""


class Worker:
    """Does jobs in order, one at a time. To be used from one event loop.

    Args:
        model: what answers.
        queue: jobs that may wait, beside the one in work.
        most_s: seconds that a job may take; then its process is ended, and another one started.
        took: told the seconds that each job took.
    """

    def __init__(self, model: Model, queue: int, most_s: float, took: Callable[[float], None]) -> None:
        self._model, self._queue, self._most_s, self._took = model, queue, most_s, took
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._accepted = 0
        self._usual_s = 0.0
        self._closed = False

    @property
    def waiting(self) -> int:
        """Jobs that wait."""
        return max(0, self._accepted - 1)

    @property
    def busy(self) -> bool:
        """Whether a job would have to wait."""
        return self._accepted > 0

    @property
    def alive(self) -> bool:
        """Whether the model is loaded."""
        return self._process is not None

    async def start(self) -> Facts:
        """Load the model in a process of its own.

        Raises:
            HwnasError: as the process says, when the model cannot be loaded.
        """
        program = f"import sys; sys.path[:] = {sys.path!r}; {SERVES}"
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            limit=_PIPE_BYTES, start_new_session=True)
        try:
            told, _ = await _exchanged(process, self._model.to_json())
            if "error" in told:
                raise _raised(told)
        except wire.Ended as err:
            await _ended(process)
            raise errors.HwnasError(f"the process that loads {self._model.path} ended: see standard error") from err
        except BaseException:
            await _ended(process)
            raise
        self._process = process
        return Facts(**told)

    def check(self) -> None:
        """Raise Refusal with 503 and Retry-After if a job would not find a place."""
        if self._accepted > self._queue:
            seconds = max(1, math.ceil(self._usual_s * self._accepted))
            raise Refusal(503, f"{self._accepted} predictions are in the queue, as many as it holds: try again in "
                               f"{seconds} s, or start the server with a longer --workers-queue",
                          {"Retry-After": str(seconds)})

    async def do(self, job: Job, body: bytes) -> Answer:
        """The answer to a job. Whoever cancels while it waits takes it out of the queue; once begun, it is done.

        Raises:
            Refusal: the queue is full, or the job took too long or broke the process.
        """
        self.check()
        self._accepted += 1
        try:
            await self._turn.acquire()
        except BaseException:
            self._accepted -= 1
            raise
        task = asyncio.ensure_future(self._answered(job, body))
        self._keep(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """End the process, with the job in work if there is one."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._process is not None:
            process, self._process = self._process, None
            await _ended(process)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._accepted -= 1
        self._turn.release()
        if not task.cancelled():
            task.exception()  # whoever asked may be gone, and then nobody else looks at it
        if self._process is None and not self._closed:
            self._keep(asyncio.ensure_future(self._revive()))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _revive(self) -> None:
        """Load the model again, before anybody asks for it."""
        async with self._turn:
            if self._process is None and not self._closed:
                try:
                    await self.start()
                except (errors.HwnasError, OSError) as err:
                    _log.error("the model could not be loaded again: %s", err)

    async def _answered(self, job: Job, body: bytes) -> Answer:
        if self._process is None:
            await self._started_again()
        process = self._process
        assert process is not None
        try:
            async with asyncio.timeout(self._most_s):
                told, content = await _exchanged(process, dataclasses.asdict(job), body)
        except BaseException as err:  # a cancelled one, too: its answer would be taken for the next one's
            self._process = None
            code = await _ended(process, at_once=True)
            if isinstance(err, TimeoutError):
                raise Refusal(422, f"a prediction may take {self._most_s:g} s; this image took longer: send a smaller "
                                   "one, or start the server with a longer --timeout") from err
            if isinstance(err, wire.Ended):
                _log.error("the process of the model ended with %s while it answered; it is started again", code)
                raise Refusal(500, "the process of the model ended while it looked at this image; it is started again: "
                                   "send another image, or try again", {"Retry-After": "1"}) from err
            raise
        self._note(told["seconds"])
        return Answer(told["status"], told["media"], content)

    async def _started_again(self) -> None:
        try:
            await self.start()
        except (errors.HwnasError, OSError) as err:
            raise Refusal(503, f"the model cannot be loaded again: {err}", {"Retry-After": "10"}) from err

    def _note(self, seconds: float) -> None:
        self._took(seconds)
        self._usual_s += (seconds - self._usual_s) * (_NEW if self._usual_s else 1.0)


async def _exchanged(process: asyncio.subprocess.Process, facts: Mapping[str, Any],
                     content: bytes = b"") -> tuple[dict[str, Any], bytes]:
    """Say something, hear the answer."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        for piece in wire.packed(facts, content):
            process.stdin.write(piece)
        await process.stdin.drain()
    except (BrokenPipeError, ConnectionResetError) as err:
        raise wire.Ended from err
    return await wire.hear(process.stdout)


async def _ended(process: asyncio.subprocess.Process, *, at_once: bool = False) -> int | None:
    """End a process; its exit code."""
    assert process.stdin is not None
    process.stdin.close()
    with contextlib.suppress(ProcessLookupError):
        if at_once:
            process.kill()
        try:
            async with asyncio.timeout(_END_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
    return process.returncode


def _raised(told: Mapping[str, str]) -> errors.HwnasError:
    """The error that the process tells of, of its own class."""
    kind = getattr(errors, told["kind"], errors.HwnasError)
    error: errors.HwnasError = kind.__new__(kind)
    Exception.__init__(error, told["error"])
    return error
