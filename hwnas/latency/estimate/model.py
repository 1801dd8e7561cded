"""An estimated latency model; it knows what adding up costs where several ops of a cell write one node.

What an op gives as the first term of a node is the node; every further term is added. A measured model charges every
addition as an `identity`; an estimate can tell what adds up in its own kernel. In a chain there is one term everywhere
and nothing to add.

Glossary
    term, run   as in `hwnas.latency.estimate.rules`
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from hwnas.latency.estimate.rules import COMPILED, Rule, Run, eager_parts, run_of, terms_of
from hwnas.latency.model import LatencyModel, Prediction
from hwnas.space import Architecture, Op, Space

__all__ = ["SOURCE", "EstimatedModel", "Run", "run_of"]

SOURCE = "estimated"
Amounts = tuple[tuple[float, float], list[list[tuple[float, float]]]]  # as `LatencyModel._amounts` gives them


@dataclass(frozen=True)
class EstimatedModel(LatencyModel, key="terms_ms"):
    """A latency model whose entries were estimated.

    Args:
        terms_ms: signature -> what the op costs more as the second term of its node, and as a later one; never
            negative, so that a sum over choices, which cannot see dead ops, stays an upper bound.
        rule: what is executed of a network. Under `shared` a prediction is of the network that was measured in its
            place, and a sum over choices of the network itself.
        ways: models whose latencies add up to this one's where nobody said how networks are executed
            (`hwnas.latency.estimate.unsaid`); none where `rule` says it.
    """

    terms_ms: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    rule: Rule = COMPILED
    ways: tuple[EstimatedModel, ...] = ()

    def under(self, rule: Rule) -> EstimatedModel:
        """The same costs where another rule of execution holds: `compiled` is what an export of hwnas would take.

        What an addition costs in a kernel of its own is known of an eager framework alone, as an `identity`.
        """
        return replace(self, rule=rule, ways=())

    def at_speed(self, factor: float) -> EstimatedModel:
        """The same for a device that takes `factor` times as long for everything."""
        terms = {signature: (factor * second, factor * later) for signature, (second, later) in self.terms_ms.items()}
        return replace(self, calibration=self.calibration.at_speed(factor), terms_ms=terms,
                       ways=tuple(way.at_speed(factor) for way in self.ways))

    def predict(self, arch: Architecture) -> Prediction:
        """Latency of an architecture; the band is that of the calibration.

        Raises:
            MissingEntry: an op has no entry.
        """
        if not self.terms_ms and self.rule == COMPILED and not self.ways:
            return super().predict(arch)
        latency, spread = self._latency_ms(arch), math.exp(self.calibration.log_spread)
        return Prediction(latency, latency / spread, latency * spread, float(self.source == "measured"))

    def _latency_ms(self, arch: Architecture) -> float:
        if self.ways:
            return sum(way.run_ms(run_of(arch, way.rule)) for way in self.ways)
        return self.run_ms(run_of(arch, self.rule))

    def run_ms(self, run: Run) -> float:
        """Latency of what was executed, ms; by this model's own costs, whatever its ways are.

        Raises:
            MissingEntry: an op has no entry.
        """
        return max(self.calibration.b_ms + sum(self.op_cost_ms(op) + self.term_ms(op, term) for op, term in run), 0.0)

    def term_ms(self, op: Op, term: int) -> float:
        """What an op costs more than as the first term, ms."""
        later = self.terms_ms.get(op.signature, (0.0, 0.0))
        return later[min(term, 2) - 1] if term else 0.0

    def op_cost_ms(self, op: Op) -> float:
        """What an op adds to the latency of a network; a `none` where it is a kernel.

        Raises:
            MissingEntry: the op has no entry.
        """
        return self.entries_ms.get(op.signature, 0.0) if op.cuts else super().op_cost_ms(op)

    def mean_ms(self, space: Space) -> float:
        """Latency of a network whose every choice is the mean of its ops, dead ones too."""
        (fixed, _), rows = self._amounts(space)
        return fixed + sum(sum(cost for cost, _ in row) / len(row) for row in rows)

    def _amounts(self, space: Space) -> Amounts:
        if self.ways:
            return _added([way._amounts(space) for way in self.ways])
        fixed, rows = self.calibration.b_ms, [[0.0] * n for n in space.sizes]
        for ops, choice, term in _terms(space):
            costs = [self._placed_ms(op, term) for op in ops]
            if choice is None:
                fixed += costs[0]
            else:
                rows[choice] = [known + cost for known, cost in zip(rows[choice], costs, strict=True)]
        return (fixed, 0.0), [[(cost, 0.0) for cost in row] for row in rows]

    def _placed_ms(self, op: Op, term: int) -> float:
        """At most what an op costs at its place, whatever the others are."""
        if self.rule in ("eager", "shared"):
            return sum(map(self.op_cost_ms, eager_parts(op, term)))
        free = not op.timed or (op.passes and term == 0)
        return 0.0 if free else self.op_cost_ms(op) + self.term_ms(op, term)

    def to_json(self) -> dict[str, Any]:
        """Everything needed to predict again."""
        ways = {"ways": [way.to_json() for way in self.ways]} if self.ways else {}
        return {**super().to_json(), "terms_ms": {k: list(v) for k, v in self.terms_ms.items()}, "rule": self.rule,
                **ways}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> EstimatedModel:
        """Read `to_json` back.

        Raises:
            InputError: another schema, a field is missing or malformed.
        """
        made = super().from_json(data)
        terms = {signature: (float(second), float(later)) for signature, (second, later)
                 in data.get("terms_ms", {}).items()}  # checked above, with the rest
        kept = {f.name: getattr(made, f.name) for f in fields(LatencyModel)}
        ways = tuple(cls.from_json({k: v for k, v in way.items() if k != "ways"}) for way in data.get("ways", ()))
        return cls(**kept, terms_ms=terms, rule=data.get("rule", COMPILED), ways=ways)


def _added(parts: Sequence[Amounts]) -> Amounts:
    fixed = sum(cost for (cost, _), _ in parts)
    rows = [[sum(cost for cost, _ in costs) for costs in zip(*row, strict=True)]
            for row in zip(*(rows for _, rows in parts), strict=True)]
    return (fixed, 0.0), [[(cost, 0.0) for cost in row] for row in rows]


def _terms(space: Space) -> Iterator[tuple[tuple[Op, ...], int | None, int]]:
    """(candidates, choice, term) of every position, the term as if every op before it were there."""
    for position, choice, term in zip(space.positions, space.choice_of, terms_of(space), strict=True):
        yield position.ops, choice, term
    for op in space.concatenations.values():
        yield (op,), None, 0
