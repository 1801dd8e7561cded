"""What became of every budget or target of a run for several: facts, of whichever kind of run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class MadeNetwork:
    """The network of one budget.

    Args:
        model, report: where they are.
        met: of every budget whether it holds; None where that was not measured.
        kind: how its latency is known: 'measured', 'predicted' or 'estimated'.
        latency_ms: the median where it was measured; `predicted_ms`: what was predicted.
        share: of the latency of what percentages are of; beside it where both were measured.
        score: percent.
        flops, params: None where they were not counted.
        warnings, no_success, next: as in `hwnas.pipeline.report.summary.Summary`.
    """

    model: Path
    report: Path
    met: Sequence[bool | None]
    kind: str
    latency_ms: float
    predicted_ms: float
    share: float | None
    score: float
    precision: str
    size_bytes: int
    flops: int | None = None
    params: int | None = None
    warnings: Sequence[str] = ()
    no_success: str | None = None
    next: str | None = None


@dataclass(frozen=True)
class BudgetRow:
    """One of several budgets or targets.

    Args:
        name, run: of the folder of its own run, and where that is.
        budget, budgets: as it was asked for: for people, and cost -> text.
        limits: cost -> what it comes to, in words.
        made: what was reached; None where there is no network.
        error: why there is none; None where there is one, or where its turn has not come.
        same_as: folder of another budget that has the same network, which was trained there.
        seconds: of its own stages.
        target: of a run for several targets that of this network, as run.json describes it; None before it is known,
            and of a run for one. `origin`: where its latencies come from.
    """

    name: str
    run: Path
    budget: str
    budgets: Mapping[str, str]
    limits: Mapping[str, str]
    made: MadeNetwork | None = None
    error: str | None = None
    same_as: str | None = None
    seconds: float = 0.0
    target: Mapping[str, Any] | None = None
    origin: str = ""

    @property
    def why(self) -> str:
        """Why there is no network."""
        return self.error or "its turn has not come"

    @property
    def result(self) -> str:
        """'met', 'missed', 'not measured' or 'not made'."""
        if self.made is None:
            return "not made"
        return "missed" if False in self.made.met else "not measured" if None in self.made.met else "met"

    @property
    def kind(self) -> str:
        """How its latency is known; empty where there is no network."""
        return "" if self.made is None else self.made.kind

    @property
    def latency_ms(self) -> float | None:
        """Of its network."""
        return None if self.made is None else self.made.latency_ms

    @property
    def share(self) -> float | None:
        """Of what percentages are of."""
        return None if self.made is None else self.made.share


@dataclass(frozen=True)
class Overview:
    """What became of every budget or target of a run.

    Args:
        run, report: where they are.
        kind: what it is for several of: 'budgets' or 'targets'.
        data, target, origin: the data set in a line, the target as run.json describes it, where latencies come from; of
            several targets those of the first.
        metric, title: what scores are, and as a heading.
        source: what all networks are made from; `base`: what percentages are of, for people.
        reference_score: percent; `reference`: costs of what percentages are of.
        networks: in the order in which they were asked for.
        search_seconds: of what all share.
        created, versions, seed: of the run.
        together: what is said of one network for all targets; empty where each has its own.
    """

    run: Path
    report: Path
    kind: str
    data: str
    target: Mapping[str, Any]
    origin: str
    metric: str
    title: str
    source: str
    base: str
    reference_score: float
    reference: Mapping[str, Any]
    networks: Sequence[BudgetRow]
    search_seconds: float
    created: str
    versions: Mapping[str, str]
    seed: int
    together: str = ""

    @property
    def network_seconds(self) -> float:
        """Of all networks together."""
        return sum(row.seconds for row in self.networks)

    @property
    def origins(self) -> list[str]:
        """Where latencies come from that were not measured beside the network, each once."""
        found = [row.origin or self.origin for row in self.networks if row.made is not None and row.kind != "measured"]
        return list(dict.fromkeys(found)) or [self.origin]

    @property
    def following(self) -> list[str]:
        """The commands that have targets measured which were not, each once."""
        return list(dict.fromkeys(row.made.next for row in self.networks if row.made and row.made.next))

    @property
    def warnings(self) -> list[tuple[str, list[str]]]:
        """Each warning once, with the budgets that it is of; none are named where it is of all networks."""
        made = [(row.budget, row.made.warnings) for row in self.networks if row.made is not None]
        texts = dict.fromkeys(text for _, warnings in made for text in warnings)
        found = [(text, [budget for budget, warnings in made if text in warnings]) for text in texts]
        return [(text, [] if len(budgets) == len(made) else budgets) for text, budgets in found]
