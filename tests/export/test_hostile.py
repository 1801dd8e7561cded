"""Models and samples from somebody else: what can be run and compared, or one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save

from hwnas.errors import InputError, RunError
from hwnas.export.metadata import METADATA_KEY, read_exported, stamped
from hwnas.export.samples import Samples
from hwnas.runtime import open_runtime
from hwnas.runtime.onnx_file import check_onnx
from tests.mutations import damaged_bytes, documents, fuzzed, judged, mutated
from tests.old_files import unpacked

MODEL = (unpacked() / "run" / "model.onnx").read_bytes()
METADATA = read_exported(MODEL)
SAMPLES = unpacked() / "run" / "samples.safetensors"


def with_metadata(text: str) -> bytes:
    proto = onnx.load_model_from_string(MODEL)
    del proto.metadata_props[:]
    helper.set_model_props(proto, {METADATA_KEY: text})
    return bytes(proto.SerializeToString())


@pytest.mark.slow
@fuzzed
@given(value=mutated(METADATA))
def test_metadata(value: Any) -> None:
    text = json.dumps(value).encode("utf-8", "replace").decode()
    found = judged(lambda: read_exported(with_metadata(text)))
    if found is not None:
        assert stamped(MODEL, found)


@fuzzed
@given(content=documents(METADATA).map(lambda raw: raw.decode("utf-8", "replace")))
def test_metadata_that_is_no_json(content: str) -> None:
    judged(lambda: read_exported(with_metadata(content)))


@fuzzed
@given(content=damaged_bytes(MODEL))
def test_bytes(content: bytes) -> None:
    runtime = open_runtime("onnxruntime")
    judged(lambda: read_exported(content))
    judged(lambda: runtime.load(content))


def external(tensor: TensorProto) -> TensorProto:
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "secret.bin"
    tensor.ClearField("raw_data")
    return tensor


def weights() -> TensorProto:
    return external(numpy_helper.from_array(np.ones((1, 4), np.float32), "w"))


def model_with(place: str) -> bytes:
    """A model that keeps a tensor outside, in one of the places where a tensor can be."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4]) for name in "xy")
    tensor = weights()
    if place == "weights":
        graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [tensor])
    elif place == "constant":
        nodes = [helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("Add", ["x", "w"], ["y"])]
        graph = helper.make_graph(nodes, "g", [x], [y])
    elif place == "subgraph":
        inner = helper.make_graph([helper.make_node("Identity", ["w"], ["z"])], "i", [],
                                  [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 4])], [tensor])
        always = numpy_helper.from_array(np.array(True), "c")
        nodes = [helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)]
        graph = helper.make_graph(nodes, "g", [x], [y], [always])
    else:
        graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "g", [x], [y])
        if place == "sparse":
            sparse = graph.sparse_initializer.add()
            sparse.values.CopyFrom(tensor)
    made = helper.make_model(graph)
    if place == "function":
        nodes = [helper.make_node("Constant", [], ["w"], value=tensor), helper.make_node("Add", ["a", "w"], ["b"])]
        made.functions.append(helper.make_function("d", "F", ["a"], ["b"], nodes, made.opset_import))
    elif place == "training":
        made.training_info.add().initialization.initializer.append(tensor)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize("place", ["weights", "constant", "subgraph", "sparse", "function", "training"])
def test_tensors_in_other_files_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(np.full(4, 7, np.float32).tobytes())
    for runtime in ("onnxruntime", "openvino"):
        with pytest.raises(InputError, match="other files"):
            open_runtime(runtime).load(model_with(place))


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_weights_that_are_no_numbers(number: float, dtype: type) -> None:
    tensor = numpy_helper.from_array(np.array([[1, number, 1, 1]], dtype), "w")
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    x, y = (helper.make_tensor_value_info(name, kind, [1, 4]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [tensor])
    with pytest.raises(InputError, match="'w' holds numbers that are NaN or infinite"):
        check_onnx(helper.make_model(graph).SerializeToString())


ARRAYS = load_file(SAMPLES)
ODD_ARRAYS: list[Any] = [None, np.zeros((0, 10), np.float32), np.full((40, 10), np.nan, np.float32), np.zeros(3),
                         ARRAYS["labels"] + 1000, ARRAYS["labels"] - 5, ARRAYS["labels"].astype(np.float32),
                         ARRAYS["labels"][:3], ARRAYS["images"][:3], ARRAYS["images"].astype(np.float32),
                         np.zeros((40, 16, 16), np.uint8), np.zeros((40, 4), np.float32)]


def changed(change: dict[str, Any], facts: bytes) -> bytes:
    values = {name: np.ascontiguousarray(value) for name, value in (ARRAYS | change).items() if value is not None}
    return bytes(save(values, metadata={"hwnas": facts.decode("utf-8", "replace")}))


@fuzzed
@given(content=st.builds(changed, st.dictionaries(
           st.sampled_from(["images", "labels", "logits", "truth.masks", "truth.boxes", "output_0"]),
           st.sampled_from(ODD_ARRAYS), max_size=2), documents({"task": "classify", "classes": 10}))
       | damaged_bytes(SAMPLES.read_bytes()))
def test_samples(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "samples.safetensors"
    path.write_bytes(content)
    found = judged(lambda: Samples.load(path))
    if found is not None:
        assert len(found.images) == len(found.metric)
        assert 0 <= found.metric.score([found.outputs]) <= 100


def test_labels_beyond_the_classes(tmp_path: Path) -> None:
    path = tmp_path / "samples.safetensors"
    path.write_bytes(changed({"labels": ARRAYS["labels"] + 1000}, b"{}"))
    with pytest.raises(RunError, match=r"labels must be from 0 to 9, not 1000 to 1009.*export the model again"):
        Samples.load(path)
