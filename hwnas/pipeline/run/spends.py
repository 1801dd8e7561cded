"""Budgets on what cannot be added up over ops: what they leave for what can, after measurements.

The exact solver adds up latencies and parameters. A 99th percentile, millijoules, the memory of a process and bytes of
a file are not such sums, but nearly lines in them: measured of two networks of the space, the reference and the
smallest, a line through both says what a budget leaves. What ships is measured itself, and where that is over the
budget, the budget is tightened, as it is for latency.

Glossary
    x   the base: median latency of a call, ns, or parameters of the network
    y   what is spent, in the unit inside of the budget (`hwnas.pipeline.config.budget`); of the memory of a process
        without the activations that are alive at once, which are counted
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from hwnas.errors import UsageError
from hwnas.pipeline.config.budget import called
from hwnas.pipeline.run.result_parts import Part
from hwnas.runtime.spending import ENERGY, FILE_SIZE, P99, PEAK_MEMORY

Base = Literal["latency", "params"]
BASES: dict[str, Base] = {P99: "latency", ENERGY: "latency", PEAK_MEMORY: "params", FILE_SIZE: "params"}


class Line(Part):
    """y = intercept + slope x, from two networks.

    Args:
        intercept: not below 0: a line that would be is the one through 0 and the larger network, which says too little
            of the smaller ones.
    """

    intercept: Annotated[float, Field(ge=0, le=1e18)]
    slope: Annotated[float, Field(ge=0, le=1e18)]

    @classmethod
    def through(cls, large: tuple[float, float], small: tuple[float, float]) -> Line:
        """Through (x, y) of two networks; through the first and 0 where chance has bent it the wrong way."""
        (x, y), (x0, y0) = large, small
        slope = (y - y0) / (x - x0) if x > x0 else math.inf
        intercept = y - slope * x
        if 0 <= slope < math.inf and intercept >= 0:
            return cls(intercept=intercept, slope=slope)
        return cls(intercept=0.0, slope=max(y, 0.0) / x if x > 0 else 0.0)

    def at(self, x: float) -> float:
        """y of a network."""
        return self.intercept + self.slope * x

    def most(self, y: float) -> float:
        """The largest x within y: below 0 where even nothing is too much, infinite where x does not matter."""
        if self.slope == 0:
            return math.inf if y >= self.intercept else -1.0
        return (y - self.intercept) / self.slope


@dataclass(frozen=True)
class Spends:
    """How budgets are turned into bounds of what the solver adds up, in one precision.

    Args:
        batch: images of a call.
        lines: budget -> its line; of those that were measured.
        tightened: budget -> factor, after a result measured over it.
    """

    batch: int = 1
    lines: Mapping[str, Line] = field(default_factory=dict)
    tightened: Mapping[str, float] = field(default_factory=dict)

    def line(self, name: str) -> Line:
        """Raises UsageError where it was not measured."""
        if name not in self.lines:
            raise UsageError(f"--{name.replace('_', '-')}: what networks take of {called(name)} was not measured in "
                             "this run: begin one that does with `hwnas compress --from RUN` and this budget, on the "
                             "device itself")
        return self.lines[name]


NOTHING_MEASURED = Spends()


class Bounds(dict[str, float]):
    """Upper bounds of what the solver adds up: the least of all that was asked.

    Attributes:
        because: name -> the budget that it comes from, where that is another one.
    """

    def __init__(self, given: Mapping[str, float] | None = None, because: Mapping[str, str] | None = None) -> None:
        super().__init__(given or {})
        self.because = dict(because or {})

    def take(self, name: str, most: float, because: str | None = None) -> None:
        """One more upper bound; an infinite one is none."""
        if most >= self.get(name, math.inf):
            return
        self[name] = most
        self.because.pop(name, None)
        if because is not None:
            self.because[name] = because
