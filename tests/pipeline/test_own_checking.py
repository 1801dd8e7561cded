"""verify of what became of a user's own network: its file alone, and with what lies beside it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hwnas.cli import main
from hwnas.errors import InputError, RunError, UsageError, VerificationFailed
from hwnas.export.metadata import read_metadata, stamped
from hwnas.export.own_samples import OwnSamples
from hwnas.export.samples import Samples
from hwnas.imaging import InputContract
from hwnas.pipeline.exported import own_checking
from hwnas.pipeline.exported.checking import check_model
from hwnas.pipeline.exported.own_checking import OwnCheck
from tests.trained_network import Builder, shipped, small_network

GREY = InputContract((127.5,), (127.5,), "grey")


@pytest.fixture(autouse=True)
def timed_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_checking, "SWEEPS", 3)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return shipped(tmp_path / "run", small_network(), GREY, (16, 16), classes=[*"abcdefghij"])


def checked(path: Path, **words: object) -> OwnCheck:
    found = check_model(path, **words)  # type: ignore[arg-type]
    assert isinstance(found, OwnCheck)
    return found


def test_a_good_model_is_good(model: Path) -> None:
    found = checked(model)
    assert found.failures() == []
    assert found.difference == 0
    assert (found.rule, found.images, found.judged) == ("largest", 6, 6)
    assert found.scores["loss"] == 0
    assert found.scores["agreement"] == 100
    assert found.latency is not None
    assert found.beside is not None
    assert found.judgement is not None


def test_in_integers_it_is_held_against_what_it_gave(tmp_path: Path) -> None:
    found = checked(shipped(tmp_path / "run", small_network(), GREY, (16, 16), precision="int8"))
    assert (found.difference, found.rule, found.target.precision) == (0, "rms", "mixed")
    assert 0 < found.scores["loss"] < 0.2


def damage(path: Path) -> None:
    """Other weights in the first convolution, all else as it was."""
    told, proto = read_metadata(path.read_bytes()), onnx.load_model(path)
    tensor = next(t for t in proto.graph.initializer if len(t.dims) == 4)
    tensor.CopyFrom(numpy_helper.from_array(1.5 * numpy_helper.to_array(tensor), tensor.name))
    path.write_bytes(stamped(proto.SerializeToString(), told))


def test_a_model_that_was_changed_fails(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(model)
    found = checked(model)
    [failure] = found.failures()
    assert "outputs differ from those that were stored" in failure
    with pytest.raises(VerificationFailed, match="outputs differ"):
        found.check()
    assert main(["verify", str(model)]) == 4
    out = capsys.readouterr()
    assert "failed" in out.out
    assert "error: the exported model failed its check" in out.err


def test_a_budget_is_held_at_the_speed_that_it_was_made_at(model: Path) -> None:
    assert checked(model, latency="1us").failures()  # nothing runs a thousand convolutions in that
    found = checked(model, latency="50%")
    assert found.promise is not None
    assert found.promise.latency_ms == pytest.approx(500)
    (model.parent / "network.onnx").unlink()
    alone = checked(model)
    assert alone.beside is None
    assert alone.failures() == []  # 1000 ms


def test_labels_tell_an_accuracy(model: Path) -> None:
    path = model.parent / "samples.safetensors"
    stored = OwnSamples.load(path)
    OwnSamples(stored.images, stored.outputs, stored.given, stored.outputs[0].argmax(1), stored.runtime).save(path)
    assert checked(model).scores["accuracy"] == 100


def test_other_images_judge_it_where_the_given_network_is_there(model: Path) -> None:
    found = checked(model, data="digits")
    assert found.judged > 100
    assert found.scores["agreement"] == 100
    assert found.scores["accuracy"] < 50  # its weights were drawn
    (model.parent / "network.onnx").unlink()
    with pytest.raises(UsageError, match=r"network\.onnx, which is not beside .*leave out --data"):
        checked(model, data="digits")


def test_outputs_without_an_axis_of_images_are_not_compared(tmp_path: Path) -> None:
    b = Builder()
    x = b.node("Relu", b.conv("image", 1, 4))
    flat = b.node("Reshape", x, b.constant(np.array([-1, 4])))
    path = shipped(tmp_path / "run", b.model(flat), GREY, (16, 16))
    found = checked(path)
    assert (found.difference, found.images, found.scores, found.failures()) == (None, 0, {}, [])


def test_what_it_tells(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(model), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["failures"] == []
    assert told["budget_ms"] == 1000
    assert main(["verify", str(model)]) == 0
    out = capsys.readouterr().out
    assert "good" in out
    assert "of net" in out


def test_what_is_refused(model: Path) -> None:
    with pytest.raises(UsageError, match="leave out --batch"):
        check_model(model, overrides={"batch": 2})
    with pytest.raises(RunError, match="does not hold check samples"):
        Samples.load(model.parent / "samples.safetensors")
    told = read_metadata(model.read_bytes())
    content = model.read_bytes()
    for changed, words in (
            ({"contract": {**told["contract"], "std": [0]}}, "std must be above 0"),
            ({"contract": {**told["contract"], "colour": "rgb"}}, "channels"),
            ({"outputs": [{"name": "other", "kind": "classes"}]}, "are not those that it tells of"),
            ({"input": [1, 1, 32, 32]}, "must take 1x1x32x32 alone"), ({"precision": "int4"}, "precision")):
        model.write_bytes(stamped(content, {**told, **changed}))
        with pytest.raises(InputError, match=words):
            check_model(model)
    model.write_bytes(content)
    (model.parent / "samples.safetensors").write_bytes(b"no")
    with pytest.raises(RunError, match="does not hold check samples of a network of your own"):
        check_model(model)
