"""Which positions of a network give a value that another one gave already.

Two poolings without weights of one map are one, and so are two sums of the same maps: a runtime that merges common
subexpressions runs them once, so every network is built that way, for every runtime, and a latency counts them once.

Glossary
    value number    the same for two maps that are equal whatever the weights are (J. Cocke and J. Schwartz,
                    Programming Languages and Their Compilers, 1970)
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from hwnas.space.op import Op
from hwnas.space.position import INPUT, Edge


@dataclass(frozen=True)
class Execution:
    """What one live position does.

    Args:
        position: its number.
        reads: value number of its input.
        like: the first position that gives the same output; itself where it has to run.
        adds: the first position that adds the same output to the same sum, itself where it has to; None where its
            target holds nothing yet, or is a concatenation.
    """

    position: int
    reads: int
    like: int
    adds: int | None

    @property
    def runs(self) -> bool:
        """Whether no position before it gives its output."""
        return self.like == self.position


def executions(edges: Sequence[Edge], ops: Sequence[Op], live: Sequence[bool]) -> tuple[Execution, ...]:
    """What the live positions do, in network order."""
    numbers: dict[Hashable, int] = {}
    first: dict[Hashable, int] = {}
    held: dict[str, int] = {INPUT: 0}
    parts: dict[str, dict[tuple[int, int], int]] = {}
    found: list[Execution] = []

    def number(key: Hashable) -> int:
        return numbers.setdefault(key, len(numbers) + 1)

    for i, (edge, op) in enumerate(zip(edges, ops, strict=True)):
        if not live[i]:
            continue
        if edge.source in parts:
            held[edge.source] = number(("concat", *sorted(parts.pop(edge.source).items())))
        source = held.get(edge.source, -1)
        key: Hashable = (op.signature, source) if op.steps and not op.params else (i,)
        out = number(key) if op.steps else source
        like = first.setdefault(key, i) if op.steps else i
        adds = None
        if edge.part is not None:
            parts.setdefault(edge.target, {})[edge.part] = out
        elif edge.target in held:
            key = ("sum", *sorted((held[edge.target], out)))
            out, adds = number(key), first.setdefault(key, i)
            held[edge.target] = out
        else:
            held[edge.target] = out
        found.append(Execution(i, source, like, adds))
    return tuple(found)
