"""Random search: the baseline every result of a search is held against, at the same number of evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.errors import UsageError
from hwnas.search.distribution import Distribution
from hwnas.search.effects import fit_effects
from hwnas.search.records import (
    Choice,
    RecordingStrategy,
    Records,
    checked_header,
    is_whole,
    pack_generator,
    reading_state,
    seeded_generator,
    unpack_generator,
)


class RandomSearch(RecordingStrategy):
    """Uniform independent draws; repeats are possible.

    The distribution's mode is the best evaluated architecture: p_ik = (1 + [k = best_i]) / (K_i + 1), Laplace's rule
    after one observation, and uniform before the first tell. Effects and errors come from the same regression as
    MIGO's, with one mean for the whole run: on a supernet that keeps training they carry its drift.

    Args:
        choices: number of ops of each choice.
        evaluations: how many architectures to draw.
        seed: of the private generator.
        ridge: prior precision of the reported effects, in samples.

    Raises:
        UsageError: a setting out of range; the message says which.
    """

    def __init__(self, choices: Sequence[int], evaluations: int, seed: int = 0, *, ridge: float = 10.0) -> None:
        if not is_whole(evaluations) or evaluations < 1:
            raise UsageError(f"evaluations must be a whole number of at least 1, not {evaluations}")
        if not 0 < ridge < float("inf"):
            raise UsageError(f"ridge must be a finite number above 0, not {ridge}")
        self._records = Records(choices)
        self._evaluations, self._ridge = int(evaluations), float(ridge)
        self._rng = seeded_generator(seed)

    @property
    def evaluations(self) -> int:
        return self._evaluations

    def _draw(self) -> Choice:
        return tuple(self._rng.integers(self.choices).tolist())

    def tell(self, choice: Sequence[int], score: float) -> None:
        self._records.settle(choice, score, cycle=0)

    def distribution(self) -> Distribution:
        r = self._records
        live = [np.ones(k, dtype=np.bool_) for k in self.choices]
        effects, stderr = fit_effects(r.samples, r.scores, r.cycles, r.choices, self._ridge).centred(live)
        law = [np.full(k, 1 / k) for k in self.choices]
        if r.best is not None:
            law = [(1 + (np.arange(k) == x)) / (k + 1) for k, x in zip(self.choices, r.best[0], strict=True)]
        return Distribution(law, live, effects, stderr)

    def _header(self) -> dict[str, Any]:
        options = {"evaluations": self._evaluations, "ridge": self._ridge}
        return {"hwnas_strategy": 1, "strategy": "random", "choices": list(self.choices), "options": options}

    def state_dict(self) -> dict[str, Any]:
        return self._header() | {"records": self._records.state(), "generator": pack_generator(self._rng)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        with reading_state():
            checked_header(state, self._header())
            records = Records.from_state(self.choices, state["records"])
            rng = unpack_generator(state["generator"])
        self._records, self._rng = records, rng
