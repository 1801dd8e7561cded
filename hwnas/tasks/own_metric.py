"""A user's metric: a function that says how good outputs are, in place of the figure of the task.

    def f2(outputs, truth):            # --metric my_metrics:f2, or the entry point `hwnas.metrics`
        ...
        return 100 * score             # percent; more is better

Breakdown, agreement and what a model stores stay those of the task: a bundle and `hwnas verify` need no module of the
user, and tell the task's own figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast

import numpy as np

from hwnas.errors import UsageError
from hwnas.plugins import Plugins
from hwnas.tasks.breakdown import Breakdown
from hwnas.tasks.metric import Array, Arrays, Batches, Metric, Outputs
from hwnas.tasks.standing import Standing

METRICS = Plugins("metric", "hwnas.metrics", {})
RULE = "a metric is a function that is called with (outputs, truth) and gives percent, more is better"


class OwnFunction(Protocol):
    """What a user writes."""

    def __call__(self, outputs: Array | list[Array], truth: Arrays) -> float:
        """Percent; more is better.

        Args:
            outputs: of all images in order, (N, ...) float32; of a network with several outputs a list of such.
            truth: the arrays of the task's metric: `labels` (N,) of classify, (N, K) of multilabel, ...
        """


def metric_of(name: str) -> OwnFunction:
    """A user's metric; raises UnknownName, UsageError as `Plugins.own`."""
    return cast(OwnFunction, METRICS.own(name, 2, RULE))


@dataclass(frozen=True, eq=False)
class OwnMetric(Metric):
    """A user's figure over the truth of a task.

    Args:
        base: the metric of the task.
        given: what `--metric` named; the figure is called by its last word.
    """

    base: Metric
    given: str

    @property
    def task(self) -> str:  # type: ignore[override]
        return self.base.task

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.given.rpartition(":")[2]

    @property
    def relative(self) -> bool:  # type: ignore[override]
        return self.base.relative

    @property
    def least_agreement(self) -> float:  # type: ignore[override]
        return self.base.least_agreement

    @property
    def counts_images(self) -> bool:
        """A user's figure need not count images one by one."""
        return False

    def score(self, batches: Iterable[Outputs]) -> float:
        """Raises UsageError where the function gives anything but a finite number of at most 100."""
        every = list(batches)
        joined = [np.concatenate([outputs[i] for outputs in every]) for i in range(len(every[0]))]
        found = metric_of(self.given)(joined[0] if len(joined) == 1 else joined, self.base.arrays())
        try:
            value = float(found)
        except (TypeError, ValueError):
            raise UsageError(f"--metric {self.given} gave {found!r:.100}: {RULE}") from None
        if not math.isfinite(value) or value > 100:
            raise UsageError(f"--metric {self.given} gave {value}: {RULE}, so at most 100; an error is told as the "
                             "share that is taken off it")
        return value

    def breakdown(self, batches: Iterable[Outputs], classes: Sequence[str]) -> Breakdown:
        """That of the task, with this score above it."""
        every = list(batches)
        found, score = self.base.breakdown(every, classes), self.score(every)
        theirs = found.standing
        told = f"{theirs.metric} {theirs.score:.2f} %" + (f", {theirs.told}" if theirs.told else "")
        return replace(found, compare=None, standing=Standing(self.name, score, len(self), never=theirs.never,
                                                              level=theirs.level, told=told, verdict=theirs.verdict))

    def agreement(self, exact: Batches, found: Batches) -> float:
        return self.base.agreement(exact, found)

    def first(self, count: int) -> OwnMetric:
        return OwnMetric(self.base.first(count), self.given)

    def arrays(self) -> Arrays:
        return self.base.arrays()

    def facts(self) -> dict[str, Any]:
        return self.base.facts()

    def __len__(self) -> int:
        return len(self.base)
