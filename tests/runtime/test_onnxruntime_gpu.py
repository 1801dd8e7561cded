"""The GPU providers where there is no GPU: they refuse, they never run on the processor instead."""

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from hwnas.errors import InputError, MissingDependency
from hwnas.runtime import open_runtime
from hwnas.runtime.onnxruntime_gpu import BoundSession, OnnxRuntimeCuda

HERE = onnxruntime.get_available_providers()


def doubling_model() -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 3))],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


@pytest.mark.parametrize("name, provider", [
    ("onnxruntime-cuda", "CUDAExecutionProvider"), ("onnxruntime-tensorrt", "TensorrtExecutionProvider"),
])
def test_a_build_without_the_provider(name: str, provider: str) -> None:
    if provider in HERE:
        pytest.skip(f"this ONNX Runtime has {provider}")
    with pytest.raises(MissingDependency, match=f"{provider}.*pip install onnxruntime-gpu"):
        open_runtime(name)


class OnAzure(OnnxRuntimeCuda):
    """A provider that every build has and that takes no convolution, so each node would fall to the processor."""

    name = "onnxruntime-azure"

    @property
    def provider(self) -> str:
        return "AzureExecutionProvider"

    def settings(self) -> dict[str, str]:
        return {}


@pytest.mark.skipif("AzureExecutionProvider" not in HERE, reason="this ONNX Runtime has no AzureExecutionProvider")
def test_nodes_never_fall_to_the_processor(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match="CPU EP"):
        OnAzure().load(doubling_model())
    assert "Falling back" not in capfd.readouterr().out


@pytest.mark.skipif("CPUExecutionProvider" not in HERE, reason="this ONNX Runtime has no CPUExecutionProvider")
def test_bound_inputs_and_outputs_are_timed() -> None:
    """With the processor as the device; the calls are the same."""
    session = BoundSession(
        onnxruntime.InferenceSession(doubling_model(), providers=["CPUExecutionProvider"]), "cpu"
    )
    x = np.ones((2, 3), np.float32)
    assert session.time_ms({"x": x}) > 0
    np.testing.assert_array_equal(session.run({"x": x})[0], 2 * x)
    with pytest.raises(InputError, match="does not take these inputs"):
        session.time_ms({"x": np.ones((2, 4), np.float32)})
    with pytest.raises(InputError, match="does not take these inputs"):
        session.time_ms({"z": x})
