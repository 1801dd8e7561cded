"""What competes for a budget: architectures, each in a precision and of a variant, and what was found of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from hwnas.pipeline.selection.answers import Answer
from hwnas.runtime import Measurement
from hwnas.space import FULL, Variant
from hwnas.target import NetworkPrecision

FP32 = "fp32"
MARGIN = 0.99  # what is made must measure at most this share of the budget, so that the final check holds
ROOM = 0.95  # where nine in ten candidates take less than this of what was predicted, the budget is asked for anew
MOSTLY = 0.9  # of candidates, what is taken to be a prediction's error: the next ones are to be within the budget, too
TRIES = 3  # budgets that are asked for, each tighter than the one before, until something measures within the first


class Configuration(NamedTuple):
    """What competes with others for the same budget."""

    precision: NetworkPrecision
    variant: Variant

    def __str__(self) -> str:
        return self.precision if self.variant == FULL else f"{self.precision} at {self.variant.told}"


Key = tuple[Variant, tuple[int, ...]]
"""A variant and a choice."""


@dataclass(frozen=True)
class Candidate:
    """An architecture in a precision.

    Args:
        kind: its precision and variant.
        timing: as measured; None where the device is not at hand.
        fp32_timing: of the same network in fp32 in the same run, where several precisions compete.
        used: what it takes of the latency budget, as measured; the largest share of all targets that it is for.
    """

    kind: Configuration
    answer: Answer
    timing: Measurement | None = None
    fp32_timing: Measurement | None = None
    used: float = 0.0

    @property
    def precision(self) -> NetworkPrecision:
        return self.kind.precision

    @property
    def precisions(self) -> Mapping[str, str] | None:
        """Position -> precision, where they differ."""
        return self.answer.precisions

    @property
    def choice(self) -> tuple[int, ...]:
        return self.answer.architecture.choice

    @property
    def network(self) -> Key:
        """What is built, whatever precision it is in."""
        return self.kind.variant, self.choice

    @property
    def built(self) -> tuple[Key, tuple[tuple[str, str], ...]]:
        """The network, and the precisions of its positions where they differ."""
        return self.network, tuple((self.precisions or {}).items())

    @property
    def ratio(self) -> float:
        """Measured over predicted latency; 0 where one of them is not known."""
        predicted = self.answer.costs["latency"] / 1e6
        return self.timing.median_ms / predicted if self.timing and predicted > 0 else 0.0

    @property
    def slower_than_fp32(self) -> bool:
        """Whether the lower precision was measured to gain nothing."""
        both = self.timing is not None and self.fp32_timing is not None
        return both and self.timing.median_ms > self.fp32_timing.median_ms  # type: ignore[union-attr]


@dataclass
class Selection:
    """What was found within the budgets.

    Args:
        candidates: in the order of the kinds, each by predicted score.
        references: precision -> latency of the reference, from the last run in turns; empty where nothing was timed.
        bounds: kind -> bounds that the last candidates were solved for.
        tighten: kind -> factor on its latency budget, as the table was asked with it; above 1 where it says too much.
        notes: kind -> why it is out.
        timed: kind -> all candidates that were timed in turns with those, whether within the budget or not.
    """

    candidates: list[Candidate] = field(default_factory=list)
    references: dict[str, Measurement] = field(default_factory=dict)
    bounds: dict[Configuration, dict[str, float]] = field(default_factory=dict)
    tighten: dict[Configuration, float] = field(default_factory=dict)
    notes: dict[Configuration, str] = field(default_factory=dict)
    timed: dict[Configuration, list[Candidate]] = field(default_factory=dict)
