"""ONNX graphs against the counts of the ops; against torch they are held in tests/nets."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.reference import ReferenceEvaluator

from hwnas.profile import network_model, random_weights
from hwnas.profile.blocks import Block, empty_model
from hwnas.runtime import open_runtime
from hwnas.space import SPACES, Conv, Norm, Op, Primitive, Space, SpaceConfig, build

OPS = (
    "conv k3 e1 s2 3-16 9x9 relu6",
    "mbconv k5 e1 s2 16-24 8x8 relu",
    "mbconv k3 e3 s1 16-16 7x7 hswish se",
    "fbconv k3 e1 s1 16-16 8x8 relu g2",
    "fbconv k5 e6 s2 16-24 8x8 relu",
    "head k1 e1 s1 16-10 4x4 hswish m32-24",
    "head k1 e1 s1 16-10 4x4 relu",
    "preconv k3 e1 s2 16-24 9x9 relu",
    "avgpool k3 e1 s1 16-16 8x8 none",
    "shortcut k1 e1 s2 16-24 9x8 none",
    "identity k1 e1 s1 16-16 8x8 none",
)


def small_space(name: str) -> Space:
    return build(SpaceConfig(name, 32, 3, 10, depth=1))


def initialiser_elements(model: onnx.ModelProto) -> int:
    weights = (i for i in model.graph.initializer if "/" in i.name and not i.name.startswith("normalize"))
    return int(sum(np.prod(i.dims) for i in weights))


def optimised_nodes(model: bytes, folder: Path) -> list[str]:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node]


@pytest.mark.parametrize("name", sorted(SPACES))
def test_networks_are_valid_and_finite(name: str) -> None:
    space = small_space(name)
    for arch in (space.largest(), space.smallest()):
        data = network_model(arch, seed=3)
        model = onnx.load_from_string(data)
        onnx.checker.check_model(model, full_check=True)
        session = open_runtime("onnxruntime").load(data)
        assert session.input_shape == (1, 3, 32, 32)
        (logits,) = session.run(session.example())
        assert logits.shape == (1, 10)
        assert np.isfinite(logits).all()
        assert np.ptp(logits) > 0


def folded_away(step: Primitive) -> int:
    """Parameters that a step has more than its part of the graph has initialisers."""
    if isinstance(step, Conv):
        return step.out_channels if step.norm else 0  # scale and shift become one bias
    return -2 * step.channels if isinstance(step, Norm) else 0  # statistics are no parameters


@pytest.mark.parametrize("name", sorted(SPACES))
def test_weights_are_those_of_the_counts(name: str) -> None:
    arch = small_space(name).largest()
    folded = sum(folded_away(step) for op in arch.ops for step in op.steps)
    assert initialiser_elements(onnx.load_from_string(network_model(arch))) == arch.params - folded


@pytest.mark.parametrize("signature", OPS)
def test_shapes_of_every_kind(signature: str) -> None:
    op = Op.parse(signature)
    session = open_runtime("onnxruntime").load(Block(op).alone_model(2, random_weights()))
    (out,) = session.run(session.example())
    assert out.shape == ((2, 10) if op.kind == "head" else (2, op.out_channels, *op.out_hw))


@pytest.mark.parametrize("signature", OPS)
def test_runtime_agrees_with_the_definition_of_the_operators(signature: str) -> None:
    data = Block(Op.parse(signature)).model(1, random_weights(1))
    session = open_runtime("onnxruntime").load(data)
    feed = session.example()
    expected = ReferenceEvaluator(onnx.load_from_string(data)).run(None, feed)[0]
    np.testing.assert_allclose(session.run(feed)[0], expected, rtol=1e-3, atol=1e-4)


def test_given_weights_are_used_under_their_names() -> None:
    arch = small_space("mobile").smallest()
    asked: dict[str, tuple[int, ...]] = {}

    def halves(name: str, shape: tuple[int, ...]) -> np.ndarray:
        asked[name] = shape
        return np.full(shape, 0.5, dtype=np.float32)

    model = onnx.load_from_string(network_model(arch, halves))
    found = {i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer if i.name in asked}
    assert asked["stem/0/weight"] == (16, 3, 3, 3)
    assert asked["head/2/bias"] == (10,)
    assert set(found) == set(asked)
    assert all((values == 0.5).all() for values in found.values())


def test_seed_decides_the_weights() -> None:
    arch = small_space("mobile").smallest()
    assert network_model(arch, seed=1) == network_model(arch, seed=1)
    assert network_model(arch, seed=1) != network_model(arch, seed=2)


def test_context_makes_the_runtime_fuse_as_in_a_network(tmp_path: Path) -> None:
    """Why blocks are not timed alone: only behind a convolution is the residual addition fused."""
    block, weights = Block(Op.parse("mbconv k3 e3 s1 32-32 8x8 relu")), random_weights()
    assert "Add" in optimised_nodes(block.alone_model(1, weights), tmp_path)
    network = optimised_nodes(network_model(small_space("mobile").largest()), tmp_path)
    if "ReorderOutput" not in network:
        pytest.skip("no blocked layout on this processor")
    assert "Add" not in network
    assert "Add" not in optimised_nodes(block.model(1, weights), tmp_path)


def test_empty_model_runs() -> None:
    session = open_runtime("onnxruntime").load(empty_model(3))
    assert session.run(session.example())[0].shape[0] == 3
