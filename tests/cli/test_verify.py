"""verify: the model of a run, and a model on its own; no torch."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hwnas.cli import main
from hwnas.pipeline import RunFolder

Answer, Refusal = Callable[..., Any], Callable[..., str]


def test_the_model_of_a_run_is_good(made: Path, answer: Answer) -> None:
    found = answer("verify", made, "--latency", "1s")
    assert found["failures"] == []
    assert found["agreement"] == 100
    assert found["budget_ms"] == 1000


def test_a_share_is_of_the_reference_as_its_run_fixed_it(made: Path, answer: Answer,
                                                         capsys: pytest.CaptureFixture[str]) -> None:
    fixed = RunFolder.open(made).state.reference
    assert fixed is not None
    for path in (made, made / "model.onnx"):
        found = answer("verify", path, "--latency", "300%")
        assert found["budget_ms"] == pytest.approx(3 * fixed.latency_ms)
        assert found["judgement"]["speed"] == pytest.approx(
            found["reference_latency"]["median_ms"] / fixed.latency_ms, rel=1e-3)
    capsys.readouterr()
    assert main(["verify", str(made), "--latency", "300%"]) == 0
    out = capsys.readouterr().out
    assert "timed in turns" in out
    assert f"300 % of {fixed.latency_ms:.3f} ms measured = {3 * fixed.latency_ms:.3f} ms" in " ".join(out.split())


def test_a_share_of_another_setting_is_of_the_reference_timed_with_it(made: Path, answer: Answer) -> None:
    found = answer("verify", made, "--latency", "300%", "--threads", "2")
    assert found["budget_ms"] == pytest.approx(3 * found["reference_latency"]["median_ms"], abs=1e-5)


def test_over_the_budget_is_exit_4(made: Path, refusal: Refusal) -> None:
    assert "over the budget" in refusal(4, "verify", made, "--latency", "1us")


def test_a_model_on_its_own_with_its_samples(made: Path, tmp_path: Path, answer: Answer, refusal: Refusal) -> None:
    shutil.copy(made / "model.onnx", tmp_path / "m.onnx")
    assert answer("verify", tmp_path / "m.onnx", "--samples", made / "samples.safetensors")["budget_ms"] is None
    assert "samples" in refusal(2, "verify", tmp_path / "m.onnx")
    words = ("--samples", made / "samples.safetensors", "--latency", "50%")
    assert "reference.onnx" in refusal(2, "verify", tmp_path / "m.onnx", *words)


def test_other_weights_are_exit_4(made: Path, tmp_path: Path, refusal: Refusal) -> None:
    model = onnx.load(made / "model.onnx")
    weight = max(model.graph.initializer, key=lambda i: len(i.raw_data))
    values = numpy_helper.to_array(weight)
    weight.CopyFrom(numpy_helper.from_array(values + np.float32(0.01), weight.name))
    onnx.save(model, tmp_path / "m.onnx")
    message = refusal(4, "verify", tmp_path / "m.onnx", "--samples", made / "samples.safetensors")
    assert "logits differ" in message


def test_a_changed_model_in_a_run_is_refused(run: Path, refusal: Refusal) -> None:
    (run / "model.onnx").write_bytes((run / "reference.onnx").read_bytes())
    assert "was changed" in refusal(2, "verify", run)


@pytest.mark.parametrize("content", [b"", b"no model at all"])
def test_no_model(content: bytes, tmp_path: Path, refusal: Refusal) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    refusal(2, "verify", tmp_path / "m.onnx")


def test_a_target_that_there_is_not(made: Path, refusal: Refusal) -> None:
    assert "Did you mean 'local'?" in refusal(2, "verify", made, "--target", "locall")


def test_accuracy_on_the_data_set(made: Path, answer: Answer) -> None:
    assert answer("verify", made, "--latency", "1s", "--data", "digits")["images"] == 359


def test_the_data_of_another_model(made: Path, tmp_path: Path, refusal: Refusal) -> None:
    images = np.zeros((40, 16, 16), np.uint8)
    np.savez(tmp_path / "two.npz", images=images, labels=np.arange(40) % 2)
    assert "classes" in refusal(2, "verify", made, "--latency", "1s", "--data", tmp_path / "two.npz")


def test_it_imports_no_torch(made: Path) -> None:
    words = ["verify", str(made), "--latency", "1s"]
    program = f"import sys; from hwnas.cli import main\nprint(main({words!r}), 'torch' in sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=True)
    assert done.stderr.split() == ["0", "False"]
