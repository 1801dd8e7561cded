"""What a runtime executes for an architecture, as ops that a table has entries for.

In a chain these are the ops of all positions that are no skip. In a cell, three things are different:

- an op that gives something nobody reads is not exported, and one that no image reaches is folded into constants:
  neither costs anything;
- an identity costs nothing by itself; but every further op that writes a node has to be added to what is there. The
  entry of an identity is what such an addition costs, so an addition stands here as an identity of its shape;
- a sum over choices knows neither, since both depend on several choices. It charges every op, and an addition for
  every op but those that stand first at their node: never less than what is executed.
"""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.space import Architecture, Op, Space


def live_ops(arch: Architecture) -> tuple[Op, ...]:
    """What is executed, in network order, repeats included."""
    wires, written = arch.space.wires, set[str]()
    found: list[Op] = []
    for i in _live(arch):
        found += _executed(arch.space, arch.ops[i], adds=wires[i].target in written)
        written.add(wires[i].target)
    return tuple(found)


def charged_ops(space: Space) -> tuple[tuple[Op, ...], list[list[tuple[Op, ...]]]]:
    """What a sum over choices charges.

    Returns:
        The ops of the positions that are no choice, and per choice those of each of its candidates.
    """
    fixed: list[Op] = []
    rows: list[list[list[Op]]] = [[[] for _ in range(n)] for n in space.sizes]
    written = set[str]()
    for position, wire, choice in zip(space.positions, space.wires, space.choice_of, strict=True):
        lists = [fixed] if choice is None else rows[choice]
        for ops, op in zip(lists, position.ops, strict=True):
            ops += _executed(space, op, adds=wire.target in written)
        written.add(wire.target)
    return tuple(fixed), [[tuple(ops) for ops in row] for row in rows]


def _live(arch: Architecture) -> list[int]:
    """Numbers of the positions that an image reaches and whose output is read; none where it is cut off."""
    if not arch.connected:
        return []
    return [i for i, (live, op) in enumerate(zip(arch.live, arch.ops, strict=True)) if live and op.kind != "none"]


def _executed(space: Space, op: Op, *, adds: bool) -> Sequence[Op]:
    if not op.timed or (op.kind == "identity" and not adds):
        return ()
    if op.kind == "identity" or not adds:
        return (op,)
    addition = Op("identity", op.out_channels, op.out_channels, *op.out_hw)
    return (op, addition) if addition.signature in space.signatures else (op,)
