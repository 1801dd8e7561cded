"""Architectures as a search answers a question, and how they show themselves."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from hwnas.pipeline.config.budget import show
from hwnas.space import Architecture

COSTS = ("latency", "flops", "params", "memory")


@dataclass(frozen=True, repr=False)
class Answer:
    """An architecture with what it should reach and cost.

    Args:
        architecture: within every budget.
        predicted_score: percent on the held-out part of the training set, with shared weights.
        costs: name -> total, in the units of `hwnas.pipeline.config.budget`.
        precisions: position -> its precision, where they have several.
        lost: points that these precisions are expected to cost.
    """

    architecture: Architecture
    predicted_score: float
    costs: dict[str, float]
    precisions: Mapping[str, str] | None = None
    lost: float = 0.0

    def __repr__(self) -> str:
        """One line."""
        costs = ", ".join(f"{name} {show(name, self.costs[name])}" for name in COSTS if name in self.costs)
        return (f"<Answer: score {self.predicted_score:.2f} % predicted, {costs}, choice "
                f"{self.architecture.choice}>")

    @property
    def several(self) -> bool:
        """Whether what is executed of it has more than one precision."""
        arch, plan = self.architecture, self.precisions or {}
        return len({plan[p.name] for p, op, live in zip(arch.space.positions, arch.ops, arch.live, strict=True)
                    if live and op.steps and p.name in plan}) > 1

    @property
    def predicted_accuracy(self) -> float:
        """`predicted_score` under its name of 0.1, for one version more."""
        warnings.warn("Answer.predicted_accuracy is now Answer.predicted_score", DeprecationWarning, stacklevel=2)
        return self.predicted_score

    def to_json(self) -> dict[str, Any]:
        """As JSON; keys are those of 0.1."""
        return {
            "architecture": self.architecture.to_json(),
            "predicted_accuracy": self.predicted_score,
            "costs": self.costs,
        } | ({} if self.precisions is None else {"precisions": dict(self.precisions), "lost": self.lost})


class Answers(list[Answer]):
    """Answers, best first, which show themselves as a table."""

    def __repr__(self) -> str:
        """A table, best first."""
        rows = [["#", "score", *COSTS, "choice"], *_cells(self)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
                         for row in rows)

    def _repr_html_(self) -> str:
        """The same for a notebook."""
        head = "".join(f"<th>{escape(name)}</th>" for name in ("#", "score", *COSTS, "choice"))
        body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in _cells(self))
        return f"<table><caption>predicted, best first</caption><tr>{head}</tr>{body}</table>"


def _cells(answers: Sequence[Answer]) -> list[list[str]]:
    return [[str(i), f"{a.predicted_score:.2f} %", *(show(name, a.costs[name]) for name in COSTS),
             " ".join(map(str, a.architecture.choice))] for i, a in enumerate(answers, 1)]


def told_positions(precisions: Mapping[str, str]) -> str:
    """What has which precision, of a network that has several; empty for one that has not."""
    by_precision: dict[str, list[str]] = {}
    for position, precision in precisions.items():
        by_precision.setdefault(precision, []).append(position)
    return "; ".join(f"{precision}: {', '.join(names)}" for precision, names in sorted(by_precision.items()))
