"""Any strategy on the part of a space that a mask leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.errors import UsageError
from hwnas.search.distribution import Distribution, FloatArray
from hwnas.search.history import checked_choices
from hwnas.search.strategy import Ask, Choice, Failed, Score, Strategy

Build = Callable[[Sequence[int]], Strategy]


class Restricted(Strategy):
    """A strategy that never asks for a masked op: it works on the live ops alone, numbered anew.

    Its distribution has the masked ops dead, with effect 0.

    Args:
        choices: number of ops of each choice.
        live: per choice, whether each op may be asked for; at least one True.
        build: gives the strategy for so many ops per choice.

    Raises:
        UsageError: the mask has another shape, or a choice has nothing left.
    """

    def __init__(self, choices: Sequence[int], live: Sequence[Sequence[bool]], build: Build) -> None:
        self.choices = checked_choices(choices)
        shapes = tuple(len(row) for row in live)
        if shapes != self.choices:
            raise UsageError(f"live must have one flag per op ({list(self.choices)}), not {list(shapes)}")
        self._ops = [np.flatnonzero(np.asarray(row, dtype=np.bool_)) for row in live]
        empty = next((i for i, ops in enumerate(self._ops) if not len(ops)), None)
        if empty is not None:
            raise UsageError(f"choice {empty} has every op masked: leave at least one live")
        self._inner = build([len(ops) for ops in self._ops])

    @property
    def evaluations(self) -> int:
        return self._inner.evaluations

    @property
    def asked(self) -> int:
        return self._inner.asked

    @property
    def done(self) -> bool:
        return self._inner.done

    @property
    def best(self) -> tuple[Choice, float] | None:
        return self._translated(self._inner.best)

    @property
    def answer(self) -> tuple[Choice, float] | None:
        return self._translated(self._inner.answer)

    def _translated(self, found: tuple[Choice, float] | None) -> tuple[Choice, float] | None:
        return None if found is None else (self._outside(found[0]), found[1])

    @property
    def pending(self) -> list[Ask]:
        return [Ask(ask.id, self._outside(ask.choice)) for ask in self._inner.pending]

    def _ask(self, n: int) -> list[Ask]:
        return [Ask(ask.id, self._outside(ask.choice)) for ask in self._inner.ask(n)]

    def _tell(self, ask: int, answer: Score | Failed) -> None:
        self._inner.tell(ask, answer)

    def distribution(self) -> Distribution:
        law = self._inner.distribution()
        return Distribution(
            [self._spread(row, i) for i, row in enumerate(law.probabilities)],
            [self._spread(row.astype(np.float64), i) > 0 for i, row in enumerate(law.live)],
            [self._spread(row, i) for i, row in enumerate(law.effects)],
            [self._spread(row, i) for i, row in enumerate(law.stderr)],
        )

    def state_dict(self) -> dict[str, Any]:
        return self._inner.state_dict() | {"masked": [ops.tolist() for ops in self._ops]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        held = state.get("masked") if isinstance(state, Mapping) else None
        fits = held == [ops.tolist() for ops in self._ops]
        self._inner.load_state_dict(state if fits else {})

    def _outside(self, choice: Sequence[int]) -> Choice:
        return tuple(int(ops[k]) for ops, k in zip(self._ops, choice, strict=True))

    def _spread(self, row: FloatArray, i: int) -> FloatArray:
        out = np.zeros(self.choices[i])
        out[self._ops[i]] = row
        return out
