"""A bundle is judged at the speed of its promise; an estimate, or another device's promise, as what it is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.cli import main
from hwnas.deploy import Bundle, verify
from hwnas.deploy.bundle_writer import _check_target
from hwnas.deploy.manifest import LatencyPromise
from hwnas.deploy.reference import WANTED_BYTES, reference_model
from hwnas.deploy.runner.promised import NO_REFERENCE, in_turns, judged
from hwnas.errors import UsageError
from hwnas.files import sha256
from hwnas.runtime import Fingerprint, Measurement, open_runtime
from hwnas.runtime.promise import GOOD, NOISE, OPEN, SLOW
from hwnas.space import SpaceConfig, build, space_from_json
from hwnas.target import Target, load
from tests.space.own_spaces import two_roads

MS = st.floats(1e-2, 1e3)
OTHER = ["cpu: this / that"]


def taking(ms: float) -> Measurement:
    return Measurement(ms, ms, ms, 100)


def told(promise: LatencyPromise, source: str = "measured", reference_ms: float | None = None) -> dict[str, Any]:
    metadata = {"latency_source": source, "predicted_low_ms": 0.4, "predicted_high_ms": 0.6}
    return promise.to_json(metadata, reference_ms)


@given(limit=MS, speed=st.floats(0.1, 20), used=st.floats(0.1, 1))
def test_a_busy_device_breaks_no_promise(limit: float, speed: float, used: float) -> None:
    latency = told(LatencyPromise({"median_ms": limit}, limit, {}), reference_ms=0.8)
    found = judged(latency, [], taking(limit * used * speed), taking(0.8 * speed))
    assert found is not None
    assert found.verdict == GOOD
    assert found.corrected_ms == pytest.approx(limit * used)


@given(limit=MS, speed=st.floats(1, 20), over=st.floats(1.01 + NOISE, 5))
def test_a_model_that_is_slower_beside_the_reference_breaks_it(limit: float, speed: float, over: float) -> None:
    latency = told(LatencyPromise({"median_ms": limit}, limit, {}), reference_ms=0.8)
    found = judged(latency, [], taking(limit * over * speed), taking(0.8 * speed))
    assert found is not None
    assert found.verdict == SLOW


def test_the_sentence_holds_every_number() -> None:
    found = judged(told(LatencyPromise({"median_ms": 1.1}, 1.2, {}), reference_ms=0.8), [], taking(2.3), taking(1.6))
    assert found is not None
    assert found.sentence == (
        "2.300 ms measured while the device runs 2.00 times slower than at the time of the promise (the reference "
        "takes 1.600 ms, then 0.800 ms): 1.150 ms at that speed, within 1.200 ms")


@pytest.mark.parametrize(("promise", "source", "elsewhere", "ms", "verdict", "part"), [
    (LatencyPromise(budget_ms=1.0), "estimated", [], 0.9, GOOD, "only estimated"),
    (LatencyPromise(budget_ms=1.0), "estimated", [], 1.5, SLOW, "only estimated to keep (0.400-0.600 ms)"),
    (LatencyPromise(budget_ms=1.0), "measured", [], 1.5, SLOW, "only predicted"),
    (LatencyPromise(budget_ms=0.5, share=0.5, of_ms=1.0), "estimated", [], 5.0, OPEN, "outside the 0.400 to 0.600 ms"),
    (LatencyPromise(budget_ms=0.5, share=0.5, of_ms=1.0), "estimated", [], 0.55, OPEN, "within the 0.400 to 0.600 ms"),
    (LatencyPromise({"median_ms": 1.0}), "measured", OTHER, 5.0, OPEN, "another device (cpu: this / that)"),
    (LatencyPromise({"median_ms": 1.0}, 1.2, {}, 0.5, 2.4), "measured", OTHER, 5.0, OPEN,
     "nothing here can keep or break"),
    (LatencyPromise({"median_ms": 1.0}, 1.2), "measured", OTHER, 5.0, SLOW, "but on another device"),
    (LatencyPromise({"median_ms": 1.0}, 1.2), "measured", OTHER, 1.1, GOOD, "within 1.200 ms"),
    (LatencyPromise({"median_ms": 1.0}), "measured", [], 1.05, GOOD, "within 1.100 ms"),
    (LatencyPromise({"median_ms": 1.0}), "measured", [], 1.3, SLOW, NO_REFERENCE),
])
def test_what_is_not_measured_here_is_not_judged_as_if_it_were(
        promise: LatencyPromise, source: str, elsewhere: list[str], ms: float, verdict: str, part: str) -> None:
    found = judged(told(promise, source), elsewhere, taking(ms), None)
    assert found is not None
    assert found.verdict == verdict
    assert part in found.sentence


def test_a_bundle_of_an_older_version_is_judged_in_milliseconds() -> None:
    older = {"promise_ms": 1.1, "promise": "measured", "budget_ms": None, "measured": {"median_ms": 1.0},
             "device": None, "predicted_ms": None}
    good, slow = (judged(older, [], taking(ms), None) for ms in (1.0, 1.3))
    assert good is not None
    assert slow is not None
    assert (good.verdict, slow.verdict) == (GOOD, SLOW)
    assert NO_REFERENCE in slow.sentence
    assert judged({"promise_ms": None}, [], taking(1.0), None) is None


@pytest.mark.parametrize("config", [
    SpaceConfig("mobile", 32, 3, 10), SpaceConfig("proxyless", 224, 3, 1000, 1.4), SpaceConfig("ofa", 224),
    SpaceConfig("mobile", 16, 1, 7, 0.5, 1), SpaceConfig("mobile", 320, 3, 80, 1.0, head="fcos"),
])
def test_the_reference_is_small_and_runs(config: SpaceConfig, made: Callable[[str], Any]) -> None:
    model = reference_model({"architecture": build(config).largest().to_json()}, made("classify").target)
    assert len(model) <= WANTED_BYTES * (4 if config.imgsz == 224 else 1)
    session = open_runtime("onnxruntime").load(model)
    assert session.input_shape[2:] == config.size
    assert session.run(session.example(1))


@pytest.fixture(scope="module")
def measured(made: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a segmenter that was measured on this device, now."""
    runtime, found = open_runtime("onnxruntime"), made("segment")
    latency = in_turns({"model": runtime.load(found.model)})["model"].to_json()
    promise = LatencyPromise(latency, device=Fingerprint.of(runtime).to_json())
    return Path(found.bundle(tmp_path_factory.mktemp("measured") / "b", promise=promise))


def changed(bundle: Path, **latency: Any) -> Path:
    """Write other facts of the latency, with hashes that fit."""
    facts = json.loads((bundle / "model.json").read_text())
    facts["latency"].update(latency)
    (bundle / "model.json").write_text(json.dumps(facts))
    names = [line.split("  ", 1)[1] for line in (bundle / "SHA256SUMS").read_text().splitlines()]
    (bundle / "SHA256SUMS").write_text("".join(f"{sha256(bundle / name)}  {name}\n" for name in names))
    return bundle


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Other programs that fill the caches."""
    work = "import numpy as np\na = np.random.rand(3000, 3000)\nwhile True: a *= 1.0000001"
    running = [subprocess.Popen([sys.executable, "-c", work]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def test_on_a_busy_device_it_is_good(measured: Path,
                                     on_device: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """What fills the caches slows the model and its reference about alike: one of three tries is within the noise."""
    assert (measured / "reference.onnx").is_file()
    for left in (2, 1, 0):
        with busy(3):
            done = on_device(measured, "verify", "--json")
        found = json.loads(done.stdout)
        assert found["reference"]["median_ms"] > 0
        assert found["judgement"]["speed"] > 0
        if done.returncode == 0:
            return
        assert left, found["judgement"]


def test_the_speed_of_the_promise_decides(measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = Path(shutil.copytree(measured, tmp_path / "b"))
    facts = json.loads((bundle / "model.json").read_text())["latency"]
    then, limit = facts["reference_ms"], facts["promise_ms"]
    changed(bundle, reference_ms=then / 4, promise_ms=limit / 3)  # as if the device took four times as long today
    assert main(["bundle", "verify", str(bundle)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("good: ")
    assert "times slower than at the time of the promise" in told
    changed(bundle, promise_ms=limit / 8)
    assert main(["bundle", "verify", str(bundle)]) == 4
    assert "% over" in capsys.readouterr().out


def test_without_its_reference_milliseconds_decide(measured: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(measured, tmp_path / "b"))
    changed(bundle, reference_ms=None, promise_ms=1e-6)
    found = verify(Bundle(bundle))
    assert found.reference is None
    assert NO_REFERENCE in found.failures()[0]


def test_a_reader_that_has_enough_ends_it_quietly(bundles: Callable[[str], Path], photo: Path) -> None:
    """The pipe is made so small that it does not hold what is said after the first line."""
    fcntl = pytest.importorskip("fcntl")
    reader, writer = os.pipe()
    room = fcntl.fcntl(writer, getattr(fcntl, "F_SETPIPE_SZ", 1031), 4096)
    words = [sys.executable, str(bundles("classify") / "bundle.py"), "predict", *[str(photo)] * 100]
    with subprocess.Popen(words, stdout=writer, stderr=subprocess.PIPE, text=True) as process:
        os.close(writer)
        line = b""
        while not line.endswith(b"\n"):
            line += os.read(reader, 1)
        os.close(reader)
        told = process.communicate(timeout=240)[1]
    assert 99 * len(line) > room
    assert (process.returncode, told) == (141, "")


@pytest.mark.parametrize(("made_for", "named", "part"), [
    ({"runtime": "openvino", "precision": "int8"}, {"precision": "int8"}, "int8 as onnxruntime wants it"),
    ({"runtime": "openvino"}, {}, "leave --target out"), ({"threads": 2}, {}, "leave --target out"),
    ({"precision": "int8"}, {}, "a graph in fp32"),
])
def test_a_name_changes_nothing_in_silence(made_for: dict[str, Any], named: dict[str, Any], part: str,
                                           tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="hwnas compress --from") as refused:
        _check_target(SimpleNamespace(path=tmp_path), load("local", **made_for),  # type: ignore[arg-type]
                      load("local", **named), "local")
    assert part in str(refused.value)


def test_the_same_target_by_its_name_is_fine(tmp_path: Path) -> None:
    for name in ("local", "raspberry-pi-5"):
        _check_target(SimpleNamespace(path=tmp_path), load("local"), load(name), name)  # type: ignore[arg-type]


def test_help_says_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "[default: (the run's)]" in told
    assert "(local)" not in told


def test_the_reference_of_a_space_that_is_data_is_made_of_it() -> None:
    space = space_from_json(two_roads(classes=12, positions=json.loads(
        json.dumps(two_roads()["positions"]).replace("32-10", "32-12"))))
    metadata = {"architecture": space.largest().to_json()}
    content = reference_model(metadata, Target(name="mine"))
    graph = onnx.load_model_from_string(content).graph
    assert [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim][1:] == [1, 16, 16]
    assert len(content) <= WANTED_BYTES
