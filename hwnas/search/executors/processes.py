"""Evaluations in processes of their own; one that fails or is killed is a failed evaluation, and the search goes on.

Every worker is spawned, not forked, gets the evaluator once and is fed over a pipe. The scores are those of the
executor inline wherever the evaluator gives one architecture one score: an evaluator that draws random numbers must
seed them itself, and torch must have the same number of threads (`SearchConfig`).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from hwnas.errors import UsageError
from hwnas.search.executors.inline import evaluated
from hwnas.search.roles import Evaluator, Executor
from hwnas.search.strategy import Ask, Failed, Score
from hwnas.space import Space

STARTS = 3  # workers in a row that die before their first answer: then it is not the architecture


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    ask: Ask | None = None
    answered: int = 0


class Processes(Executor):
    """`workers` processes, started when they are needed.

    Raises:
        UsageError: fewer than one worker, or workers that cannot start at all.
    """

    def __init__(self, evaluator: Evaluator, space: Space, workers: int = 2) -> None:
        if workers < 1:
            raise UsageError(f"processes must be at least 1, not {workers}")
        self.workers = workers
        self._given = evaluator, space
        self._pool: list[_Worker] = []
        self._waiting: deque[Ask] = deque()
        self._stillborn = 0

    def submit(self, ask: Ask) -> None:
        self._waiting.append(ask)
        self._feed()

    def completed(self) -> tuple[Ask, Score | Failed]:
        if not self._waiting and not any(worker.ask for worker in self._pool):
            raise UsageError("nothing was submitted: submit an ask first")
        while True:
            self._feed()
            busy = [worker for worker in self._pool if worker.ask]
            wait([each for worker in busy for each in (worker.pipe, worker.process.sentinel)])
            for worker in busy:
                if worker.pipe.poll() or not worker.process.is_alive():
                    return self._answer(worker)

    def _answer(self, worker: _Worker) -> tuple[Ask, Score | Failed]:
        ask = worker.ask
        assert ask is not None
        worker.ask = None
        try:
            answer: Score | Failed | BaseException = worker.pipe.recv()
        except (EOFError, OSError):
            return ask, self._buried(worker)
        worker.answered += 1
        self._stillborn = 0
        self._feed()
        if isinstance(answer, BaseException):
            raise answer
        return ask, answer

    def _buried(self, worker: _Worker) -> Failed:
        worker.process.join()
        self._pool.remove(worker)
        worker.pipe.close()
        code = worker.process.exitcode or 0
        how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with status {code}"
        self._stillborn += not worker.answered
        if self._stillborn >= STARTS:
            raise UsageError(f"{STARTS} worker processes in a row {how} before their first answer: an evaluator for "
                             "the executor processes must be importable and picklable, and a script that starts one "
                             'needs if __name__ == "__main__"')
        self._feed()
        return Failed(f"the worker process {how}")

    def _feed(self) -> None:
        while self._waiting:
            free = next((worker for worker in self._pool if worker.ask is None), None)
            if free is None and len(self._pool) == self.workers:
                return
            if free is None:
                free = self._started()
            free.ask = self._waiting.popleft()
            try:
                free.pipe.send(free.ask)
            except OSError:
                continue  # it died: `completed` finds that out and says so

    def _started(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, *self._given), daemon=True)
        process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._pool.append(worker)
        return worker

    def close(self) -> None:
        for worker in self._pool:
            worker.pipe.close()
            worker.process.terminate()
        for worker in self._pool:
            worker.process.join()
            worker.process.close()
        self._pool.clear()
        self._waiting.clear()


def _work(pipe: Connection, evaluator: Evaluator, space: Space) -> None:
    """A worker: it ends with its parent, however that ended, and leaves it to the parent to speak of Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            ask: Ask = pipe.recv()
        except EOFError:
            return
        try:
            answer: Score | Failed | BaseException = evaluated(evaluator, ask.choice, space)
        except Exception as err:
            answer = RuntimeError(f"evaluation of {ask.choice}: {type(err).__name__}: {err}")
        pipe.send(answer)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
