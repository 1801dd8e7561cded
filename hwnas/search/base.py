"""What most strategies share: a number of evaluations given ahead, one generator, effects from ridge regression."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hwnas.errors import UsageError
from hwnas.search.distribution import Distribution, Rows
from hwnas.search.effects import fit_effects
from hwnas.search.history import (
    History,
    HistoryStrategy,
    is_whole,
)
from hwnas.search.state import checked_header, pack_generator, reading_state, seeded_generator, unpack_generator


class PlannedStrategy(HistoryStrategy):
    """A strategy whose every op stays live and whose state beside the records is a few plain values.

    A subclass gives its `name`, its `_options` (plain values that must be equal for a state to fit), `_draw`, its
    `law`, where it learns step by step `_learn`, `_state` and `_restore`, and where an ask depends on answers that
    may be out, `_ready`.

    Args:
        choices: number of ops of each choice.
        evaluations: how many architectures the whole search asks for.
        seed: of the private generator.
        ridge: prior precision of the reported effects, in samples; they come from the same regression as MIGO's, with
            one mean for the whole run: on a supernet that keeps training they carry its drift.

    Raises:
        UsageError: a setting out of range.
    """

    name: ClassVar[str]
    anytime: ClassVar[bool] = True
    """Whether the asks do not depend on `evaluations`: a longer run begins with the shorter one."""

    def __init__(self, choices: Sequence[int], evaluations: int, seed: int = 0, *, ridge: float = 10.0) -> None:
        if not is_whole(evaluations) or evaluations < 1:
            raise UsageError(f"evaluations must be a whole number of at least 1, not {evaluations}")
        if not 0 < ridge < float("inf"):
            raise UsageError(f"ridge must be a finite number above 0, not {ridge}")
        self.history = History(choices)
        self._evaluations, self.ridge = int(evaluations), float(ridge)
        self.rng = seeded_generator(seed)

    @property
    def evaluations(self) -> int:
        return self._evaluations

    def distribution(self) -> Distribution:
        r = self.history
        live = [np.ones(k, dtype=np.bool_) for k in self.choices]
        effects, stderr = fit_effects(r.samples, r.scores, r.cycles, r.choices, self.ridge).centred(live)
        return Distribution(self.law(), live, effects, stderr)

    def uniform(self) -> Rows:
        """Every op equally probable."""
        return [np.full(k, 1 / k) for k in self.choices]

    @abstractmethod
    def law(self) -> Rows:
        """Probabilities per choice."""

    @abstractmethod
    def _options(self) -> dict[str, Any]:
        """Settings other than those of this class: numbers and strings."""

    def _state(self) -> dict[str, Any]:
        """What the following asks depend on beside the records and the generator; plain values."""
        return {}

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `_state` gave, once the records are in place.

        Must check everything it reads before it changes anything; ValueError, KeyError or TypeError if it is broken.
        """

    def _header(self) -> dict[str, Any]:
        options = {"evaluations": self._evaluations, "ridge": self.ridge} | self._options()
        return {"hwnas_strategy": 1, "strategy": self.name, "choices": list(self.choices), "options": options}

    def state_dict(self) -> dict[str, Any]:
        return self._header() | {
            "records": self.history.state(), "generator": pack_generator(self.rng), **self._state()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        with reading_state():
            checked_header(state, self._header())
            records = History.from_state(self.choices, state["records"])
            rng = unpack_generator(state["generator"])
            held, self.history = self.history, records
            try:
                self._restore(state)
            except BaseException:
                self.history = held
                raise
        self.rng = rng


def incumbent_law(best: tuple[tuple[int, ...], float] | None, choices: Sequence[int]) -> Rows:
    """The law of a strategy that learns none: p_ik = (1 + [k = best_i]) / (K_i + 1), Laplace's rule after one
    observation; uniform before the first tell. Its mode is the best evaluated architecture."""
    if best is None:
        return [np.full(k, 1 / k) for k in choices]
    return [(1 + (np.arange(k) == x)) / (k + 1) for k, x in zip(choices, best[0], strict=True)]
