"""Evaluations in this process, one after the other."""

from __future__ import annotations

import time
from collections import deque

from hwnas.errors import HwnasError, UsageError
from hwnas.search.history import LARGEST_SCORE
from hwnas.search.roles import Evaluator, Executor
from hwnas.search.strategy import Ask, Choice, Failed, Score
from hwnas.space import Space


class Inline(Executor):
    """Computes when it is asked for what is completed, the first taken on first.

    With several workers as many asks are out at once, though computed one after the other: the same search as on as
    many processes.

    Errors of the evaluator that are no HwnasError are its bugs and come through.
    """

    def __init__(self, evaluator: Evaluator, space: Space, workers: int = 1) -> None:
        if workers < 1:
            raise UsageError(f"workers must be at least 1, not {workers}")
        self.workers = workers
        self._evaluator, self._space = evaluator, space
        self._waiting: deque[Ask] = deque()

    def submit(self, ask: Ask) -> None:
        self._waiting.append(ask)

    def completed(self) -> tuple[Ask, Score | Failed]:
        if not self._waiting:
            raise UsageError("nothing was submitted: submit an ask first")
        ask = self._waiting.popleft()
        return ask, evaluated(self._evaluator, ask.choice, self._space)

    def close(self) -> None:
        self._waiting.clear()


def evaluated(evaluator: Evaluator, choice: Choice, space: Space) -> Score | Failed:
    """A finite score with the seconds it took, or why there is none."""
    began = time.monotonic()
    try:
        score = evaluator.evaluate(choice, space)
    except HwnasError as err:
        return Failed(str(err))
    if not abs(score.value) <= LARGEST_SCORE:
        return Failed(f"the score {score.value!r} is no finite number")
    return Score(float(score.value), score.seconds or time.monotonic() - began)
