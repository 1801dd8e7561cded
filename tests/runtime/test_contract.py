"""What every runtime must do; a new one is a line in RUNTIMES and passes this file."""

import sys

import numpy as np
import pytest
from onnx import TensorProto, helper

from hwnas.errors import InputError, MissingDependency, UnknownName
from hwnas.runtime import RUNTIMES, Session, open_runtime, runtime_for
from hwnas.target import load


def doubling_model(batch: int | str = 1) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Add", ["pixels", "pixels"], ["twice"]), helper.make_node("Relu", ["pixels"], ["rectified"])],
        "g",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, (batch, 3, 2))],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, (batch, 3, 2)) for n in ("twice", "rectified")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


@pytest.fixture(params=sorted(RUNTIMES))
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(RUNTIMES[request.param].library)
    return str(request.param)


@pytest.mark.parametrize("threads", [1, 2])
def test_runs_and_describes_its_input(name: str, threads: int) -> None:
    session = open_runtime(name, threads).load(doubling_model())
    assert isinstance(session, Session)
    assert (session.threads, session.input_name, session.input_shape) == (threads, "pixels", (1, 3, 2))
    x = np.arange(-3, 3, dtype=np.float32).reshape(1, 3, 2)
    twice, rectified = session.run({"pixels": x})
    np.testing.assert_array_equal(twice, 2 * x)
    np.testing.assert_array_equal(rectified, np.maximum(x, 0))


def test_open_dimension_is_none_and_example_fills_it(name: str) -> None:
    session = open_runtime(name).load(doubling_model("batch"))
    assert session.input_shape == (None, 3, 2)
    example = session.example(batch=5)
    assert example["pixels"].shape == (5, 3, 2)
    assert example["pixels"].dtype == np.float32
    np.testing.assert_array_equal(example["pixels"], session.example(batch=5)["pixels"])
    assert session.run(example)[0].shape == (5, 3, 2)


@pytest.mark.parametrize("junk", [b"", b"no model", doubling_model()[:40]])
def test_bytes_that_are_no_model(name: str, junk: bytes) -> None:
    with pytest.raises(InputError, match="not a model"):
        open_runtime(name).load(junk)


def test_wrong_input_shape(name: str) -> None:
    session = open_runtime(name).load(doubling_model())
    with pytest.raises(InputError, match="does not take these inputs"):
        session.run({"pixels": np.zeros((1, 4), dtype=np.float32)})


def test_name_and_version(name: str) -> None:
    runtime = open_runtime(name)
    assert runtime.name == name
    assert runtime.version.split(".")[0].isdigit()


def test_target_picks_runtime_and_threads() -> None:
    assert runtime_for(load("local", threads=2)).threads == 2


def test_unknown_runtime_lists_the_known() -> None:
    with pytest.raises(UnknownName, match="onnxruntime"):
        open_runtime("onxruntime")


def test_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependency, match="pip install onnxruntime"):
        open_runtime("onnxruntime")
