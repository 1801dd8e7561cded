"""One way to run a network, whatever its values are: tensors of torch, names in an ONNX graph.

Only live ops run: those that the image reaches and that reach the output. So a cell that leaves an edge out also
leaves out what only fed it, in training, in the ONNX graph and on the device alike. NAS-Bench-201 runs dead ops as
well; a convolution of the zeros of an empty node adds the shift of its batch norm there and nothing here. Where no
path is left, the head gets zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hwnas.space.architecture import Architecture
from hwnas.space.op import Op
from hwnas.space.position import INPUT

T = TypeVar("T")


def flow(
    arch: Architecture, value: T, *,
    run: Callable[[int, Op, T], T], add: Callable[[T, T], T], zeros: Callable[[Op], T],
) -> T:
    """Send `value`, what the input node holds, through the live positions of `arch`; gives what the last one gives.

    Args:
        run: (number of the position, op, its input) -> its output; must not change the input.
        add: the sum of two outputs.
        zeros: zeros in the shape of the op's input.
    """
    values: dict[str, T] = {INPUT: value}
    last = INPUT
    for i, (wire, op, live) in enumerate(zip(arch.space.wires, arch.ops, arch.live, strict=True)):
        last = wire.target
        x = values.pop(wire.source, None) if wire.frees else values.get(wire.source)
        if live:
            out = run(i, op, zeros(op) if x is None else x)
            values[last] = add(values[last], out) if last in values else out
    return values[last]
