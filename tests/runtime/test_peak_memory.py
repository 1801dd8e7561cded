"""The memory of a process of its own: weights that are larger by so much take at least so much more."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.errors import InputError
from hwnas.runtime import open_runtime
from hwnas.runtime.peak_memory import SMALLEST, measurable, peak_memory


def linear(width: int) -> bytes:
    weights = numpy_helper.from_array(np.ones((width, width), np.float32), "w")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, width]) for name in "xy")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "linear", [x], [y], [weights])
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8
                                   ).SerializeToString())


def test_the_smallest_model_is_one() -> None:
    onnx.checker.check_model(onnx.load_model_from_string(SMALLEST))


@pytest.mark.skipif(not measurable(), reason="this system does not tell")
def test_weights_are_in_it_and_the_runtime_is_not() -> None:
    small, large = (peak_memory(linear(width), open_runtime("onnxruntime"), processes=1) for width in (8, 1500))
    assert 0 <= small < 4e6  # the libraries alone are 50 MB
    assert 9e6 <= large - small <= 60e6  # 1500 x 1500 floats are 9 MB


def test_a_process_that_fails_says_why() -> None:
    with pytest.raises(InputError, match="failed: "):
        peak_memory(b"no model", open_runtime("onnxruntime"), processes=1)
