"""An op as it is timed: inside a small context, with what the context costs subtracted.

Context: a 1x1 convolution from 3 C_in channels before the op, one to 3 C_out channels and ReLU after it, as in the
networks (the projection of the block before, the expansion of the block after), and the mean over the map at the end.
So the runtime keeps its blocked layout over both edges and fuses the residual addition, as it does in a network; and
nothing large leaves the model, which would be brought into the plain layout first: on OpenVINO that took 1.8 ms for a
map of 48 x 64 x 64 whose two convolutions took 0.24 ms. A `ContextBlock` is that context with nothing in it, and its
first half ends after the convolution that leads in. An op costs

    t(context with op) - t(half, before it) - (t(context, behind it) - t(half, behind it))

so what the means cost cancels over a network. The first op of a network has no context before it but the
normalisation of the pixels, one whose output leaves the network none after it. What a call costs stays in the first
op's entry and in no other.

The ops on the edges of a cell are a tenth of their context, so its noise would drown them. Four in a row in one context
less one alone in it is three of them: (t(4) - t(1)) / 3. An identity is timed as the addition that it is in a cell.

Measured (benchmarks/latency.md): on `mobile` plain sums are off by 1.1 to 1.3 % with this context (int8 on OpenVINO
5 %), by 16 to 98 % with ops timed alone; on cells by 6 to 18 % before they are calibrated. With contexts of 8 channels
it was 2 to 4 % where wide ones had 1 to 3 % (benchmarks/latency_model.md). Four in a row are no better for whole
blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from onnx import TensorProto, helper

from hwnas.profile.graph import GraphBuilder, out_shape
from hwnas.profile.node_builder import IR_VERSION, OPSET, Weights
from hwnas.space import Op
from hwnas.space.primitives import Size

_SIDE = 3  # channels of a context's outer side per channel of its inner side: a common expansion

Build = Callable[[int, Weights], bytes]
"""Called as build(batch, weights); gives ONNX bytes."""


@dataclass(frozen=True)
class ContextBlock:
    """The empty context at one place: channels and map size."""

    channels: int
    size: Size

    @property
    def place(self) -> str:
        """E.g. '16 8x8'."""
        return f"{self.channels} {'x'.join(map(str, self.size))}"

    @property
    def key(self) -> str:
        return f"carrier {self.place}"  # as journals of 0.1 call it

    @property
    def before(self) -> Op:
        """The convolution that leads into the place."""
        return Op("conv", _SIDE * self.channels, self.channels, size=self.size)

    @property
    def after(self) -> Op:
        """The convolution that leads out of the place."""
        return Op("conv", self.channels, _SIDE * self.channels, size=self.size, act="relu")

    def model(self, batch: int, weights: Weights) -> bytes:
        """Both convolutions and nothing between them, as ONNX bytes."""
        return _chain([self.before, self.after], batch, weights, mean=True)

    @property
    def half_key(self) -> str:
        return f"half {self.place}"

    def half(self, batch: int, weights: Weights) -> bytes:
        """The convolution that leads into the place, as ONNX bytes."""
        return _chain([self.before], batch, weights, mean=True)


@dataclass(frozen=True)
class Part:
    """A model that is timed to be subtracted from an op's.

    Args:
        key: its name.
        build: gives it as ONNX bytes.
        share: how much of its time is subtracted; negative where it is added.
    """

    key: str
    build: Build
    share: float


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
    def links(self) -> int:
        """How many ops stand in a row: 4 for the edge of a cell, else 1."""
        return self.op.definition.in_row if self.op.keeps_shape and not self.first else 1

    @property
    def before(self) -> ContextBlock | None:
        """The place that the op reads from; None for the first."""
        return None if self.first else ContextBlock(self.op.in_channels, self.op.size)

    @property
    def behind(self) -> ContextBlock | None:
        """The place that the op writes to; None where that leaves the network."""
        return None if self.op.last else ContextBlock(self.op.out_channels, self.op.out_size)

    @property
    def base(self) -> tuple[Part, ...]:
        """What is subtracted: half a context before and half a one behind; for the edge of a cell, one op alone."""
        if self.links > 1:
            return (Part(f"one {self.op.signature}", lambda batch, weights: self._model(1, batch, weights), 1.0),)
        before, behind = self.before, self.behind
        parts = [Part(behind.key, behind.model, 1.0)] if behind else []
        if before != behind:
            parts += [Part(before.half_key, before.half, 1.0)] if before else []
            parts += [Part(behind.half_key, behind.half, -1.0)] if behind else []
        return tuple(parts)

    def model(self, batch: int, weights: Weights) -> bytes:
        """The op, or `links` of it in a row, in its context as ONNX bytes."""
        return self._model(self.links, batch, weights)

    def alone_model(self, batch: int, weights: Weights) -> bytes:
        """The op with nothing around it as ONNX bytes."""
        return _chain([self.op], batch, weights)

    def cost_ms(self, times_ms: Mapping[str, float]) -> float:
        """Cost of the op from the times of its model and of its `base`, ms; never negative."""
        rest = times_ms[self.key] - sum(part.share * times_ms[part.key] for part in self.base)
        return max(0.0, rest / max(1, self.links - 1))

    def half_width_ms(self, widths_ms: Mapping[str, float]) -> float:
        """Half width of an interval of the cost from those of the times, taken as independent, ms."""
        squares = [widths_ms[self.key] ** 2, *((part.share * widths_ms[part.key]) ** 2 for part in self.base)]
        return float(sum(squares) ** 0.5) / max(1, self.links - 1)

    def _model(self, links: int, batch: int, weights: Weights) -> bytes:
        before = [self.before.before] if self.before else []
        after = [self.behind.after] if self.behind else []
        ops = [*before, *[self.op] * links, *after]
        return _chain(ops, batch, weights, normalise=self.first, mean=self.behind is not None)


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


def _chain(
    ops: Sequence[Op], batch: int, weights: Weights, *, normalise: bool = False, mean: bool = False
) -> bytes:
    first = ops[0]
    builder = GraphBuilder((batch, first.in_channels, *first.size), weights)
    if normalise:
        builder.normalise()
    for i, op in enumerate(ops):
        if op.passes:
            builder.value = builder.add(builder.value, builder.value)
        else:
            builder.op(str(i), op)
    if not mean:
        return builder.model(out_shape(ops[-1], batch))
    builder.pool()
    return builder.model((batch, ops[-1].out_channels, *[1] * len(ops[-1].size)))
