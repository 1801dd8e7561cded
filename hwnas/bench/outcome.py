"""What one search came to at one number of evaluations: a line of regret.jsonl."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """The answer of one search and its regret.

    Args:
        seed: of the search.
        evaluations: how many were allowed.
        spent: how many were made.
        choice: the evaluated architecture that the strategy answers with.
        signal: what the search saw of it.
        truth: what it is judged by.
        regret: best truth of the benchmark minus `truth`.
        limit: regret of the architecture with the best signal of all, as this seed saw it; None where unknown.
    """

    seed: int
    evaluations: int
    spent: int
    choice: tuple[int, ...]
    signal: float
    truth: float
    regret: float
    limit: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values; floats survive the round trip exactly."""
        return dataclasses.asdict(self) | {"choice": list(self.choice)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Outcome:
        """Read what `to_json` wrote among other keys; KeyError, TypeError or ValueError if it is not that."""
        limit = value["limit"]
        return cls(
            int(value["seed"]), int(value["evaluations"]), int(value["spent"]),
            tuple(int(op) for op in value["choice"]), float(value["signal"]), float(value["truth"]),
            float(value["regret"]), None if limit is None else float(limit),
        )
