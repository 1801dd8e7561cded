"""What a strategy asked and was told, and how its state becomes plain JSON values and back."""

from __future__ import annotations

import contextlib
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from hwnas.errors import HwnasError, RunError, UsageError
from hwnas.search.strategy import Strategy

Choice = tuple[int, ...]

# Squares of larger scores leave float64.
LARGEST_SCORE = 1e100


class History:
    """The evaluated architectures in order, with the one that is still out.

    Attributes:
        choices: K_i, the number of ops of each choice.
        samples, scores, cycles: one entry per told evaluation; `cycles` says which samples share a mean.
        pending: the outstanding ask, or None.
    """

    def __init__(self, choices: Sequence[int]) -> None:
        self.choices = checked_choices(choices)
        self.samples: list[Choice] = []
        self.scores: list[float] = []
        self.cycles: list[int] = []
        self.pending: Choice | None = None

    @property
    def asked(self) -> int:
        """Evaluations told plus the one outstanding."""
        return len(self.samples) + (self.pending is not None)

    @property
    def best(self) -> tuple[Choice, float] | None:
        """Architecture and score of the best evaluation, the earliest of equals."""
        if not self.scores:
            return None
        at = max(range(len(self.scores)), key=self.scores.__getitem__)
        return self.samples[at], self.scores[at]

    def settle(self, choice: Sequence[int], score: float, cycle: int) -> None:
        """Store the score of the outstanding ask.

        Raises:
            UsageError: another architecture, or a score that is not a finite number; nothing is stored.
        """
        if self.pending is None:
            raise UsageError("tell without an ask: call ask() first, then tell() its score")
        if tuple(choice) != self.pending:
            raise UsageError(f"tell must answer the last ask {self.pending}, not {tuple(choice)}")
        value = checked_score(score)
        self.samples.append(self.pending)
        self.scores.append(value)
        self.cycles.append(cycle)
        self.pending = None

    def state(self) -> dict[str, Any]:
        """Plain lists; `pending` is empty if nothing is out."""
        return {
            "samples": [list(sample) for sample in self.samples],
            "scores": list(self.scores),
            "cycles": list(self.cycles),
            "pending": list(self.pending or ()),
        }

    @classmethod
    def from_state(cls, choices: Sequence[int], state: Mapping[str, Any]) -> History:
        """Read what `state` wrote; ValueError, KeyError or TypeError if it is not that."""
        records = cls(choices)
        records.samples = [checked_sample(sample, records.choices) for sample in state["samples"]]
        records.scores = [checked_score(score) for score in state["scores"]]
        records.cycles = [int(cycle) for cycle in state["cycles"]]
        records.pending = checked_sample(state["pending"], records.choices) if state["pending"] else None
        if not len(records.samples) == len(records.scores) == len(records.cycles):
            raise ValueError("samples, scores and cycles differ in length")
        return records


class HistoryStrategy(Strategy):
    """A strategy that keeps what it was told in `_history`; a subclass says which architecture comes next."""

    _history: History

    @property
    def choices(self) -> Choice:
        """Number of ops of each choice."""
        return self._history.choices

    @property
    def asked(self) -> int:
        return self._history.asked

    @property
    def best(self) -> tuple[Choice, float] | None:
        return self._history.best

    @property
    def done(self) -> bool:
        return len(self._history.samples) == self.evaluations

    def ask(self) -> Choice:
        if self.done:
            raise UsageError(f"the search is done: all {self.evaluations} evaluations were asked and told")
        if self._history.pending is None:
            self._history.pending = self._draw()
        return self._history.pending

    @abstractmethod
    def _draw(self) -> Choice:
        """The next architecture; called only when none is outstanding."""


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


def seeded_generator(seed: int) -> np.random.Generator:
    """A private PCG64 generator; UsageError if the seed is not a whole number of at least 0."""
    if not is_whole(seed) or seed < 0:
        raise UsageError(f"seed must be a whole number of at least 0, not {seed}")
    return np.random.Generator(np.random.PCG64(int(seed)))


def pack_generator(rng: np.random.Generator) -> dict[str, Any]:
    """The bit generator's state; its 128-bit integers as text, because few JSON readers keep them."""
    state: dict[str, Any] = _map_integers(rng.bit_generator.state, str)
    return state


def unpack_generator(state: Mapping[str, Any]) -> np.random.Generator:
    """A PCG64 generator that continues where `pack_generator` stood; ValueError if it cannot."""
    bits = np.random.PCG64()
    bits.state = _map_integers(state, lambda text: text if text == "PCG64" else int(text))
    return np.random.Generator(bits)


def _map_integers(value: Any, convert: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _map_integers(item, convert) for key, item in value.items()}
    return convert(value)


def checked_header(state: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse the state of another strategy, space or setting.

    Raises:
        RunError: names the first field that differs.
    """
    for key, value in expected.items():
        found = state.get(key) if isinstance(state, Mapping) else None
        if found != value:
            raise RunError(f"cannot resume: the saved search has {key} {found!r}, this one {value!r}; start a new run")


@contextlib.contextmanager
def reading_state() -> Iterator[None]:
    """Turn whatever a broken state raises into one RunError."""
    try:
        yield
    except RunError:
        raise
    except (HwnasError, KeyError, TypeError, ValueError, OverflowError, AttributeError, IndexError) as err:
        raise RunError(f"the saved search is broken ({type(err).__name__}: {err}); start a new run") from err
