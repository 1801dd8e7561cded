"""A bundle does on its device what hwnas does, and notices whatever happened to it on the way."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from PIL import Image

from hwnas.cli import main
from hwnas.deploy import Bundle, verify
from hwnas.deploy.manifest import LatencyPromise
from hwnas.errors import InputError, UsageError, VerificationFailed
from hwnas.export import stamped
from hwnas.files import sha256
from hwnas.pipeline.exported.image_sources import frames
from hwnas.pipeline.exported.predicting import Predictor
from hwnas.quantize import to_form
from hwnas.runtime import Fingerprint, open_runtime

Ran = subprocess.CompletedProcess[str]
OnDevice = Callable[..., Ran]
TASKS = ["classify", "detect", "segment"]


@pytest.fixture
def bundle(bundles: Callable[[str], Path], tmp_path: Path) -> Path:
    """A classifier's bundle that a test may change."""
    return Path(shutil.copytree(bundles("classify"), tmp_path / "bundle"))


def sealed_anew(bundle: Path) -> None:
    """Hashes that fit, so that only what they do not see is left to notice."""
    names = [line.split("  ", 1)[1] for line in (bundle / "SHA256SUMS").read_text().splitlines()]
    (bundle / "SHA256SUMS").write_text("".join(f"{sha256(bundle / name)}  {name}\n" for name in names))


@pytest.mark.parametrize("task", TASKS)
def test_the_device_finds_it_good(task: str, bundles: Callable[[str], Path], on_device: OnDevice) -> None:
    done = on_device(bundles(task), "verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["good"]
    assert found["difference"] <= 1e-4
    assert found["images"] == 32
    assert 0 < found["latency"]["median_ms"] < found["promise_ms"]
    assert found["agreement"] == (None if task == "detect" else 100)
    line = on_device(bundles(task), "verify")
    assert line.returncode == 0
    assert line.stdout.startswith("good: ")
    assert line.stdout.count("\n") == 1


@pytest.mark.parametrize("task", TASKS)
def test_the_device_says_what_predict_says(task: str, bundles: Callable[[str], Path], on_device: OnDevice, photo: Path,
                                           tmp_path: Path) -> None:
    bundle = bundles(task)
    done = on_device(bundle, "predict", photo, "-o", tmp_path / "seen", "--threshold", "0.001")
    assert done.returncode == 0, done.stderr
    found = Predictor.of(bundle / "model.onnx", threshold=0.001).predict(next(frames(photo)))
    told = json.loads(done.stdout)
    if found.mask is not None:
        with Image.open(tmp_path / "seen" / told.pop("mask")) as mask:
            assert np.array_equal(np.asarray(mask), found.mask)
    assert told == found.facts
    assert told.get("boxes") != []


def test_one_bad_file_costs_its_own_answer_on_the_device(bundles: Callable[[str], Path], on_device: OnDevice,
                                                          photo: Path, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "photos" / "seen"
    photos.mkdir()
    for name in ("a.png", "a.PNG", "._a.png", "a.jpg"):
        shutil.copy(photo, photos / name)
    (photos / "b.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    (photos / "c.npy").write_bytes(b"no array")
    os.mkfifo(photos / "d.png")
    first = on_device(bundles("segment"), "predict", photos, "-o", out)
    assert first.returncode == 2
    assert first.stderr.count("\n") == 2
    assert "left out 1 hidden image: ._a.png" in first.stderr
    assert "error: 3 of 6 files cannot be read; b.png: " in first.stderr
    lines = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    assert [json.loads(line) for line in first.stdout.splitlines()] == lines
    assert [line["file"] for line in lines if "error" in line] == ["b.png", "c.npy", "d.png"]
    assert len({line["mask"].lower() for line in lines if "mask" in line}) == 3
    again = on_device(bundles("segment"), "predict", photos, "-o", out)
    assert again.stdout == first.stdout


def test_without_pillow_an_array_of_the_input_s_size_is_enough(bundles: Callable[[str], Path], on_device: OnDevice,
                                                               photo: Path, tmp_path: Path) -> None:
    refused = on_device(bundles("segment"), "predict", photo, without=["PIL"])
    assert refused.returncode == 2
    assert "Pillow" in refused.stderr
    np.save(tmp_path / "a.npy", np.zeros((64, 96, 3), np.uint8))
    np.save(tmp_path / "b.npy", np.zeros((32, 96, 3), np.uint8))
    assert on_device(bundles("segment"), "predict", tmp_path / "a.npy", without=["PIL"]).returncode == 0
    assert "must hold uint8 (64, 96, 3)" in on_device(bundles("segment"), "predict", tmp_path / "b.npy").stderr


def test_from_python_on_the_device(bundles: Callable[[str], Path], photo: Path, tmp_path: Path) -> None:
    import sys

    program = f"import sys; sys.path.insert(0, {str(bundles('classify'))!r})\nfrom bundle import load\n" \
              f"print(len(load().predict({str(photo)!r}).facts['classes']))"
    done = subprocess.run([sys.executable, "-B", "-c", program], cwd=tmp_path, capture_output=True, text=True,
                          timeout=240, check=True)
    assert done.stdout == "5\n"


@pytest.mark.parametrize("task", TASKS)
def test_what_model_json_says(task: str, made: Callable[[str], Any], bundles: Callable[[str], Path]) -> None:
    facts = json.loads((bundles(task) / "model.json").read_text())
    assert facts["hwnas_bundle"] == 1
    assert facts["task"] == task
    assert facts["classes"] == made(task).metadata["classes"]
    assert facts["inputs"][0]["dtype"] == "float32"
    assert facts["inputs"][0]["shape"][0] is None
    assert len(facts["outputs"]) == len(made(task).samples.outputs)
    assert facts["provenance"]["table_hash"] == "0123"
    assert facts["latency"]["predicted_ms"] == 0.5
    assert facts["latency"]["measured"]["median_ms"] == 1000
    assert ("detection_head" in facts) == (task == "detect")
    assert facts["preprocessing"]["fit"] == ("crop" if task == "classify" else "letterbox")


def test_numpy_alone_reads_the_samples(made: Callable[[str], Any], bundles: Callable[[str], Path]) -> None:
    with np.load(bundles("detect") / "samples.npz", allow_pickle=False) as stored:
        assert sorted(stored.files) == ["images", "output_0", "output_1", "output_2"]
        assert np.array_equal(stored["output_1"], made("detect").samples.outputs[1][:32])


def test_other_tools_read_the_sums(bundle: Path) -> None:
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=bundle, check=True, timeout=240)
    listed = {line.split("  ", 1)[1] for line in (bundle / "SHA256SUMS").read_text().splitlines()}
    there = {p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if p.is_file()}
    assert listed == there - {"SHA256SUMS"}


def test_no_path_of_this_machine_is_inside(bundle: Path) -> None:
    for path in bundle.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [text for text in (str(Path.cwd()), str(Path.home()), "/opt/", "/home/") if
                        text.encode() in content], path


@pytest.mark.parametrize("name", ["model.onnx", "model.json", "samples.npz", "runner/boxes.py", "README.md"])
def test_a_changed_file_is_noticed(name: str, bundle: Path, on_device: OnDevice,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    if name.endswith(".py"):
        content = bytearray((bundle / name).read_bytes() + b"# changed\n")
    (bundle / name).write_bytes(content)
    assert main(["bundle", "verify", str(bundle)]) == 2
    told = capsys.readouterr().err
    assert f"{name} is not the file that was deployed" in told
    done = on_device(bundle, "verify")
    assert done.returncode == 2
    assert f"{name} is not the file that was deployed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["model.onnx", "samples.npz", "SHA256SUMS"])
def test_a_missing_file_is_noticed(name: str, bundle: Path, on_device: OnDevice, photo: Path) -> None:
    (bundle / name).unlink()
    for done in (on_device(bundle, "verify"), on_device(bundle, "predict", photo)):
        assert done.returncode == 2
        assert name in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["", "nonsense\n", "0" * 64 + "  ../outside\n", "0" * 64 + "  /etc/passwd\n"])
def test_sums_that_are_none_are_refused(text: str, bundle: Path) -> None:
    (bundle / "SHA256SUMS").write_text(text)
    with pytest.raises(InputError, match="SHA256SUMS"):
        Bundle(bundle)


@pytest.mark.parametrize("fits", [False, True])
def test_a_truncated_model_is_noticed(fits: bool, bundle: Path, on_device: OnDevice) -> None:
    content = (bundle / "model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes(content[: len(content) // 2])
    if fits:
        sealed_anew(bundle)
    done = on_device(bundle, "verify")
    assert done.returncode == 2
    assert "model.onnx" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 but no more"])
def test_samples_that_are_none_are_refused(damage: bytes, bundle: Path, on_device: OnDevice) -> None:
    (bundle / "samples.npz").write_bytes(damage)
    sealed_anew(bundle)
    done = on_device(bundle, "verify")
    assert done.returncode == 2
    assert "samples.npz cannot be read" in done.stderr


def test_another_version_is_refused(bundle: Path) -> None:
    facts = json.loads((bundle / "model.json").read_text())
    (bundle / "model.json").write_text(json.dumps({**facts, "hwnas_bundle": 2}))
    sealed_anew(bundle)
    with pytest.raises(InputError, match='"hwnas_bundle" must be 1'):
        Bundle(bundle)


def test_other_weights_are_exit_4(bundle: Path, on_device: OnDevice, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(bundle / "model.onnx")
    weight = max(model.graph.initializer, key=lambda i: len(i.raw_data))
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) + np.float32(0.01), weight.name))
    onnx.save(model, bundle / "model.onnx")
    sealed_anew(bundle)
    assert main(["bundle", "verify", str(bundle)]) == 4
    assert capsys.readouterr().out.startswith("failed: outputs differ from the stored ones")
    done = on_device(bundle, "verify", "--json")
    assert done.returncode == 4
    assert not json.loads(done.stdout)["good"]


def test_too_slow_is_exit_4(made: Callable[[str], Any], tmp_path: Path, on_device: OnDevice) -> None:
    here = Fingerprint.of(open_runtime("onnxruntime")).to_json()
    promise = LatencyPromise({"median_ms": 1e-6}, 1e-6, device={**here, "cpu": "faster"})
    bundle = made("classify").bundle(tmp_path / "b", promise=promise)
    done = on_device(bundle, "verify")
    assert done.returncode == 4
    assert "% over 0.000 ms" in done.stdout
    assert "but on another device (cpu: " in done.stdout
    assert on_device(bundle, "predict", "absent.png").returncode == 2


def test_budgets_on_memory_energy_and_tails_are_measured_on_the_device(made: Callable[[str], Any], tmp_path: Path,
                                                                       on_device: OnDevice) -> None:
    """What no meter tells is open, what takes more than its budget is exit 4."""
    wide = {"latency_p99": 1e6, "peak_memory": 1e9, "energy": 1e6}
    spends = [{"name": name, "limit": limit, "share": None} for name, limit in wide.items()]
    bundle = made("classify").bundle(tmp_path / "wide", spends=spends)
    done = on_device(bundle, "verify", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    kept = {one["name"]: one for one in json.loads(done.stdout)["kept"]}
    assert kept["latency_p99"]["verdict"] == kept["peak_memory"]["verdict"] == "good"
    assert 0 < kept["peak_memory"]["value"] < 100e6
    assert kept["energy"]["verdict"] == ("open" if kept["energy"]["value"] is None else "good")
    narrow = made("classify").bundle(tmp_path / "narrow", spends=[{"name": "peak_memory", "limit": 1e3, "share": None}])
    done = on_device(narrow, "verify")
    assert done.returncode == 4
    assert "memory of a process" in done.stdout
    assert "over 1.0 kB" in done.stdout


def test_a_promise_is_the_budget_or_what_was_measured() -> None:
    timed = {"median_ms": 2.0}
    assert LatencyPromise(timed, 3.0).to_json({})["promise_ms"] == 3.0
    assert LatencyPromise(timed).to_json({})["promise_ms"] == pytest.approx(2.2)
    assert LatencyPromise().to_json({})["promise_ms"] is None


def test_int8_is_held_against_its_own_outputs(made: Callable[[str], Any], tmp_path: Path) -> None:
    found = made("classify")
    model = stamped(to_form(found.model, "int8"), {**found.metadata, "precision": "int8"})
    target = found.target.model_copy(update={"precision": "int8"})
    bundle = Bundle(found.bundle(tmp_path / "b", model=model, target=target))
    assert bundle.facts["parity"]["rule"] == "rms"
    assert bundle.facts["parity"]["outputs_of"].startswith("onnxruntime ")
    assert verify(bundle, timing=False).difference < 1e-3


def test_a_model_that_fails_leaves_nothing_behind(made: Callable[[str], Any], tmp_path: Path) -> None:
    found = made("classify")
    wrong = replace(found.samples, outputs=(found.samples.outputs[0] + 1,))
    with pytest.raises(VerificationFailed, match="outputs differ"):
        found.bundle(tmp_path / "deep" / "b", samples=wrong)
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_folder_that_is_taken_is_left_alone(made: Callable[[str], Any], bundle: Path, tmp_path: Path) -> None:
    before = sha256(bundle / "SHA256SUMS")
    with pytest.raises(UsageError, match="not an empty folder"):
        made("detect").bundle(bundle)
    assert sha256(bundle / "SHA256SUMS") == before
    (tmp_path / "empty").mkdir()
    assert made("classify").bundle(tmp_path / "empty").is_dir()


def test_a_runtime_that_is_not_here(bundle: Path, on_device: OnDevice) -> None:
    done = on_device(bundle, "verify", without=["onnxruntime"])
    assert done.returncode == 2
    assert "pip install onnxruntime" in done.stderr
    assert "unknown runtime 'onnxruntim'" in on_device(bundle, "verify", "--runtime", "onnxruntim").stderr


def test_a_bundle_for_a_device_that_is_not_here(made: Callable[[str], Any], tmp_path: Path,
                                               on_device: OnDevice) -> None:
    target = made("classify").target.model_copy(update={"name": "board", "runtime": "tensorrt"})
    bundle = made("classify").bundle(tmp_path / "b", target=target)
    assert (bundle / "runner" / "runtime" / "tensorrt_session.py").is_file()
    found = json.loads(on_device(bundle, "verify", "--runtime", "onnxruntime", "--json").stdout)
    assert found["good"]
    assert found["latency"] is None
