"""The interface of every search strategy: ask for architectures, tell what became of each.

A strategy never trains, never measures and never stops early: the caller owns the evaluator and the clock.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, overload

from hwnas.errors import UsageError
from hwnas.search.distribution import Distribution

Choice = tuple[int, ...]


@dataclass(frozen=True)
class Ask:
    """An architecture that is to be evaluated.

    Args:
        id: unique within the search, 0 and up in the order of the asks; what `tell` answers.
        choice: op index per choice of the space.
    """

    id: int
    choice: Choice


@dataclass(frozen=True)
class Score:
    """What an evaluation came to.

    Args:
        value: larger is better; in the unit of the evaluator, e.g. accuracy in percent.
        seconds: wall time that it took.
    """

    value: float
    seconds: float = 0.0


@dataclass(frozen=True)
class Failed:
    """An evaluation that gave no score: the training diverged, a worker was killed.

    Args:
        reason: for people.
    """

    reason: str


class Strategy(ABC):
    """Architectures out, scores in; larger scores are better.

    A choice vector is a tuple of op indices, one per choice of the space. Any number of asks may be outstanding, and
    they may be answered in any order. What depends on answers that are still out is not asked before they are there.
    """

    @classmethod
    def build(cls, choices: Sequence[int], **options: Any) -> Strategy:
        """The strategy of these options; a name that stood for two strategies may give either."""
        return cls(choices, **options)  # type: ignore[call-arg]  # the interface leaves the constructor to each class

    @property
    @abstractmethod
    def evaluations(self) -> int:
        """How many architectures the whole search asks for, failures included; known before the first ask."""

    @property
    @abstractmethod
    def asked(self) -> int:
        """How many asks were made so far, the outstanding ones included."""

    @property
    @abstractmethod
    def pending(self) -> list[Ask]:
        """The outstanding asks in order; a resumed run evaluates them again."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """True once every planned evaluation was told."""

    @property
    @abstractmethod
    def best(self) -> tuple[Choice, float] | None:
        """The best evaluated architecture with its score (the first told of equals), or None before the first score."""

    @property
    def answer(self) -> tuple[Choice, float] | None:
        """The evaluated architecture that the search would hand over now, with its score: `best`, unless the strategy
        knows that scores err and how much; None before the first score."""
        return self.best

    @overload
    def ask(self) -> Choice: ...

    @overload
    def ask(self, n: int) -> list[Ask]: ...

    def ask(self, n: int | None = None) -> list[Ask] | Choice:
        """The next architectures to evaluate.

        Args:
            n: how many are wanted, at least 1. Without it, as in hwnas 0.1: the oldest outstanding architecture, or the
                next one, with a DeprecationWarning; goes with the next version.

        Returns:
            At most n asks. Fewer, even none, where the next ones depend on answers that are still out, or where all
            planned evaluations were asked; at least one where nothing is out.

        Raises:
            UsageError: the search is done, or n is no whole number of at least 1.
        """
        if self.done:
            raise UsageError(f"the search is done: all {self.evaluations} evaluations were asked and told")
        if n is None:
            warnings.warn("Strategy.ask() is now ask(n), which gives asks with ids", DeprecationWarning,
                          stacklevel=2)
            return (self.pending or self._ask(1))[0].choice
        if not isinstance(n, Integral) or n < 1:
            raise UsageError(f"ask(n) needs a whole number of at least 1, not {n}")
        return self._ask(int(n))

    def tell(self, ask: int | Sequence[int], answer: Score | Failed | float) -> None:
        """Answer an outstanding ask.

        Args:
            ask: its id. A choice vector, as in hwnas 0.1, stands for the oldest outstanding ask of it, with a
                DeprecationWarning; that goes with the next version.
            answer: its score, or that it has none. A failed evaluation counts as made, teaches the strategy nothing,
                and is not asked again by strategies that repeat nothing.

        Raises:
            UsageError: no such ask is outstanding (unknown, or answered before), or the score is not a finite number;
                nothing changes.
        """
        if not isinstance(ask, Integral):
            warnings.warn("Strategy.tell(choice, score) is now tell(ask.id, Score(score))", DeprecationWarning,
                          stacklevel=2)
            ask = self._number(tuple(ask))  # type: ignore[arg-type]
        self._tell(int(ask), answer if isinstance(answer, Score | Failed) else Score(answer))

    def _number(self, choice: Choice) -> int:
        pending = self.pending
        if not pending:
            raise UsageError("tell without an ask: call ask(n) first, then tell what became of each")
        for ask in pending:
            if ask.choice == choice:
                return ask.id
        raise UsageError(f"tell must answer the last ask {pending[-1].choice}, not {choice}")

    @abstractmethod
    def _ask(self, n: int) -> list[Ask]:
        """At most n asks; n >= 1 and the search is not done."""

    @abstractmethod
    def _tell(self, ask: int, answer: Score | Failed) -> None:
        """Record the answer to the ask of this id; UsageError, and nothing changes, if it is not outstanding."""

    @abstractmethod
    def distribution(self) -> Distribution:
        """What was learnt so far; valid at any time, also in the middle of a cycle."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything the following asks depend on: dicts, lists, numbers and strings only."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken, outstanding asks included; the following asks are the same, bit for bit.

        Raises:
            RunError: the state is broken or belongs to another space or other options; nothing changes.
        """
