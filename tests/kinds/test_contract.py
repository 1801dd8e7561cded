"""What holds of every kind of op, ours and those of the example package: a kind is registered, and these tests find it.

Counts, torch modules, ONNX graphs, shared weights, estimated work, source and eight-bit graphs say the same of it.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from hwnas.errors import InputError
from hwnas.export.source import source_of
from hwnas.latency.estimate.work import works
from hwnas.nets import Block, deployed
from hwnas.nets.elastic import ElasticBlock
from hwnas.nets.slimmable import part_state
from hwnas.profile.blocks import Block as TimedBlock
from hwnas.profile.node_builder import random_weights
from hwnas.quantize import to_form
from hwnas.space import Conv, Gate, Norm, Op, Parallel, Primitive
from hwnas.space.kinds.registry import TABLE, kind_of, names
from tests.kinds.onnx_weights import folded

EXAMPLE = tomllib.loads((Path(__file__).parents[1] / "example_kinds" / "pyproject.toml").read_text("utf-8"))
OTHERS = tuple(EXAMPLE["project"]["entry-points"]["hwnas.ops"])
KINDS = pytest.mark.parametrize("kind", [*sorted(TABLE), *OTHERS])

FIELDS: tuple[dict[str, Any], ...] = (
    {}, {"kernel": 3, "act": "relu"}, {"kernel": 3, "expand": 2, "act": "relu"},
    {"kernel": 3, "expand": 2, "act": "hswish", "se": True}, {"kernel": 5, "expand": 3, "act": "relu6"},
    {"kernel": 3, "expand": 2, "stride": 2, "out_channels": 12, "act": "relu6"},
    {"kernel": 3, "out_channels": 12, "act": "relu"}, {"kernel": 3, "groups": 2, "expand": 2, "act": "relu"},
    {"kernel": 3, "groups": 2, "out_channels": 12, "act": "relu"}, {"scale": 2}, {"scale": 3, "act": "relu"},
    {"kernel": 3, "dilation": 2, "act": "relu"}, {"hidden": (16,), "act": "relu"},
    {"hidden": (16, 12), "act": "hswish"}, {"stride": 2}, {"kernel": 3, "stride": 2, "act": "relu"},
    {"stride": 2, "height": 6, "width": 6, "act": "relu"},
    {"kernel": 5, "expand": 2, "act": "relu", "own": {"splits": 4}},
    {"kernel": 3, "expand": 2, "act": "hswish", "own": {"splits": 1}, "stride": 2, "out_channels": 12},
)


def ops(kind: str) -> Iterator[Op]:
    """Ops of a kind on maps of 8 x 7 places: every combination of fields above that it accepts."""
    for fields in FIELDS:
        try:
            yield Op(kind, **{"in_channels": 8, "out_channels": 8, "height": 8, "width": 7, **fields})
        except InputError:
            continue


def leaves(step: Primitive) -> Iterator[Primitive]:
    """The primitives inside a primitive."""
    if isinstance(step, Parallel):
        yield from (leaf for branch in step.branches for inner in branch for leaf in leaves(inner))
    elif isinstance(step, Gate):
        yield from (step.features, step.scale)
    else:
        yield step


def folded_away(step: Primitive) -> int:
    """Parameters that a primitive has more than its part of the graph has initialisers."""
    if isinstance(step, Conv):
        return step.out_channels if step.norm else 0  # scale and shift become one bias
    return -2 * step.channels if isinstance(step, Norm) else 0  # statistics are no parameters


def scrambled(op: Op) -> Block:
    """A block whose weights, scales, shifts and statistics are random, so that nothing agrees by accident."""
    torch.manual_seed(0)
    block = Block(op).eval()
    for module in block.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return block


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def run(model: bytes, x: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    out: np.ndarray = session.run(None, {session.get_inputs()[0].name: x})[0]
    return out


def pixels(op: Op, batch: int = 2) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((batch, op.in_channels, *op.size), dtype=np.float32)


def test_every_kind_that_is_registered_is_held_here() -> None:
    assert {*TABLE, *OTHERS} <= set(names())


@KINDS
def test_text_form_and_back(kind: str) -> None:
    found = list(ops(kind))
    assert found, f"no combination of fields makes an op of kind {kind}"
    for op in found:
        assert Op.parse(op.signature) == op
        assert kind_of(op.kind).name == kind
        assert 0 < len(op.label) <= 40
    assert len({op.signature for op in found}) == len(set(found))


@KINDS
def test_counts_are_those_of_the_torch_module_and_of_the_graph(kind: str) -> None:
    for op in ops(kind):
        assert op.trained_params >= op.params >= 0
        if not op.steps:
            continue
        block = Block(op)
        assert parameters(block) == op.trained_params, op.signature
        assert parameters(deployed(block)) == op.params, op.signature
        model = onnx.load_from_string(TimedBlock(op).alone_model(1, random_weights()))
        held = sum(int(np.prod(i.dims)) for i in model.graph.initializer if "/" in i.name)
        assert held == op.params - sum(folded_away(leaf) for step in op.steps for leaf in leaves(step)), op.signature
        assert op.peak_elements >= max(step.elements_in + step.elements_out for step in op.steps)


@KINDS
def test_torch_and_onnx_give_the_same(kind: str) -> None:
    for op in ops(kind):
        if not op.steps:
            continue
        block, x = scrambled(op), pixels(op)
        values = folded(block, "0")
        ours = run(TimedBlock(op).alone_model(len(x), lambda name, shape, v=values: v[name].reshape(shape)), x)  # type: ignore[misc]
        with torch.no_grad():
            expected = block(torch.from_numpy(x)).numpy()
            fused = deployed(block)(torch.from_numpy(x)).numpy()
        assert ours.shape == (len(x), *op.out_shape), op.signature
        np.testing.assert_allclose(ours, expected, rtol=1e-3, atol=1e-4, err_msg=op.signature)
        np.testing.assert_allclose(fused, expected, rtol=1e-3, atol=1e-4, err_msg=op.signature)


@KINDS
def test_an_op_that_a_runtime_executes_is_work(kind: str) -> None:
    for op in ops(kind):
        found = works(op)
        assert bool(found) == op.timed, op.signature
        assert all(min(work.macs, work.outputs, work.values) > 0 and work.weights >= 0 for work in found)
        assert sum(work.macs for work in found) >= op.flops
        assert sum(work.weights for work in found) <= op.params


@KINDS
def test_slices_of_an_elastic_op_are_the_op_itself(kind: str) -> None:
    for op in ops(kind):
        if not op.elastic:
            continue
        small, large = op.replaced(kernel=3), op.replaced(kernel=5, expand=op.expand + 1)
        if not (small.elastic and large.elastic and len(small.steps) == len(large.steps)):
            continue
        shared = ElasticBlock([small, large])
        x = torch.from_numpy(pixels(op, batch=4))
        for part in (small, large):
            own = Block(part)
            own.load_state_dict(shared.state_of(part))
            for mode in (True, False):
                shared.train(mode), own.train(mode)
                torch.testing.assert_close(shared(x, part), own(x), rtol=1e-4, atol=1e-4, msg=part.signature)


@KINDS
def test_shapes_of_a_part_are_learnt_without_random_numbers(kind: str) -> None:
    for op in ops(kind):
        wide = Block(op.replaced(in_channels=16, out_channels=16) if op.in_channels == op.out_channels else op)
        before = torch.get_rng_state()
        found = part_state(op, wide)
        assert torch.equal(torch.get_rng_state(), before)
        assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in Block(op).state_dict().items()}


@KINDS
def test_eight_bits_give_nearly_the_same(kind: str) -> None:
    for op in ops(kind):
        if not op.timed:
            continue
        timed = TimedBlock(op)
        model = timed.model(1, random_weights())
        assert timed.before is not None
        rng = np.random.default_rng(2)
        xs = [rng.random((1, timed.before.before.in_channels, *op.size), dtype=np.float32) for _ in range(4)]
        rounded, x = to_form(model, "int8", samples=[{"input": x} for x in xs]), xs[0]
        exact, found = run(model, x), run(rounded, x)
        assert any(node.op_type == "QuantizeLinear" for node in onnx.load_from_string(rounded).graph.node)
        assert np.sqrt(np.mean((exact - found) ** 2)) <= 0.06 * np.ptp(exact) + 1e-6, op.signature


@KINDS
def test_source_of_a_model_py_is_the_module(kind: str) -> None:
    for op in ops(kind):
        if not op.steps:
            continue
        sources = [source_of(step) for step in op.steps]
        written = nn.Sequential(*(eval(source.call, names_of(source.classes)) for source in sources)).eval()
        block = deployed(scrambled(op))
        written.load_state_dict(block.steps.state_dict())
        x = torch.from_numpy(pixels(op))
        with torch.no_grad():
            torch.testing.assert_close(written(x), block.steps(x), rtol=1e-4, atol=1e-4, msg=op.signature)


def names_of(classes: tuple[str, ...]) -> dict[str, Any]:
    """What a model.py defines: its own classes, and those that its primitives need."""
    template = Path(__file__).parents[2] / "hwnas" / "export" / "templates" / "model.py.j2"
    text = template.read_text("utf-8")
    fixed = text[text.index("class ConvNormAct"):text.index("class Block")]
    scope: dict[str, Any] = {"torch": torch, "nn": nn}
    activations = next(line for line in text.splitlines() if line.startswith("ACTIVATIONS"))
    for part in (activations, fixed, *classes):
        ast.parse(part)
        exec(part, scope)
    return scope
