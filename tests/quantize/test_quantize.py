"""A float graph in eight bits: nearly the same answers, integer kernels all the way, weights per channel."""

from __future__ import annotations

import collections
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.errors import InputError, UnknownName
from hwnas.profile.blocks import empty_model
from hwnas.profile.graph import GraphBuilder, network_model, out_shape
from hwnas.profile.node_builder import random_weights
from hwnas.quantize import VARIANTS, to_form, variant_for
from hwnas.space import Op, SpaceConfig, build

BLOCKS = {
    "mbconv": "mbconv k3 e3 s1 16-16 8x8 relu",
    "relu6": "mbconv k5 e6 s2 16-24 8x8 relu6",
    "se hswish": "mbconv k3 e3 s1 16-16 8x8 hswish se",
    "shuffle": "fbconv k3 e1 s1 16-16 8x8 relu g2",
    "conv": "conv k3 e1 s2 3-16 9x9 hswish",
    "head": "head k1 e1 s1 16-10 4x4 relu m32",
    "head hswish": "head k1 e1 s1 16-10 4x4 hswish m32-24",
}
ROUNDING = 0.05  # of the spread of the outputs: a few of 255 steps in each layer


def model_of(signature: str, seed: int = 0) -> bytes:
    op = Op.parse(signature)
    builder = GraphBuilder((1, op.in_channels, op.height, op.width), random_weights(seed))
    builder.op("block", op)
    return builder.model(out_shape(op, 1))


def session(model: bytes, optimised: Path | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    if optimised:
        options.optimized_model_filepath = str(optimised)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(model: bytes, x: np.ndarray) -> np.ndarray:
    found = session(model)
    out: np.ndarray = found.run(None, {found.get_inputs()[0].name: x})[0]
    return out


def images(model: bytes, n: int = 4) -> list[dict[str, np.ndarray]]:
    image = session(model).get_inputs()[0]
    rng = np.random.default_rng(1)
    return [{image.name: rng.random([d if isinstance(d, int) else 1 for d in image.shape], dtype=np.float32)}
            for _ in range(n)]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", BLOCKS)
def test_every_kind_of_block_keeps_its_answers(name: str, variant: str) -> None:
    model = model_of(BLOCKS[name])
    for samples in (None, images(model)):
        quantised = to_form(model, "int8", samples=samples, variant=variant)
        onnx.checker.check_model(onnx.load_model_from_string(quantised), full_check=True)
        for feed in images(model, 2):
            (x,) = feed.values()
            exact, rounded = run(model, x), run(quantised, x)
            assert np.sqrt(np.mean((exact - rounded) ** 2)) < ROUNDING * np.ptp(exact)
            assert np.any(exact != rounded)  # it is not the float graph


@pytest.mark.parametrize("space, size", [("mobile", 32), ("ofa", 64), ("fbnet", 32)])
def test_a_network_runs_in_integers_from_its_pixels_to_its_last_layer(space: str, size: int, tmp_path: Path) -> None:
    arch = build(SpaceConfig(space, size, 3, 10, 0.5, 1)).largest()
    session(to_form(network_model(arch), "int8"), tmp_path / "optimised.onnx")
    found = collections.Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert found["QuantizeLinear"] == 1
    assert found["DequantizeLinear"] == 0
    floats = {"Conv", "FusedConv", "Add", "Mul", "HardSigmoid", "HardSwish", "Gemm", "GlobalAveragePool", "ReduceMean"}
    assert not floats & set(found)
    assert found["QLinearConv"] > 5


def test_weights_are_quantised_per_output_channel() -> None:
    model = onnx.load_model_from_string(to_form(model_of(BLOCKS["mbconv"]), "int8"))
    values = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    pointwise, depthwise = values["block/0/weight/q"], values["block/1/weight/q"]
    assert pointwise.dtype == np.int8
    assert values["block/0/weight/s"].shape == (pointwise.shape[0],)
    assert np.ptp(values["block/0/weight/s"]) > 0
    # Every channel uses its whole range, and what may overflow in 16 bits keeps to seven.
    assert np.all(np.abs(pointwise.astype(int)).max(axis=(1, 2, 3)) == 64)
    assert np.all(np.abs(depthwise.astype(int)).max(axis=(1, 2, 3)) == 127)
    assert not any(values[f"block/{i}/weight/z"].any() for i in range(3))


@pytest.mark.parametrize("channels, kernel", [(64, 1), (1, 3)])
def test_seven_bits_do_not_overflow_where_eight_would(channels: int, kernel: int) -> None:
    """Weights of one sign on inputs at the top of their range: the sum of two products passes 32,767.

    A convolution of one input channel looks depthwise by the shape of its weights and is not.
    """
    w = np.full((16, channels, kernel, kernel), 0.5, np.float32)
    shapes = (1, channels, 8, 8), (1, 16, 9 - kernel, 9 - kernel)
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip("xy", shapes, strict=True))
    graph = helper.make_graph([helper.make_node("Conv", ["x", "w"], ["y"])], "g", [x], [y],
                              [numpy_helper.from_array(w, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()
    ones = np.ones(shapes[0], np.float32)
    quantised = to_form(model, "int8", samples=[{"x": ones}])
    assert run(quantised, ones) == pytest.approx(run(model, ones), rel=0.02)
    codes = {i.name: numpy_helper.to_array(i) for i in onnx.load_model_from_string(quantised).graph.initializer}
    assert codes["w/q"].max() == 64


def test_signed_form_has_zero_points_of_zero_and_float_biases() -> None:
    """What TensorRT accepts."""
    model = onnx.load_model_from_string(to_form(model_of(BLOCKS["se hswish"]), "int8", variant="s8s8"))
    values = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    zeros = [v for name, v in values.items() if name.endswith("/z")]
    assert zeros
    assert all(v.dtype == np.int8 and not v.any() for v in zeros)
    assert not any(v.dtype == np.int32 for v in values.values())


def test_calibration_decides_the_ranges() -> None:
    model = model_of(BLOCKS["mbconv"])
    (feed,) = images(model, 1)
    (name, x), = feed.items()
    narrow = to_form(model, "int8", samples=[{name: x * 0.1}])
    assert not np.allclose(run(narrow, x), run(model, x), atol=0.1 * np.ptp(run(model, x)))
    small = run(model, x * 0.1)
    assert np.abs(run(narrow, x * 0.1) - small).max() < 0.05 * np.ptp(small)


def test_rare_large_values_are_clipped_for_the_sake_of_the_others() -> None:
    model = model_of("conv k1 e1 s1 8-8 16x16 none")
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (1, 8, 16, 16)).astype(np.float32)
    outlier = x.copy()
    outlier[0, 0, 0, 0] = 40.0
    samples = [{"input": x}] * 20 + [{"input": outlier}]
    clipped = to_form(model, "int8", samples=samples)
    extremes = to_form(model, "int8", samples=[{"input": outlier}])
    exact = run(model, x)
    assert np.square(run(clipped, x) - exact).mean() < np.square(run(extremes, x) - exact).mean()


def test_same_samples_give_the_same_bytes() -> None:
    model = model_of(BLOCKS["se hswish"])
    assert to_form(model, "int8", samples=images(model)) == to_form(model, "int8", samples=images(model))


def test_metadata_inputs_and_outputs_stay() -> None:
    model = onnx.load_model_from_string(model_of(BLOCKS["mbconv"]))
    helper.set_model_props(model, {"hwnas": "{}"})
    for form in ("int8", "fp16"):
        changed = onnx.load_model_from_string(to_form(model.SerializeToString(), form))
        assert [(p.key, p.value) for p in changed.metadata_props] == [("hwnas", "{}")]
        assert list(changed.graph.input) == list(model.graph.input)
        assert list(changed.graph.output) == list(model.graph.output)


def test_half_precision_halves_the_weights_and_keeps_float_ends() -> None:
    model = network_model(build(SpaceConfig("mobile", 32, 3, 10)).largest())
    half = to_form(model, "fp16")
    assert len(half) < 0.6 * len(model)
    x = np.random.default_rng(0).random((1, 3, 32, 32), dtype=np.float32)
    exact = run(model, x)
    assert run(half, x).dtype == np.float32
    assert np.abs(run(half, x) - exact).max() < 0.01 * np.ptp(exact)


def test_what_has_no_integer_kernel_stays_as_it_is() -> None:
    model = empty_model(1)
    x = np.random.default_rng(0).standard_normal((1, 8, 4, 4)).astype(np.float32)
    assert np.array_equal(run(to_form(model, "int8"), x), run(model, x))
    assert to_form(model, "fp32") is model


def test_wrong_requests_say_what_there_is() -> None:
    model = model_of(BLOCKS["conv"])
    with pytest.raises(UnknownName, match="fp16, fp32, int8"):
        to_form(model, "int4")
    with pytest.raises(UnknownName, match="u8s8"):
        to_form(model, "int8", variant="u4")
    with pytest.raises(InputError, match="not an ONNX model"):
        to_form(b"no model", "int8")
    with pytest.raises(InputError, match="at least one sample"):
        to_form(model, "int8", samples=[])
    with pytest.raises(InputError, match="does not fit"):
        to_form(model, "int8", samples=[{"input": np.zeros((1, 2), np.float32)}])


def test_each_runtime_gets_its_variant() -> None:
    assert [variant_for(r) for r in ("onnxruntime", "openvino", "tensorrt")] == ["u8s8", "fused", "s8s8"]
