"""ONNX graphs of ops and networks, built straight from `Op.steps`: a millisecond each, and no torch on the device.

Every graph is what the exporter makes of the torch module after its batch norms are folded (`hwnas.profile.lowering`).
Dead ops of a cell are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from hwnas.profile.lowering import append
from hwnas.profile.node_builder import NodeBuilder, Weights, random_weights
from hwnas.space import Architecture, Op, interpret, output_positions


class GraphBuilder(NodeBuilder):
    """Grows the graph of ops; `value` is the name of the tensor that the next node reads."""

    def normalise(self) -> None:
        """Subtract the mean and divide by the standard deviation of every channel, as deployed networks do."""
        shape = (1, self.shape[1], *[1] * (len(self.shape) - 2))
        self.node("Sub", [self.value, self.weight("normalize/mean", shape)])
        self.node("Div", [self.value, self.weight("normalize/std", shape)])

    def op(self, name: str, op: Op) -> None:
        """Append an op; names of its nodes and initialisers start with `name` and a slash."""
        source, first = self.value, len(self.nodes)
        for i, step in enumerate(op.steps):
            append(step, self, f"{name}/{i}")
        if op.residual:
            self.node("Add", [self.value, source])
        for node in self.nodes[first:]:
            node.name = f"{name}/{node.output[0]}"

    def add(self, a: str, b: str) -> str:
        """The sum of two tensors."""
        return self.node("Add", [a, b])

    def join(self, parts: Sequence[str]) -> str:
        """Tensors side by side, along their channels."""
        return self.node("Concat", list(parts), axis=1)

    def zeros(self, shape: tuple[int, ...]) -> str:
        """What an op reads where no image reaches it, and a part of a concatenation that nothing gives."""
        return self.node("ConstantOfShape", [self.integers((self.shape[0], *shape))])

    def pool(self) -> None:
        """The mean over the map, in the form that every runtime has a kernel for in its own layout."""
        self.node("GlobalAveragePool", [self.value])

    def model(self, out_shape: tuple[int, ...]) -> bytes:
        """The finished graph, serialised. Input 'input', output 'output'."""
        if not self.nodes:  # a runtime takes no graph without nodes
            self.node("Identity", [self.value])
        return self.model_of([(self.value, out_shape)])


def network_model(arch: Architecture, weights: Weights | None = None, *, seed: int = 0, batch: int = 1) -> bytes:
    """A whole network as ONNX bytes: (batch, C, H, W) pixels in 0..1 -> (batch, classes), or one map a level.

    Args:
        weights: called with every initialiser's name and shape; None takes random ones from `seed`.
        batch: images per call; the shape is static.
    """
    builder = GraphBuilder((batch, *arch.space.input_shape), weights or random_weights(seed))
    builder.normalise()

    def run(number: int, op: Op, value: str) -> str:
        builder.value = value
        builder.op(arch.space.positions[number].name, op)
        return builder.value

    tensors = interpret(arch, builder.value, run=run, add=builder.add, join=builder.join,
                        zeros=builder.zeros)
    ops = [arch.ops[i] for i in output_positions(arch.ops)]
    return builder.model_of([(t, out_shape(op, batch)) for t, op in zip(tensors, ops, strict=True)])


def out_shape(op: Op, batch: int) -> tuple[int, ...]:
    """Shape of the tensor an op gives."""
    return (batch, *op.out_shape)
