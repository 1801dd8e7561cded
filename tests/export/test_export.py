"""What leaves: one ONNX file that gives torch's logits at any batch, says where it is from, and can be checked."""

from __future__ import annotations

import copy
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from hwnas.errors import InputError, RunError, VerificationFailed
from hwnas.export import Samples, Verdict, onnx_bytes, onnx_export, predict, read_metadata, stamped, to_onnx, verify
from hwnas.nets import Network
from hwnas.runtime import Measurement, open_runtime
from hwnas.space import SpaceConfig, build
from hwnas.target import load
from hwnas.tasks.classify import AccuracyMetric
from hwnas.train import logits

CLASSES = ["zero", "one", "zwö", "three", "four"]
METADATA = {"classes": CLASSES, "seed": 3, "nested": {"accuracy": 97.5, "none": None}}
TARGET = load("local")
LATENCY = Measurement(2.0, 1.9, 2.1, 10)


@dataclass
class Exported:
    """A network and its file; weights and statistics are not those of a fresh one."""

    net: Network
    path: Path
    samples: Samples


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    torch.manual_seed(0)
    space = build(SpaceConfig("mobile", 16, 3, len(CLASSES), 0.5, 1))
    net = Network(space.architecture([5, 6, 0]), [0.4, 0.5, 0.6], [0.2, 0.25, 0.3])
    for _ in range(3):
        net.train()(torch.rand(16, 3, 16, 16))
    net.eval()
    with torch.no_grad():
        net.blocks["head"].steps[2][0].weight.mul_(100)  # logits that differ by more than rounding
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (70, 16, 16, 3), dtype=np.uint8)
    answers = logits(net, images).numpy()
    path = tmp_path_factory.mktemp("export") / "deep" / "model.onnx"
    to_onnx(net, path, METADATA)
    return Exported(net, path, Samples.classified(images, answers.argmax(1).astype(np.int64), answers))


def mlp(inputs: tuple[object, ...], outputs: int, dtype: int = TensorProto.FLOAT) -> bytes:
    """A foreign model: a global mean and a matrix product."""
    nodes = [helper.make_node("ReduceMean", ["x", "axes"], ["m"], keepdims=0),
             helper.make_node("MatMul", ["m", "w"], ["y"])]
    weights = [helper.make_tensor("w", dtype, (3, outputs), [1.0] * (3 * outputs)),
               helper.make_tensor("axes", TensorProto.INT64, (2,), [2, 3])]
    graph = helper.make_graph(nodes, "foreign", [helper.make_tensor_value_info("x", dtype, inputs)],
                              [helper.make_tensor_value_info("y", dtype, ("n", outputs))], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return made.SerializeToString()  # type: ignore[no-any-return]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_any_batch_gives_torchs_logits(model: Exported, batch: int) -> None:
    session = open_runtime("onnxruntime").load(model.path.read_bytes())
    x = np.random.default_rng(batch).random((batch, 3, 16, 16), dtype=np.float32)
    (out,) = session.run({"image": x})
    with torch.no_grad():
        expected = model.net(torch.from_numpy(x)).numpy()
    assert out.shape == (batch, len(CLASSES))
    assert np.abs(out - expected).max() < 1e-4
    assert np.ptp(expected) > 0.1


def test_the_interface_of_the_file(model: Exported) -> None:
    session = open_runtime("onnxruntime").load(model.path.read_bytes())
    assert session.input_name == "image"
    assert session.input_shape == (None, 3, 16, 16)
    graph = onnx.load(model.path).graph
    assert [o.name for o in graph.output] == ["logits"]
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_batch_norms_are_folded_and_weights_are_inside(model: Exported) -> None:
    found = onnx.load(model.path, load_external_data=False)
    onnx.checker.check_model(found, full_check=True)
    assert "BatchNormalization" not in {node.op_type for node in found.graph.node}
    assert all(i.data_location == TensorProto.DEFAULT for i in found.graph.initializer)
    assert os.listdir(model.path.parent) == ["model.onnx"]


def test_metadata_survives(model: Exported) -> None:
    assert read_metadata(model.path.read_bytes()) == METADATA
    stored = {p.key: p.value for p in onnx.load(model.path).metadata_props}
    assert sorted(stored) == ["classes", "hwnas"]
    assert onnx.load(model.path).producer_name == "hwnas"


def test_no_path_of_this_machine_is_inside(model: Exported) -> None:
    data = model.path.read_bytes()
    here = {str(Path.cwd()), str(Path.home()), os.path.dirname(torch.__file__), str(model.path.parent)}
    for text in (*here, "site-packages", ".py", "hwnas/", "torch/nn", "/opt/", "/home/", "/tmp/", "/usr/"):
        assert text.encode() not in data, text
    assert not re.search(rb"File \"", data)


@pytest.fixture(scope="module")
def again(model: Exported, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The same network exported a second time, from training mode."""
    net = copy.deepcopy(model.net).train()
    path = tmp_path_factory.mktemp("again") / "model.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_export, "_graphs", {})
        to_onnx(net, path, METADATA)
    return Exported(net, path, model.samples)


def test_exporting_does_not_change_weights_or_statistics(model: Exported, again: Exported) -> None:
    before = model.net.state_dict()
    assert all(torch.equal(v, before[k]) for k, v in again.net.state_dict().items())


def test_exporting_does_not_change_the_mode(again: Exported) -> None:
    """`to_onnx` promises a network that is not changed."""
    assert again.net.training


def test_the_same_network_gives_the_same_bytes_from_either_mode(model: Exported, again: Exported) -> None:
    assert again.path.read_bytes() == model.path.read_bytes()


def test_what_was_just_exported_is_not_exported_anew(model: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """But stamped anew; and a network with one other weight is another network."""
    asked: list[object] = []
    export = onnx_export.onnx_graph
    monkeypatch.setattr(onnx_export, "_graphs", {})
    monkeypatch.setattr(onnx_export, "onnx_graph", lambda net, *rest: (asked.append(net), export(net, *rest))[1])
    first, other = onnx_bytes(model.net, METADATA), onnx_bytes(model.net, {"seed": 4})
    assert len(asked) == 1
    assert first == model.path.read_bytes()
    assert (read_metadata(other)["seed"], stamped(other, METADATA)) == (4, first)
    moved = copy.deepcopy(model.net)
    with torch.no_grad():
        moved.normalize.mean[...] += 0.1
    assert onnx_bytes(moved, METADATA) != first
    assert len(asked) == 2
    monkeypatch.setattr(onnx_export, "KEPT", 1)
    onnx_bytes(moved, METADATA)
    onnx_bytes(model.net, METADATA)
    assert len(asked) == 3
    assert len(onnx_export._graphs) == 1


def test_predict_works_in_pieces(model: Exported) -> None:
    session = open_runtime("onnxruntime").load(model.path.read_bytes())
    whole = predict(session, model.samples.images)
    assert whole.shape == (70, len(CLASSES))
    np.testing.assert_allclose(predict(session, model.samples.images, batch=33), whole, atol=1e-5)


def test_a_good_model_passes_and_is_timed(model: Exported) -> None:
    verdict = verify(model.path, model.samples, TARGET, budget_ms=1000.0)
    assert verdict.failures() == []
    verdict.check()
    assert verdict.max_difference < 1e-4
    assert (verdict.agreement, verdict.score, verdict.images) == (100, 100, 70)
    assert 0 < verdict.latency.median_ms < 1000
    assert verdict.within_budget
    assert verdict.to_json()["failures"] == []


def test_wrong_logits_are_found(model: Exported) -> None:
    shifted = replace(model.samples, outputs=(model.samples.logits + np.float32(1e-3),))
    verdict = verify(model.path, shifted, TARGET, latency=LATENCY)
    assert verdict.max_difference == pytest.approx(1e-3, rel=0.1)
    assert verdict.agreement == 100
    with pytest.raises(VerificationFailed, match=r"logits differ from torch's by 1\.0\de-03, more than 1e-04"):
        verdict.check()


def test_wrong_answers_are_found(model: Exported) -> None:
    rolled = replace(model.samples, outputs=(np.roll(model.samples.logits, 1, axis=1),))
    verdict = verify(model.path, rolled, TARGET, latency=LATENCY)
    assert verdict.agreement < 100
    assert verdict.score == 100  # the labels are still those of the model
    assert len(verdict.failures()) == 2
    assert verdict.to_json()["failures"] == verdict.failures()


def test_logits_that_are_no_numbers_are_found(model: Exported) -> None:
    broken = model.samples.logits.copy()
    broken[3, 1] = np.nan
    verdict = verify(model.path, replace(model.samples, outputs=(broken,)), TARGET, latency=LATENCY)
    with pytest.raises(VerificationFailed, match="logits differ"):
        verdict.check()


@pytest.mark.parametrize(("budget", "within"), [(None, True), (2.0, True), (2.001, True), (1.999, False), (0.0, False)])
def test_the_budget_is_held_against_the_median(model: Exported, budget: float | None, within: bool) -> None:
    verdict = verify(model.path, model.samples, TARGET, budget_ms=budget, latency=LATENCY)
    assert verdict.within_budget == within
    assert verdict.latency == LATENCY
    if not within:
        with pytest.raises(VerificationFailed, match=rf"latency is 2\.000 ms, over the budget of {budget:.3f} ms"):
            verdict.check()


def test_accuracy_over_other_images(model: Exported) -> None:
    images, labels = model.samples.images[:10], model.samples.metric.labels[:10].copy()
    labels[:4] = (labels[:4] + 1) % len(CLASSES)
    verdict = verify(model.path, model.samples, TARGET, evaluation=(images, AccuracyMetric(labels)), latency=LATENCY)
    assert (verdict.score, verdict.images, verdict.agreement) == (60, 10, 100)


@pytest.mark.parametrize("content", [b"", b"no model at all", bytes(100)])
def test_what_is_no_model_is_refused(model: Exported, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(InputError):
        verify(tmp_path / "m.onnx", model.samples, TARGET, latency=LATENCY)
    with pytest.raises(InputError):
        read_metadata(content)


def test_a_truncated_or_absent_model_is_refused(model: Exported, tmp_path: Path) -> None:
    data = model.path.read_bytes()
    (tmp_path / "m.onnx").write_bytes(data[: len(data) // 2])
    for name in ("m.onnx", "absent.onnx"):
        with pytest.raises(InputError):
            verify(tmp_path / name, model.samples, TARGET, latency=LATENCY)


@pytest.mark.parametrize("foreign", [
    mlp(("n", 3, 16, 16), 7), mlp(("n", 3, 8, 8), 5), mlp((1, 3, 16, 16), 5),
    mlp(("n", 3, 16, 16), 5, TensorProto.DOUBLE),
], ids=["other classes", "other image size", "batch of one", "float64"])
def test_foreign_models_are_refused_in_one_line(model: Exported, tmp_path: Path, foreign: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(foreign)
    with pytest.raises(InputError):
        verify(tmp_path / "m.onnx", model.samples, TARGET, latency=LATENCY)
    with pytest.raises(InputError, match="not exported by hwnas"):
        read_metadata(foreign)


@pytest.mark.parametrize("text", ["not json", "[1]", "3"])
def test_tampered_metadata_is_refused(model: Exported, text: str) -> None:
    proto = onnx.load(model.path)
    helper.set_model_props(proto, {"hwnas": text})
    with pytest.raises(InputError):
        read_metadata(proto.SerializeToString())


def test_samples_round_trip_whatever_their_layout(model: Exported, tmp_path: Path) -> None:
    images, labels = model.samples.images, model.samples.metric.labels
    turned = replace(model.samples, images=images.transpose(0, 2, 1, 3), metric=AccuracyMetric(labels[::-1]))
    turned.save(tmp_path / "s.safetensors")
    found = Samples.load(tmp_path / "s.safetensors")
    assert found.classes == turned.classes == len(CLASSES)
    for read, written in ((found.images, turned.images), (found.metric.labels, turned.metric.labels),
                          (found.logits, turned.logits)):
        np.testing.assert_array_equal(read, written)
        assert read.dtype == written.dtype


def test_damaged_samples_are_refused(model: Exported, tmp_path: Path) -> None:
    path = tmp_path / "s.safetensors"
    with pytest.raises(RunError, match="export the model again"):
        Samples.load(path)
    model.samples.save(path)
    for content in (path.read_bytes()[:-5], b"", b"x" * 50):
        path.write_bytes(content)
        with pytest.raises(RunError, match=r"s\.safetensors does not hold check samples"):
            Samples.load(path)


def test_a_verdict_lists_every_failure() -> None:
    verdict = Verdict(1.0, 50.0, 10.0, 4, LATENCY, 1.0)
    assert len(verdict.failures()) == 3
    assert Verdict(1e-4, 100.0, 10.0, 4, LATENCY, None).failures() == []
