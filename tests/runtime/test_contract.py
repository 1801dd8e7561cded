"""What every runtime must do in every precision; a new one is a line in RUNTIMES and passes this file."""

import sys

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwnas.errors import InputError, MissingDependency, UnknownName, UsageError
from hwnas.quantize import to_form, variant_for
from hwnas.runtime import RUNTIMES, Runtime, Session, Timer, open_runtime, runtime_for
from hwnas.target import load

TOLERANCE = {"fp32": 1e-5, "fp16": 5e-3, "bf16": 4e-2, "int8": 4e-2}  # of the largest output
ON_NVIDIA = {"onnxruntime-cuda", "onnxruntime-tensorrt", "tensorrt"}
CASES = [
    pytest.param(name, precision, marks=[pytest.mark.gpu] if name in ON_NVIDIA else [], id=f"{name}-{precision}")
    for name in RUNTIMES for precision in TOLERANCE
]


def doubling_model(batch: int | str = 1) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Add", ["pixels", "pixels"], ["twice"]), helper.make_node("Relu", ["pixels"], ["rectified"])],
        "g",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, (batch, 3, 2))],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, (batch, 3, 2)) for n in ("twice", "rectified")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


WEIGHT = np.random.default_rng(0).normal(0, 0.5, (8, 3, 1, 1)).astype(np.float32)


def mixing_model(batch: int | str = 1) -> bytes:
    """A pointwise convolution from 3 to 8 channels with ReLU; its answer is one einsum."""
    graph = helper.make_graph(
        [helper.make_node("Conv", ["pixels", "w"], ["mixed"]), helper.make_node("Relu", ["mixed"], ["rectified"])], "g",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, (batch, 3, 8, 8))],
        [helper.make_tensor_value_info("rectified", TensorProto.FLOAT, (batch, 8, 8, 8))],
        [numpy_helper.from_array(WEIGHT, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def opened(name: str, precision: str | None = None, threads: int = 1) -> Runtime:
    """The runtime in a precision, by default the exact one, which is fp16 on an NPU; skips where it is not there."""
    try:
        try:
            return open_runtime(name, threads, precision or "fp32")
        except UsageError:
            if precision is None:
                return open_runtime(name, threads, "fp16")
            raise
    except (MissingDependency, UsageError) as err:
        pytest.skip(str(err).split(", which")[0].split(": choose")[0])


def loaded(runtime: Runtime, model: bytes) -> Session:
    return runtime.load(to_form(model, runtime.graph_form, variant=variant_for(runtime.name)))


@pytest.fixture(params=[
    pytest.param(name, marks=[pytest.mark.gpu] if name in ON_NVIDIA else []) for name in sorted(RUNTIMES)
])
def name(request: pytest.FixtureRequest) -> str:
    opened(request.param)
    return str(request.param)


def two_convolutions() -> bytes:
    """Pointwise, 3 to 8 to 8 channels, each with ReLU."""
    again = np.random.default_rng(1).normal(0, 0.3, (8, 8, 1, 1)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["pixels", "w"], ["a"]), helper.make_node("Relu", ["a"], ["b"]),
             helper.make_node("Conv", ["b", "v"], ["c"]), helper.make_node("Relu", ["c"], ["d"])]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, (1, 3, 8, 8))],
        [helper.make_tensor_value_info("d", TensorProto.FLOAT, (1, 8, 8, 8))],
        [numpy_helper.from_array(WEIGHT, "w"), numpy_helper.from_array(again, "v")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8).SerializeToString()


def test_several_precisions_in_one_graph(name: str) -> None:
    """Each beside the exact one, and all of them: near it, and not the same; every format that is told is taken."""
    exact = opened(name)
    if len(exact.together) < 2:
        with pytest.raises(UsageError, match="not in mixed"):
            open_runtime(name, precision="mixed")
        return
    runtime = open_runtime(name, precision="mixed")
    assert runtime.graph_form == runtime.precision == "mixed"
    assert set(runtime.together) <= set(TOLERANCE)
    assert runtime.together[0] == "fp32"
    floats = two_convolutions()
    inputs = exact.load(floats).example(seed=5)
    truth = exact.load(floats).run(inputs)[0]
    assert np.array_equal(runtime.load(floats).run(inputs)[0], truth)
    parts = [{"a", "b"}, {"c", "d"}]
    for first in runtime.together[1:]:
        for second in (p for p in runtime.together if p != first):
            model = floats
            for form, within in sorted(((first, parts[0]), (second, parts[1])), key=lambda one: one[0] != "int8"):
                model = to_form(model, form, within=within, variant=variant_for(name), samples=[inputs])
            off = float(np.abs(runtime.load(model).run(inputs)[0] - truth).max() / truth.max())
            assert 1e-5 < off < 2 * max(TOLERANCE[first], TOLERANCE[second])


@pytest.mark.parametrize("name, precision", CASES)
class TestEveryPrecision:
    def test_answers_within_what_the_precision_allows(self, name: str, precision: str) -> None:
        runtime = opened(name, precision)
        session = loaded(runtime, mixing_model())
        inputs = session.example(seed=5)
        exact = np.maximum(np.einsum("oi,bihw->bohw", WEIGHT[:, :, 0, 0], inputs[session.input_name]), 0)
        found = session.run(inputs)[0]
        off = float(np.abs(found.astype(np.float32) - exact).max() / exact.max())
        assert off <= TOLERANCE[precision]
        if precision != "fp32":
            assert off > 1e-5, f"{name} computes in fp32, whatever it was told"

    def test_open_batch(self, name: str, precision: str) -> None:
        session = loaded(opened(name, precision), mixing_model("batch"))
        assert session.input_shape == (None, 3, 8, 8)
        three = session.example(batch=3)
        together = session.run(three)[0]
        assert together.shape == (3, 8, 8, 8)
        one = session.run({session.input_name: three[session.input_name][1:2]})[0]
        np.testing.assert_allclose(together[1:2], one, atol=TOLERANCE[precision] * float(together.max()))

    def test_describes_itself(self, name: str, precision: str) -> None:
        runtime = opened(name, precision)
        assert (runtime.name, runtime.precision) == (name, precision)
        assert precision in runtime.precisions
        assert runtime.precisions[0] in ("fp32", "fp16")
        assert runtime.graph_form in ("fp32", "fp16", "int8")
        assert (runtime.graph_form == "int8") == (precision == "int8")
        assert runtime.version.split(".")[0].isdigit()
        assert runtime.provider
        assert runtime.cpu == (runtime.accelerator is None)

    def test_times_itself_always_or_never(self, name: str, precision: str) -> None:
        runtime = opened(name, precision)
        session = loaded(runtime, mixing_model())
        times = [session.time_ms(session.example(seed=i)) for i in range(5)]
        assert all(t is None for t in times) or all(t is not None and t > 0 for t in times)
        assert runtime.cpu or times[0] is not None, "processor time says nothing about an accelerator"


@pytest.mark.parametrize("threads", [1, 2])
def test_runs_and_describes_its_input(name: str, threads: int) -> None:
    session = opened(name, threads=threads).load(doubling_model())
    assert isinstance(session, Session)
    assert (session.input_name, session.input_shape) == ("pixels", (1, 3, 2))
    assert session.threads == (threads if name not in ON_NVIDIA else 1)
    x = np.arange(-3, 3, dtype=np.float32).reshape(1, 3, 2)
    twice, rectified = session.run({"pixels": x})
    np.testing.assert_array_equal(twice, 2 * x)
    np.testing.assert_array_equal(rectified, np.maximum(x, 0))


def test_outputs_belong_to_the_caller(name: str) -> None:
    session = opened(name).load(doubling_model())
    x = np.ones((1, 3, 2), dtype=np.float32)
    first = session.run({"pixels": x})[0]
    session.run({"pixels": 5 * x})
    session.time_ms({"pixels": 7 * x})
    np.testing.assert_array_equal(first, 2 * x)


def test_inputs_that_are_a_view(name: str) -> None:
    session = opened(name).load(doubling_model())
    x = np.arange(12, dtype=np.float32).reshape(1, 3, 4)[:, :, ::2]
    np.testing.assert_array_equal(session.run({"pixels": x})[0], 2 * x)


def test_open_dimension_is_none_and_example_fills_it(name: str) -> None:
    session = opened(name).load(doubling_model("batch"))
    assert session.input_shape == (None, 3, 2)
    example = session.example(batch=5)
    assert example["pixels"].shape == (5, 3, 2)
    assert example["pixels"].dtype == np.float32
    np.testing.assert_array_equal(example["pixels"], session.example(batch=5)["pixels"])
    assert session.run(example)[0].shape == (5, 3, 2)


@pytest.mark.parametrize("junk", [b"", b"no model", doubling_model()[:40]])
def test_bytes_that_are_no_model(name: str, junk: bytes) -> None:
    with pytest.raises(InputError, match="not a model"):
        opened(name).load(junk)


@pytest.mark.parametrize("bad", [
    {"pixels": np.zeros((1, 4), dtype=np.float32)},
    {"pixels": np.zeros((1, 3, 3), dtype=np.float32)},
    {"pixels": np.zeros((1, 3, 2), dtype=np.float64)},
    {"photons": np.zeros((1, 3, 2), dtype=np.float32)},
    {},
], ids=["rank", "shape", "type", "name", "none"])
@pytest.mark.parametrize("batch", [1, "batch"])
def test_inputs_that_do_not_fit(name: str, bad: dict[str, np.ndarray], batch: int | str) -> None:
    session = opened(name).load(doubling_model(batch))
    with pytest.raises(InputError, match="does not take these inputs"):
        session.run(bad)


def test_one_thread_is_one_thread(name: str) -> None:
    """Processor time measures a run only where no helper thread works, or spins, beside it."""
    runtime = opened(name)
    if not runtime.cpu:
        pytest.skip("processor time is not its clock")
    n = 768  # some 10 ms
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (n, n))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (n, n))],
        [numpy_helper.from_array(np.full((n, n), 0.01, np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = runtime.load(model.SerializeToString())
    inputs = session.example()
    session.run(inputs)
    wall, busy = Timer(threads=2), Timer(threads=1)
    ratios = []
    for _ in range(10):
        spent: list[float] = []
        took = wall(lambda spent=spent: spent.append(busy(lambda: session.run(inputs))))
        ratios.append(spent[0] / took)
    assert max(ratios) < 1.1


def test_target_picks_runtime_threads_and_precision() -> None:
    runtime = runtime_for(load("local", threads=2, precision="int8", batch=4))
    assert (runtime.threads, runtime.precision, runtime.batch) == (2, "int8", 4)


def test_every_runtime_of_a_target_is_registered() -> None:
    from typing import get_args

    from hwnas.target import RuntimeName

    assert set(get_args(RuntimeName)) == set(RUNTIMES)


def test_unknown_runtime_lists_the_known() -> None:
    with pytest.raises(UnknownName, match="onnxruntime"):
        open_runtime("onxruntime")


def test_a_precision_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(UsageError, match=r"onnxruntime computes in fp32.* on this device, not in bf16"):
        open_runtime("onnxruntime", precision="bf16")


@pytest.mark.parametrize("name", sorted(RUNTIMES))
def test_missing_library_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, RUNTIMES[name].library, None)
    with pytest.raises(MissingDependency, match="pip install"):
        open_runtime(name)
