import importlib.util

import onnx
import pytest

from hwnas.profile.graph import network_model
from hwnas.profile.graph_format import graph_form, preparer, recipe_for
from hwnas.space import SpaceConfig, build
from hwnas.target import load

SPACE = build(SpaceConfig("mobile", 16, 3, 10, depth=1))


@pytest.mark.parametrize("runtime, precision, version, form", [
    ("onnxruntime", "fp32", "", "fp32"), ("onnxruntime", "int8", "", "int8"), ("openvino", "bf16", "", "fp32"),
    ("tensorrt", "fp16", "10.3.0", "fp32"), ("tensorrt", "fp16", "11.0.0", "fp16"),
    ("tensorrt", "int8", "10.3.0", "int8"),
    ("onnxruntime-cuda", "fp16", "", "fp16"), ("onnxruntime", "fp16", "", "fp16"),
])
def test_form_is_that_of_the_runtime_also_where_it_is_elsewhere(
    runtime: str, precision: str, version: str, form: str
) -> None:
    if runtime == "tensorrt" and importlib.util.find_spec("tensorrt"):
        pytest.skip("TensorRT is installed here and is asked itself")
    assert graph_form(load("local", runtime=runtime, precision=precision), version) == form


def test_int8_is_quantised_and_fp32_is_left_alone() -> None:
    model = network_model(SPACE.smallest())
    assert preparer(load("local"))(model) == model
    quantised = onnx.load_from_string(preparer(load("local", precision="int8"))(model))
    assert "QuantizeLinear" in {node.op_type for node in quantised.graph.node}


def test_recipe_follows_the_runtime() -> None:
    assert recipe_for(load("local")).processor_clock
    assert not recipe_for(load("local", threads=2)).processor_clock
    assert not recipe_for(load("local", runtime="tensorrt", precision="fp16"), "10.3").processor_clock
    assert recipe_for(load("local", runtime="openvino")).warmup > recipe_for(load("local")).warmup
