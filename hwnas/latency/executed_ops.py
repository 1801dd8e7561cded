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
"""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.space import Act, Architecture, Op, Space


def live_ops(arch: Architecture) -> tuple[Op, ...]:
    """What is executed, in network order, repeats included."""
    if not arch.connected:
        return ()
    found: list[Op] = []
    joined = {arch.space.edges[step.position].target for step in arch.executions}
    for step in arch.executions:
        op = arch.ops[step.position]
        if not op.cuts:
            found += _executed(arch.space, op, runs=step.runs, adds=step.adds == step.position)
    return (*found, *(op for node, op in arch.space.concatenations.items() if node in joined))


def shared_activations(arch: Architecture) -> tuple[Op, ...]:
    """Ops that activate a map before they read it, where an op before them activated the same map.

    Each has an activation in its entry that a runtime which merges common subexpressions does not run.
    """
    found: list[Op] = []
    activated = set[tuple[int, str]]()
    for step in arch.executions if arch.connected else ():
        op = arch.ops[step.position]
        if not (op.steps and isinstance(op.steps[0], Act)):
            continue
        if (step.reads, op.act) in activated:
            found.append(op)
        activated.add((step.reads, op.act))
    return tuple(found)


def charged_ops(space: Space) -> tuple[tuple[Op, ...], list[list[tuple[Op, ...]]]]:
    """What a sum over choices charges.

    Returns:
        The ops of the positions that are no choice and of concatenations, and per choice those of its candidates.
    """
    fixed: list[Op] = []
    rows: list[list[list[Op]]] = [[[] for _ in range(n)] for n in space.sizes]
    written = set[str]()
    for position, edge, choice in zip(space.positions, space.edges, space.choice_of, strict=True):
        lists = [fixed] if choice is None else rows[choice]
        for ops, op in zip(lists, position.ops, strict=True):
            ops += _executed(space, op, adds=edge.part is None and edge.target in written)
        written.add(edge.target)
    return (*fixed, *space.concatenations.values()), [[tuple(ops) for ops in row] for row in rows]


def _executed(space: Space, op: Op, *, runs: bool = True, adds: bool) -> Sequence[Op]:
    if not op.timed:
        return ()
    itself = (op,) if runs and not op.passes else ()
    addition = Op("identity", op.out_channels, op.out_channels, size=op.out_size)
    return (*itself, addition) if adds and addition.signature in space.signatures else itself
