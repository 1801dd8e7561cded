"""`hwnas deploy` and `hwnas bundle` on a small real run."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwnas.cli import main
from hwnas.pipeline import RunFolder, compress

pytestmark = pytest.mark.slow  # a run takes a minute

SMALL: dict[str, Any] = {
    "data": "digits", "limit": 200, "epochs": 1, "warmup": 1, "epochs_per_evaluation": 0.25, "cycles": 1, "settle": 4,
    "top": 2, "finalists": 1, "trial_epochs": 0, "depth": 1, "width_mult": 0.5, "torch_threads": 1,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A finished run; read only."""
    pytest.importorskip("torch")
    tables = str(tmp_path_factory.mktemp("tables"))
    return compress(tmp_path_factory.mktemp("runs") / "digits", budgets={"flops": "90%"}, tables=tables, **SMALL)


def test_a_run_goes_all_the_way_to_its_device(finished: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                              on_device: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    bundle = tmp_path / "bundle"
    assert main(["deploy", str(finished.path), "-o", str(bundle), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    measured = finished.result("export")["verdict"]["latency"]["median_ms"]
    assert told["promise_ms"] == pytest.approx(1.1 * measured)
    assert told["size_bytes"] == sum(p.stat().st_size for p in bundle.rglob("*") if p.is_file())
    facts = json.loads((bundle / "model.json").read_text())
    assert facts["latency"]["promise"] == "measured"
    assert facts["latency"]["device"]["runtime"] == "onnxruntime"
    assert facts["provenance"]["table_hash"]
    assert facts["latency"]["basis"] == "measured"
    assert told["reference_ms"] == facts["latency"]["reference_ms"] > 0
    done = on_device(bundle, "verify", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 0, found["failures"]
    assert found["difference"] <= 1e-4
    assert found["elsewhere"] == []
    assert found["judgement"]["speed"] > 0
    assert "python3 bundle.py verify" in (bundle / "README.md").read_text()


def test_another_target_gets_no_promise(finished: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
                                        ) -> None:
    bundle = tmp_path / "bundle"
    assert main(["deploy", str(finished.path), "-o", str(bundle), "--target", "raspberry-pi-5"]) == 0
    assert "nothing" in capsys.readouterr().out
    facts = json.loads((bundle / "model.json").read_text())
    assert facts["target"]["name"] == "raspberry-pi-5"
    assert facts["latency"]["promise_ms"] is None
    assert facts["latency"]["predicted_ms"] is None
    assert "No latency is promised" in (bundle / "README.md").read_text()
    assert main(["bundle", "verify", str(bundle)]) == 0
    assert "nothing promised" in capsys.readouterr().out


def test_a_device_without_fp32_gets_its_own_precision(finished: RunFolder, tmp_path: Path) -> None:
    assert main(["deploy", str(finished.path), "-o", str(tmp_path / "npu"), "--target", "intel-npu"]) == 0
    assert json.loads((tmp_path / "npu" / "model.json").read_text())["target"]["precision"] == "fp16"
    assert main(["deploy", str(finished.path), "-o", str(tmp_path / "gpu"), "--target", "intel-igpu"]) == 0
    assert json.loads((tmp_path / "gpu" / "model.json").read_text())["target"]["precision"] == "fp32"


@pytest.mark.parametrize(("words", "part"), [
    (["--target", "locall"], "Did you mean 'local'?"), (["-o", "."], "not an empty folder"),
])
def test_what_cannot_be_deployed(words: list[str], part: str, finished: RunFolder, tmp_path: Path,
                                 capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(finished.path), "-o", str(tmp_path / "b"), *words]) == 2
    assert part in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_a_run_without_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["deploy", str(tmp_path), "-o", str(tmp_path / "b")]) == 2
    assert "is not a run folder" in capsys.readouterr().err
