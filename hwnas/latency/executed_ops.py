"""What a runtime executes for an architecture, as ops that a table has entries for.

In a chain these are the ops of all positions that are no skip. In a graph, five things are different:

- an op that gives something nobody reads is not exported, and one that no image reaches is folded into constants:
  neither costs anything;
- an identity costs nothing by itself; but every further op that writes a node has to be added to what is there. The
  entry of an identity is what such an addition costs, so an addition stands here as an identity of its shape;
- a pooling or a sum that was computed before costs nothing (`hwnas.space.execution`);
- a node that is a concatenation is put together once, whatever lies on it: one op of kind `concat`, where any position
  that writes it is executed;
- a sum over choices knows none of this, since it depends on several choices. It charges every op, and an addition for
  every op but those that stand first at their node: never less than what is executed.

Where positions differ in precision, every op and every addition has one, and a map that goes from one to another is
changed between them (`hwnas.space.execution` says which and how often).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hwnas.space import Act, Architecture, Change, Op, Space
from hwnas.space.execution import Execution, executions
from hwnas.target import Precision


@dataclass(frozen=True)
class Executed:
    """What a runtime executes for an architecture.

    Args:
        ops: in network order, repeats included, each with its precision; None where all positions have one.
        changes: of precision, repeats included.
        shared: ops that activate a map before they read it, where an op before them activated the same map. Each has an
            activation in its entry that a runtime which merges common subexpressions does not run.
    """

    ops: tuple[tuple[Op, Precision | None], ...] = ()
    changes: tuple[Change, ...] = ()
    shared: tuple[tuple[Op, Precision | None], ...] = ()


def executed(arch: Architecture, precisions: Sequence[Precision] | None = None) -> Executed:
    """What is executed for an architecture.

    Args:
        precisions: of every position; None where all have the same.
    """
    if not arch.connected:
        return Executed()
    space, steps = arch.space, arch.executions
    if precisions is not None:
        steps = executions(space.edges, arch.ops, arch.live, precisions)
    found: list[tuple[Op, Precision | None]] = []
    joined: dict[str, Precision | None] = {}
    for step in steps:
        op = arch.ops[step.position]
        joined.setdefault(space.edges[step.position].target, step.held)
        if not op.cuts:
            itself, addition = _parts(space, op, runs=step.runs, adds=step.adds == step.position)
            found += [(part, step.precision) for part in itself] + [(part, step.held) for part in addition]
    found += [(op, joined[node]) for node, op in space.concatenations.items() if node in joined]
    return Executed(tuple(found), tuple(c for step in steps for c in step.changes), tuple(_shared(arch, steps)))


def live_ops(arch: Architecture) -> tuple[Op, ...]:
    """What is executed, in network order, repeats included."""
    return tuple(op for op, _ in executed(arch).ops)


def activates(op: Op) -> bool:
    """Whether it activates the map that it reads before anything else."""
    return bool(op.steps) and isinstance(op.steps[0], Act)


def shared_activations(arch: Architecture) -> tuple[Op, ...]:
    """`Executed.shared` where all positions have one precision."""
    return tuple(op for op, _ in executed(arch).shared)


@dataclass(frozen=True)
class Charge:
    """What a sum over choices charges for a candidate at one position.

    Args:
        itself: the op, where a runtime executes something for it.
        addition: to what its node may hold already.
        flows: whether a map flows through the candidate.
    """

    itself: tuple[Op, ...]
    addition: tuple[Op, ...]
    flows: bool


def charges(space: Space) -> list[list[Charge]]:
    """What a sum over choices charges, per position and candidate; the ops of concatenations come on top."""
    rows: list[list[Charge]] = []
    written = set[str]()
    for position, edge in zip(space.positions, space.edges, strict=True):
        adds = edge.part is None and edge.target in written
        rows.append([Charge(*_parts(space, op, runs=True, adds=adds), not op.cuts) for op in position.ops])
        written.add(edge.target)
    return rows


def charged_ops(space: Space) -> tuple[tuple[Op, ...], list[list[tuple[Op, ...]]]]:
    """What a sum over choices charges.

    Returns:
        The ops of the positions that are no choice and of concatenations, and per choice those of its candidates.
    """
    fixed: list[Op] = []
    rows: list[list[list[Op]]] = [[[] for _ in range(n)] for n in space.sizes]
    for row, choice in zip(charges(space), space.choice_of, strict=True):
        for ops, charge in zip([fixed] if choice is None else rows[choice], row, strict=True):
            ops += (*charge.itself, *charge.addition)
    return (*fixed, *space.concatenations.values()), [[tuple(ops) for ops in row] for row in rows]


def _parts(space: Space, op: Op, *, runs: bool, adds: bool) -> tuple[tuple[Op, ...], tuple[Op, ...]]:
    """The op and its addition, each where it has an entry and is executed."""
    if not op.timed:
        return (), ()
    itself = (op,) if runs and not op.passes else ()
    addition = Op("identity", op.out_channels, op.out_channels, size=op.out_size)
    return itself, (addition,) if adds and addition.signature in space.signatures else ()


def _shared(arch: Architecture, steps: Sequence[Execution]) -> list[tuple[Op, Precision | None]]:
    found: list[tuple[Op, Precision | None]] = []
    activated = set[tuple[int, str]]()
    for step in steps:
        op = arch.ops[step.position]
        if not activates(op):
            continue
        if (step.reads, op.act) in activated:
            found.append((op, step.precision))
        activated.add((step.reads, op.act))
    return found
