"""The interface of every search strategy: ask for an architecture, tell its score.

A strategy never trains, never measures and never stops early: the caller owns the evaluator and the clock.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from hwnas.search.distribution import Distribution


class Strategy(ABC):
    """One architecture out, one score in; larger scores are better.

    A choice vector is a tuple of op indices, one per choice of the space. At most one ask is outstanding.
    """

    @property
    @abstractmethod
    def evaluations(self) -> int:
        """How many architectures the whole search asks for; known before the first ask."""

    @property
    @abstractmethod
    def asked(self) -> int:
        """How many different asks were made so far, the outstanding one included."""

    @property
    @abstractmethod
    def done(self) -> bool:
        """True once every planned evaluation was told."""

    @property
    @abstractmethod
    def best(self) -> tuple[tuple[int, ...], float] | None:
        """The best evaluated architecture with its score (the earliest of equals), or None before the first tell."""

    @property
    def answer(self) -> tuple[tuple[int, ...], float] | None:
        """The evaluated architecture that the search would hand over now, with its score: `best`, unless the strategy
        knows that scores err and how much; None before the first tell."""
        return self.best

    @abstractmethod
    def ask(self) -> tuple[int, ...]:
        """The next architecture to evaluate.

        Asking again before telling returns the same architecture: a resumed run repeats what was cut off.

        Raises:
            UsageError: the search is done.
        """

    @abstractmethod
    def tell(self, choice: Sequence[int], score: float) -> None:
        """Record the score of the outstanding ask.

        Raises:
            UsageError: `choice` is not the outstanding ask, or `score` is not a finite number; nothing changes.
        """

    @abstractmethod
    def distribution(self) -> Distribution:
        """What was learnt so far; valid at any time, also in the middle of a cycle."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything the following asks depend on: dicts, lists, numbers and strings only."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken; the following asks are the same, bit for bit.

        Raises:
            RunError: the state is broken or belongs to another space or other options; nothing changes.
        """
