"""An op as it is timed: inside a small context, with what the context costs subtracted.

Context: a 1x1 convolution from 3 C_in channels before the op, one to 3 C_out channels and ReLU after it, as in the
networks (the projection of the block before, the expansion of the block after). So the runtime keeps its blocked
layout over both edges and fuses the residual addition, as it does in a network. A `Carrier` is that context with
nothing in it; an op costs t(context with op) - t(carrier in)/2 - t(carrier out)/2. The first op of a network has
no context before it but the normalisation of the pixels, the head none after it: each keeps half of what a call
costs, so the plain sum over a network holds exactly one call.

Measured on ONNX Runtime 1.31 (benchmarks/latency_model.md): plain sums are off by 1 to 2 % with this context, by
2 to 4 % with 8-channel carriers, by 11 to 13 % with ops timed alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onnx import TensorProto, helper

from hwnas.profile.graph import IR_VERSION, OPSET, GraphBuilder, Weights, out_shape
from hwnas.space import Op

_SIDE = 3  # channels of a carrier's outer side per channel of its inner side: a common expansion


@dataclass(frozen=True)
class Carrier:
    """The empty context at one place: channels and map size."""

    channels: int
    height: int
    width: int

    @property
    def key(self) -> str:
        return f"carrier {self.channels} {self.height}x{self.width}"

    @property
    def before(self) -> Op:
        """The convolution that leads into the place."""
        return Op("conv", _SIDE * self.channels, self.channels, self.height, self.width)

    @property
    def after(self) -> Op:
        """The convolution that leads out of the place."""
        return Op("conv", self.channels, _SIDE * self.channels, self.height, self.width, act="relu")

    def model(self, batch: int, weights: Weights) -> bytes:
        """Both convolutions and nothing between them, as ONNX bytes."""
        return _chain([self.before, self.after], batch, weights)


@dataclass(frozen=True)
class Block:
    """An op to be timed.

    Args:
        op: the op.
        first: whether it is the first of its networks and takes pixels.
    """

    op: Op
    first: bool = False

    @property
    def key(self) -> str:
        return f"block {self.op.signature}"

    @property
    def alone_key(self) -> str:
        return f"alone {self.op.signature}"

    @property
    def carriers(self) -> tuple[Carrier, ...]:
        """The carriers on its sides; half of each is subtracted."""
        op = self.op
        sides = [] if self.first else [Carrier(op.in_channels, op.height, op.width)]
        if op.kind != "head":
            sides.append(Carrier(op.out_channels, *op.out_hw))
        return tuple(sides)

    def model(self, batch: int, weights: Weights) -> bytes:
        """The op in its context as ONNX bytes."""
        before = [] if self.first else [self.carriers[0].before]
        after = [] if self.op.kind == "head" else [self.carriers[-1].after]
        return _chain([*before, self.op, *after], batch, weights, normalise=self.first)

    def alone_model(self, batch: int, weights: Weights) -> bytes:
        """The op with nothing around it as ONNX bytes."""
        return _chain([self.op], batch, weights)

    def cost_ms(self, time_ms: float, times_ms: Mapping[str, float]) -> float:
        """Time of the op: `time_ms` of its context less half of each carrier in `times_ms`; never negative."""
        return max(0.0, time_ms - 0.5 * sum(times_ms[c.key] for c in self.carriers))


def empty_model(batch: int) -> bytes:
    """A network of one trivial node: what a call of the runtime costs."""
    shape = (batch, 8, 4, 4)
    graph = helper.make_graph(
        [helper.make_node("Relu", ["input"], ["output"])], "hwnas",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    data: bytes = model.SerializeToString()
    return data


def _chain(ops: list[Op], batch: int, weights: Weights, normalise: bool = False) -> bytes:
    first = ops[0]
    builder = GraphBuilder((batch, first.in_channels, first.height, first.width), weights)
    if normalise:
        builder.normalise()
    for i, op in enumerate(ops):
        builder.op(str(i), op)
    return builder.model(out_shape(ops[-1], batch))
