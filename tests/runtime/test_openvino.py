from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.errors import InputError, MissingDependency
from hwnas.quantize import to_form
from hwnas.runtime import open_runtime

openvino = pytest.importorskip("openvino")
TASKS = Path("/proc/self/task")


def convolution(scale: float, batch: int | str = 1) -> bytes:
    weight = np.full((4, 4, 3, 3), scale, np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (batch, 4, 6, 6))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (batch, 4, 6, 6))],
        [numpy_helper.from_array(weight, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


@pytest.mark.skipif(not TASKS.is_dir(), reason="threads are counted in /proc")
def test_loaded_models_keep_no_threads() -> None:
    """Two idle threads per model are 1,200 for a table, more than many containers allow."""
    runtime = open_runtime("openvino")
    first = runtime.load(convolution(1.0))
    first.run(first.example())
    before = set(TASKS.iterdir())
    sessions = [runtime.load(convolution(0.1 * i)) for i in range(8)]
    for session in sessions:
        session.run(session.example())
    assert len(set(TASKS.iterdir()) - before) < len(sessions)  # other libraries may start one of their own meanwhile


def test_the_precision_is_never_left_to_the_plugin() -> None:
    runtime = open_runtime("openvino")
    model = openvino.Core().read_model(convolution(1.0))
    assert runtime.compile(model).get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
    int8 = open_runtime("openvino", precision="int8")
    assert int8.compile(model).get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32


def test_in_a_graph_of_several_precisions_every_node_has_its_own() -> None:
    """What the plug-in executes, in its own words: each convolution in the type that the graph gives it."""
    runtime = open_runtime("openvino", precision="mixed")
    rng = np.random.default_rng(0)
    nodes, weights = [], []
    for i in range(4):
        weights.append(numpy_helper.from_array(rng.normal(0, 0.2, (32, 32, 3, 3)).astype(np.float32), f"w{i}"))
        nodes.append(helper.make_node("Conv", [f"x{i}", f"w{i}"], [f"x{i + 1}"], pads=[1] * 4))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 32, 8, 8)) for name in ("x0", "x4")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()
    wanted = {"x2": "f32"}
    for tensor, form, word in (("x1", "int8", "u8"), ("x3", "fp16", "f16"), ("x4", "bf16", "bf16")):
        if form in runtime.together:
            model = to_form(model, form, within={tensor}, variant="fused")
        wanted[tensor] = word if form in runtime.together else "f32"
    compiled = runtime.compile(runtime.read(model))
    executed = [node.get_rt_info() for node in compiled.get_runtime_model().get_ordered_ops()]
    types = [info["runtimePrecision"].astype(str) for info in executed
             if info["layerType"].astype(str) == "Convolution"]
    assert types == [wanted[f"x{i + 1}"] for i in range(4)]


def test_a_model_that_computes_in_another_precision_is_refused() -> None:
    """bf16 on a processor without it: the plug-in takes the hint and computes in something else, or it has it."""
    runtime = open_runtime("openvino")
    if "bf16" in runtime.precisions:
        assert open_runtime("openvino", precision="bf16").hint == "bf16"
        return
    runtime.precision = "bf16"
    with pytest.raises(InputError, match="asked to compute in bf16"):
        runtime.load(convolution(1.0))


def test_an_open_batch_is_compiled_for_the_batch_of_the_runtime_and_again_for_others() -> None:
    runtime = open_runtime("openvino", batch=4)
    session = runtime.load(convolution(1.0, "batch"))
    for batch in (4, 1, 4):
        x = session.example(batch)
        assert session.run(x)[0].shape == (batch, 4, 6, 6)
        assert session.time_ms(x) > 0
    assert session.input_shape == (None, 4, 6, 6)


@pytest.mark.parametrize("name, device", [("openvino-gpu", "GPU"), ("openvino-npu", "NPU")])
def test_a_device_that_is_not_there(name: str, device: str) -> None:
    if any(found.startswith(device) for found in openvino.Core().available_devices):
        pytest.skip(f"this machine has an Intel {device}")
    with pytest.raises(MissingDependency, match=f"needs a device {device} .OpenVINO sees CPU.*install"):
        open_runtime(name)
