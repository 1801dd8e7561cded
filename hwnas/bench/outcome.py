"""What one search came to at one number of evaluations: a line of regret.jsonl."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from hwnas.validation import MOST_OPS, Count, Schema, checked

Figure = Annotated[float, Field(ge=-1e9, le=1e9)]


class OutcomeSchema(Schema):
    """The keys of a line of regret.jsonl beside those that say whose outcome it is."""

    seed: Count
    evaluations: Count
    spent: Count
    choice: Annotated[list[Annotated[int, Field(ge=0, le=1023)]], Field(max_length=MOST_OPS)]
    signal: Figure
    truth: Figure
    regret: Figure
    limit: Figure | None


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
        """Read what `to_json` wrote among other keys.

        Raises:
            InputError: a key is missing, of another type or out of range.
        """
        found = checked(OutcomeSchema, value, "the outcome")
        return cls(found.seed, found.evaluations, found.spent, tuple(found.choice), found.signal, found.truth,
                   found.regret, found.limit)
