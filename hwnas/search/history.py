"""What a strategy asked and was told, in any order of the answers.

    symbol   meaning                                                       shape
    K_i      ops of choice i                                               scalar
    lie      the score that an outstanding ask is given meanwhile          scalar

The constant liar: D. Ginsbourger, R. Le Riche, L. Carraro, Kriging is well-suited to parallelize optimization (2010).
"""

from __future__ import annotations

import contextlib
import math
import statistics
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

from hwnas.errors import UsageError
from hwnas.search.strategy import Ask, Choice, Failed, Score, Strategy

# Squares of larger scores leave float64.
LARGEST_SCORE = 1e100


class History:
    """The evaluated architectures in the order they were told, with those that are out and those that failed.

    Attributes:
        choices: K_i, the number of ops of each choice.
        samples, scores, cycles, ids: one entry per score; `cycles` says which samples share a mean, `ids` are those of
            the asks.
        failed: architectures whose evaluation gave no score.
        pending: the outstanding asks, id -> architecture, in the order of the asks.
    """

    def __init__(self, choices: Sequence[int]) -> None:
        self.choices = checked_choices(choices)
        self.samples: list[Choice] = []
        self.scores: list[float] = []
        self.cycles: list[int] = []
        self.ids: list[int] = []
        self.failed: list[Choice] = []
        self.pending: dict[int, Choice] = {}

    @property
    def asked(self) -> int:
        """Evaluations told, failed and outstanding; the id of the next ask."""
        return self.answered + len(self.pending)

    @property
    def answered(self) -> int:
        """Evaluations told and failed."""
        return len(self.samples) + len(self.failed)

    @property
    def attempted(self) -> set[Choice]:
        """Architectures that were asked for, whatever became of them."""
        return {*self.samples, *self.failed, *self.pending.values()}

    @property
    def best(self) -> tuple[Choice, float] | None:
        """Architecture and score of the best evaluation, the first told of equals."""
        if not self.scores:
            return None
        at = max(range(len(self.scores)), key=self.scores.__getitem__)
        return self.samples[at], self.scores[at]

    def begin(self, choice: Choice) -> Ask:
        """A new outstanding ask."""
        ask = Ask(self.asked, choice)
        self.pending[ask.id] = choice
        return ask

    def settle(self, ask: int, score: float, cycle: int) -> None:
        """Store the score of an outstanding ask.

        Raises:
            UsageError: it is not outstanding, or the score is not a finite number; nothing is stored.
        """
        self._check_pending(ask)
        value = checked_score(score)
        self.samples.append(self.pending.pop(ask))
        self.scores.append(value)
        self.cycles.append(cycle)
        self.ids.append(ask)

    def fail(self, ask: int) -> None:
        """An outstanding ask that will have no score.

        Raises:
            UsageError: it is not outstanding.
        """
        self._check_pending(ask)
        self.failed.append(self.pending.pop(ask))

    def _check_pending(self, ask: int) -> None:
        if ask not in self.pending:
            what = "was answered before" if 0 <= ask < self.asked else "was never asked"
            raise UsageError(f"ask {ask} {what}: tell answers each outstanding ask once; out: {sorted(self.pending)}")

    @contextlib.contextmanager
    def imagined(self) -> Iterator[int]:
        """Within, outstanding asks count as told, with the median of the scores as a lie: what is out is neither asked
        again nor its neighbourhood searched twice. Gives the number of true scores, which come first."""
        told = len(self.samples)
        if told:
            self.samples += self.pending.values()
            self.scores += [statistics.median(self.scores)] * len(self.pending)
        try:
            yield told
        finally:
            del self.samples[told:], self.scores[told:]

    def state(self) -> dict[str, Any]:
        """Plain lists; of outstanding asks the id and the architecture."""
        return {
            "samples": [list(sample) for sample in self.samples],
            "scores": list(self.scores),
            "cycles": list(self.cycles),
            "ids": list(self.ids),
            "failed": [list(sample) for sample in self.failed],
            "pending": [[ask, list(choice)] for ask, choice in self.pending.items()],
        }

    @classmethod
    def from_state(cls, choices: Sequence[int], state: Mapping[str, Any]) -> History:
        """Read what `state` wrote, in hwnas 0.1 too; ValueError, KeyError or TypeError if it is not that."""
        history = cls(choices)
        history.samples = [checked_sample(sample, history.choices) for sample in state["samples"]]
        history.scores = [checked_score(score) for score in state["scores"]]
        history.cycles = [int(cycle) for cycle in state["cycles"]]
        history.ids = [int(ask) for ask in state.get("ids", range(len(history.samples)))]
        history.failed = [checked_sample(sample, history.choices) for sample in state.get("failed", [])]
        pending = state["pending"]
        if pending and isinstance(pending[0], Integral):  # 0.1: one architecture
            pending = [[len(history.samples), pending]]
        history.pending = {int(ask): checked_sample(choice, history.choices) for ask, choice in pending}
        if not len(history.samples) == len(history.scores) == len(history.cycles) == len(history.ids):
            raise ValueError("samples, scores, cycles and ids differ in length")
        known = {*history.ids, *history.pending}
        if len(known) != len(history.ids) + len(pending) or not known <= set(range(history.asked)):
            raise ValueError("ids of asks are repeated or out of range")
        return history


class HistoryStrategy(Strategy):
    """A strategy that keeps what it was told in `history`; a subclass says which architecture comes next."""

    history: History

    @property
    def choices(self) -> Choice:
        """Number of ops of each choice."""
        return self.history.choices

    @property
    def asked(self) -> int:
        return self.history.asked

    @property
    def pending(self) -> list[Ask]:
        return [Ask(ask, choice) for ask, choice in self.history.pending.items()]

    @property
    def best(self) -> tuple[Choice, float] | None:
        return self.history.best

    @property
    def done(self) -> bool:
        return self.history.answered == self.evaluations

    def _ask(self, n: int) -> list[Ask]:
        asks: list[Ask] = []
        while len(asks) < n and self.history.asked < self.evaluations and self._ready():
            asks.append(self.history.begin(self._draw()))
        return asks

    def _tell(self, ask: int, answer: Score | Failed) -> None:
        if isinstance(answer, Failed):
            self.history.fail(ask)
            self._learn_failure()
        else:
            self.history.settle(ask, answer.value, self._cycle_label())
            self._learn()

    @abstractmethod
    def _draw(self) -> Choice:
        """The next architecture; called only when `_ready`. `history.pending` are those that are out."""

    def _ready(self) -> bool:
        """Whether the next architecture can be said before the outstanding asks are answered; True if none is out."""
        return True

    def _cycle_label(self) -> int:
        """Samples of one label share a mean in the regression of effects."""
        return 0

    def _learn(self) -> None:
        """Called after every score, which is the last of the history."""

    def _learn_failure(self) -> None:
        """Called after every evaluation that failed, which is the last of `history.failed`."""


def is_whole(value: object) -> bool:
    """True for Python and NumPy integers."""
    return isinstance(value, Integral)


def checked_choices(choices: Sequence[int]) -> Choice:
    """K_i as a tuple of Python ints, at least one choice with at least one op each."""
    if not len(choices) or any(not is_whole(k) or k < 1 for k in choices):
        raise UsageError(f"choices must be whole numbers of ops, at least 1 each and at least one, not {list(choices)}")
    return tuple(int(k) for k in choices)


def checked_sample(sample: Sequence[int], choices: Choice) -> Choice:
    """One op index per choice, in range."""
    if len(sample) != len(choices) or any(int(x) != x or not 0 <= x < k for x, k in zip(sample, choices, strict=True)):
        raise ValueError(f"{list(sample)} is no architecture of a space with {list(choices)} ops")
    return tuple(int(x) for x in sample)


def checked_score(score: float) -> float:
    """A finite float."""
    try:
        value = float(score)
    except (TypeError, ValueError):
        value = math.nan
    if not abs(value) <= LARGEST_SCORE:
        raise UsageError(f"a score must be a finite number, not {score!r}: repeat the evaluation or stop the search")
    return value
