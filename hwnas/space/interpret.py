"""One way to run a network, whatever its values are: tensors of torch, names in an ONNX graph.

Only live ops run: those that the image reaches and that reach the output. So a cell that leaves an edge out also
leaves out what only fed it, in training, in the ONNX graph and on the device alike. What was computed before is not
computed again (`hwnas.space.execution`). NAS-Bench-201 runs dead ops as
well; a convolution of the zeros of an empty node adds the shift of its batch norm there and nothing here. Where no
path is left, the head gets zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from hwnas.space.execution import Execution
from hwnas.space.op import Op
from hwnas.space.position import INPUT, output_positions
from hwnas.space.space import Architecture

T = TypeVar("T")


def interpret(
    arch: Architecture, value: T, *,
    run: Callable[[int, Op, T], T], add: Callable[[T, T], T], join: Callable[[Sequence[T]], T],
    zeros: Callable[[tuple[int, ...]], T], nodes: Sequence[str] | None = None,
    executions: Sequence[Execution] | None = None,
) -> list[T]:
    """Send `value`, what the input node holds, through the live positions of `arch`.

    Gives what every output node holds, in network order: one value for a classifier, one a level for a detector.

    Args:
        run: (number of the position, op, its input) -> its output; must not change the input.
        add: the sum of two outputs.
        join: outputs side by side, along their channels.
        zeros: zeros of a shape (channels, *size) for every image of the batch.
        nodes: give what these hold instead, and run nothing behind the last of them.
        executions: what runs; None takes those of `arch`.
    """
    edges = arch.space.edges
    wanted = [edges[i].target for i in output_positions(arch.ops)] if nodes is None else list(nodes)
    end = 1 + max(i for i, edge in enumerate(edges) if edge.target in wanted)
    values: dict[str, T] = {INPUT: value}
    parts: dict[str, dict[int, T]] = {}  # of concatenations that are not read yet: position -> what it gave
    outputs, sums = dict[int, T](), dict[int, T]()
    executions = arch.executions if executions is None else executions
    again = {step.like for step in executions if not step.runs}
    summed_again = {step.adds for step in executions if step.adds not in (None, step.position)}
    taken = {step.position: step for step in executions}

    def whole(node: str) -> None:
        """Put a concatenation together, with zeros for what no position gave."""
        given = parts.pop(node)
        placed = [(i, arch.ops[i]) for i, edge in enumerate(edges) if edge.target == node]
        found = [given[i] if i in given else zeros((op.out_channels, *op.out_size)) for i, op in placed]
        values[node] = join(found) if len(found) > 1 else found[0]

    for i, (edge, op) in enumerate(zip(edges[:end], arch.ops[:end], strict=True)):
        step = taken.get(i)
        if edge.source in parts and (step is not None or edge.source in wanted):
            whole(edge.source)
        freed = edge.frees and edge.source not in wanted
        x = values.pop(edge.source, None) if freed else values.get(edge.source)
        if step is None:
            continue
        out = run(i, op, zeros((op.in_channels, *op.size)) if x is None else x) if step.runs else outputs[step.like]
        if i in again:
            outputs[i] = out
        if edge.part is not None:
            parts.setdefault(edge.target, {})[i] = out
            continue
        if step.adds is not None:
            out = add(values[edge.target], out) if step.adds == i else sums[step.adds]
            if i in summed_again:
                sums[i] = out
        values[edge.target] = out
    for node in wanted:
        if node in parts:
            whole(node)
    return [values[node] for node in wanted]
