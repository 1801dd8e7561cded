"""An estimated latency model; it knows what adding up costs where several ops of a cell write one node.

What an op gives as the first term of a node is the node; every further term is added. A measured model charges every
addition as an `identity`; an estimate can tell what adds up in its own kernel. In a chain there is one term everywhere
and nothing to add.

Glossary
    term   the how-manieth live op that writes its node, from 0
    run    the ops that a runtime executes, each with its term
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from hwnas.latency.model import LatencyModel, Prediction
from hwnas.space import Architecture, Op, Space

SOURCE = "estimated"
Run = tuple[tuple[Op, int], ...]


def run_of(arch: Architecture) -> Run:
    """What a runtime executes of an architecture: live ops that cost something, in network order.

    An identity that is the first term is left out: its node is what it reads.
    """
    terms: Counter[str] = Counter()
    found = []
    for edge, op, live in zip(arch.space.edges, arch.ops, arch.live, strict=True):
        if not live:
            continue
        term = terms[edge.target]
        terms[edge.target] += edge.part is None
        if op.timed and not (op.passes and term == 0):
            found.append((op, term))
    written = {arch.space.edges[step.position].target for step in arch.executions}
    found += [(op, 0) for node, op in arch.space.concatenations.items() if node in written]
    return tuple(found)


@dataclass(frozen=True)
class EstimatedModel(LatencyModel, key="terms_ms"):
    """A latency model whose entries were estimated.

    Args:
        terms_ms: signature -> what the op costs more as the second term of its node, and as a later one; never
            negative, so that a sum over choices, which cannot see dead ops, stays an upper bound.
    """

    terms_ms: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def predict(self, arch: Architecture) -> Prediction:
        """Latency of an architecture; the band is that of the calibration.

        Raises:
            MissingEntry: an op has no entry.
        """
        plain = super().predict(arch)
        if not self.terms_ms:
            return plain
        latency = self.run_ms(run_of(arch))
        spread = plain.high_ms / plain.latency_ms if plain.latency_ms > 0 else 1.0
        return replace(plain, latency_ms=latency, low_ms=latency / spread, high_ms=latency * spread)

    def run_ms(self, run: Run) -> float:
        """Latency of what was executed, ms.

        Raises:
            MissingEntry: an op has no entry.
        """
        return max(self.calibration.b_ms + sum(self.op_cost_ms(op) + self.term_ms(op, term) for op, term in run), 0.0)

    def term_ms(self, op: Op, term: int) -> float:
        """What an op costs more than as the first term, ms."""
        later = self.terms_ms.get(op.signature, (0.0, 0.0))
        return later[min(term, 2) - 1] if term else 0.0

    def _amounts(self, space: Space) -> tuple[tuple[float, float], list[list[tuple[float, float]]]]:
        fixed, rows = self.calibration.b_ms, [[0.0] * n for n in space.sizes]
        for ops, choice, term in _terms(space):
            costs = [self._placed_ms(op, term) for op in ops]
            if choice is None:
                fixed += costs[0]
            else:
                rows[choice] = [known + cost for known, cost in zip(rows[choice], costs, strict=True)]
        return (fixed, 0.0), [[(cost, 0.0) for cost in row] for row in rows]

    def _placed_ms(self, op: Op, term: int) -> float:
        free = not op.timed or (op.passes and term == 0)
        return 0.0 if free else self.op_cost_ms(op) + self.term_ms(op, term)

    def to_json(self) -> dict[str, Any]:
        """Everything needed to predict again."""
        return {**super().to_json(), "terms_ms": {k: list(v) for k, v in self.terms_ms.items()}}

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
        return cls(**kept, terms_ms=terms)


def _terms(space: Space) -> Iterator[tuple[tuple[Op, ...], int | None, int]]:
    """(candidates, choice, term) of every position, the term as if every op before it were there."""
    terms: Counter[str] = Counter()
    for position, edge, choice in zip(space.positions, space.edges, space.choice_of, strict=True):
        yield position.ops, choice, terms[edge.target]
        terms[edge.target] += edge.part is None
    for op in space.concatenations.values():
        yield (op,), None, 0
