"""Which positions of a network give a value that another one gave already.

Two poolings without weights of one map are one, and so are two sums of the same maps: a runtime that merges common
subexpressions runs them once, so every network is built that way, for every runtime, and a latency counts them once.

Where positions differ in precision, a map that is wanted in another one is changed, once for all that want it so:

- an op reads its map in its own precision and gives one in it; one without work passes its map on in it;
- a node is held in the precision of the first live position that writes it: what others give is changed to that, added
  or put beside in that;
- the image is there in any precision, and an output is wanted in any: what the ends of a network cost is no change
  between two ops, and was there when whole networks of one precision were timed.

Glossary
    value number    the same for two maps that are equal whatever the weights are (J. Cocke and J. Schwartz,
                    Programming Languages and Their Compilers, 1970), and in one precision
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from hwnas.space.change import Change
from hwnas.space.graph import shape_in, shape_out
from hwnas.space.op import Op
from hwnas.space.position import INPUT, Edge
from hwnas.target import Precision


@dataclass(frozen=True)
class Execution:
    """What one live position does.

    Args:
        position: its number.
        reads: value number of its input.
        like: the first position that gives the same output; itself where it has to run.
        adds: the first position that adds the same output to the same sum, itself where it has to; None where its
            target holds nothing yet, or is a concatenation.
        precision: in which it runs; None where all positions have one, which is not said.
        held: the precision of its target, in which it is added.
        changes: of the maps that it reads and gives, those that no position before it needed.
    """

    position: int
    reads: int
    like: int
    adds: int | None
    precision: Precision | None = None
    held: Precision | None = None
    changes: tuple[Change, ...] = ()

    @property
    def runs(self) -> bool:
        """Whether no position before it gives its output."""
        return self.like == self.position


def executions(edges: Sequence[Edge], ops: Sequence[Op], live: Sequence[bool],
               precisions: Sequence[Precision] | None = None, *, merged: bool = True) -> tuple[Execution, ...]:
    """What the live positions do, in network order.

    Args:
        precisions: of every position; None where all have the same.
        merged: whether what was computed before is taken again. Not where positions run something else than `ops`.
    """
    values, held = _Values(), {INPUT: 0}
    first: dict[Hashable, int] = {}
    parts: dict[str, dict[tuple[int, int], int]] = {}
    found: list[Execution] = []
    for i, (edge, op) in enumerate(zip(edges, ops, strict=True)):
        if not live[i]:
            continue
        own = precisions[i] if precisions is not None else None
        if edge.source in parts:
            joined = sorted(parts.pop(edge.source).items())
            held[edge.source] = values.number(("concat", *joined), values.precision.get(joined[0][1]))
        source = values.changed(held.get(edge.source, -1), own, shape_in(op))
        key: Hashable = (op.signature, source) if merged and op.steps and not op.params else (i,)
        out = values.number(key, own) if op.steps or not merged else source
        like = first.setdefault(key, i) if op.steps else i
        adds = None
        if edge.part is not None:
            beside = parts.setdefault(edge.target, {})
            into = values.precision.get(min(beside.items())[1], own) if beside else own
            beside[edge.part] = values.changed(out, into, shape_out(op))
        elif edge.target in held:
            into = values.precision.get(held[edge.target], own)
            out = values.changed(out, into, shape_out(op))
            key = ("sum", *sorted((held[edge.target], out)))
            out, adds = values.number(key, into), first.setdefault(key, i)
            held[edge.target] = out
        else:
            into, held[edge.target] = own, out
        found.append(Execution(i, source, like, adds, own, into, values.taken()))
    return tuple(found)


@dataclass
class _Values:
    """The numbers of the values of one network.

    Attributes:
        precision: value number -> its precision, where precisions are said.
    """

    precision: dict[int, Precision] = field(default_factory=dict)
    _numbers: dict[Hashable, int] = field(default_factory=dict)
    _changes: list[Change] = field(default_factory=list)

    def number(self, key: Hashable, precision: Precision | None) -> int:
        """Of the value that `key` says how it is made."""
        value = self._numbers.setdefault(key, len(self._numbers) + 1)
        if precision is not None:
            self.precision[value] = precision
        return value

    def changed(self, value: int, into: Precision | None, shape: tuple[int, ...]) -> int:
        """The number of a value in a precision; what has to be changed for that is noted once."""
        before = self.precision.get(value)
        if into in (None, before):
            return value
        key = ("change", value, into)
        if before is not None and into is not None and key not in self._numbers:
            self._changes.append(Change(before, into, shape))
        return self.number(key, into)

    def taken(self) -> tuple[Change, ...]:
        """The changes noted since the last call."""
        changes, self._changes = tuple(self._changes), []
        return changes
