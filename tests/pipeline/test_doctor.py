"""What the doctor says of this machine and of machines that are not it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hwnas.cli import main
from hwnas.errors import InputError
from hwnas.pipeline.machine import machine_checks
from hwnas.pipeline.machine.doctor import diagnose
from hwnas.runtime import RUNTIMES
from hwnas.runtime.onnxruntime import OnnxRuntime
from hwnas.target import PRECISIONS


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWNAS_TABLES", str(tmp_path_factory.mktemp("tables")))
        return diagnose()


def test_every_runtime_is_there_with_every_precision(found: dict[str, Any]) -> None:
    assert list(found["runtimes"]) == list(RUNTIMES)
    for runtime in found["runtimes"].values():
        assert list(runtime["precisions"]) == list(PRECISIONS)
        assert runtime["runs"] == any(case["runs"] for case in runtime["precisions"].values())
        assert runtime["runs"] == (runtime["version"] is not None)
        assert runtime["runs"] or runtime["problem"]


def test_what_runs_here(found: dict[str, Any]) -> None:
    assert found["ok"]
    onnxruntime = found["runtimes"]["onnxruntime"]
    assert onnxruntime["provider"] == "CPUExecutionProvider"
    assert onnxruntime["precisions"]["fp32"] == {"offered": True, "runs": True, "problem": None}
    assert onnxruntime["precisions"]["int8"]["runs"]
    bf16 = onnxruntime["precisions"]["bf16"]
    assert not bf16["offered"]
    assert "not in bf16" in bf16["problem"]
    assert found["device"]["runtime"] == "onnxruntime"


def test_what_is_missing_says_what_to_type(found: dict[str, Any]) -> None:
    for name, runtime in found["runtimes"].items():
        if not runtime["runs"]:
            assert "install" in runtime["problem"], name


def test_is_json(found: dict[str, Any]) -> None:
    assert json.loads(json.dumps(found)) == found


def test_exit_code_1_only_where_nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
                                             capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HWNAS_TABLES", str(tmp_path))

    def refuse(self: OnnxRuntime, model: bytes) -> None:
        raise InputError("this machine is out of order")

    for name in set(RUNTIMES) - {"onnxruntime"}:
        monkeypatch.delitem(RUNTIMES, name)
    monkeypatch.setattr(OnnxRuntime, "load", refuse)
    assert main(["doctor"]) == 1
    said = capsys.readouterr().out
    assert "out of order" in said
    assert "no runtime works" in said


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="ascii")


def test_a_quiet_machine_has_no_warnings_but_its_cores(tmp_path: Path) -> None:
    assert [warning for warning in machine_checks.warnings(tmp_path) if "cores: keep" not in warning] == []


@pytest.mark.parametrize("path, text, says", [
    ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n", "governor is powersave.*cpupower"),
    ("sys/class/thermal/thermal_zone0/temp", "91000\n", "91 degrees"),
    ("sys/fs/cgroup/cpu.max", "50000 100000\n", "0.5 cores' worth.*--cpuset-cpus"),
    ("sys/devices/system/cpu/intel_pstate/no_turbo", "0\n", "echo 1 . sudo tee /sys/.*no_turbo"),
    ("sys/devices/system/cpu/cpufreq/boost", "1\n", "echo 0 . sudo tee /sys/.*boost"),
])
def test_what_would_spoil_a_measurement(tmp_path: Path, path: str, text: str, says: str) -> None:
    put(tmp_path, path, text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.cpu_count", lambda: 1)  # so that pinned test runs say nothing of cores
        (warning,) = machine_checks.warnings(tmp_path)
    assert re.search(says, warning)


def test_a_governor_that_holds_the_clock_is_fine(tmp_path: Path) -> None:
    put(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "performance\n")
    put(tmp_path, "sys/fs/cgroup/cpu.max", "max 100000\n")
    put(tmp_path, "sys/devices/system/cpu/cpufreq/boost", "0\n")
    assert [warning for warning in machine_checks.warnings(tmp_path) if "cores: keep" not in warning] == []


@pytest.mark.parametrize("state, says", [
    ({"others": 1.5, "load": 3.0}, "other work keeps 1.5 cores busy .load 3.0"),
    ({"stolen": 0.6}, "withholds 0.6 cores"),
])
def test_other_work(state: dict[str, float], says: str) -> None:
    (warning,) = machine_checks._other_work(state)
    assert re.search(says, warning)
    assert machine_checks._other_work({"others": 0.1, "stolen": 0.0}) == []


@pytest.mark.parametrize(("mode", "told"), [("15W", True), ("MAXN", False)])
def test_a_jetson_is_told_of_its_own_tools(tmp_path: Path, mode: str, told: bool,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other machine is."""
    governor = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"
    put(tmp_path, governor, "schedutil\n")
    put(tmp_path, "var/lib/nvpmodel/status", mode)
    monkeypatch.setattr("hwnas.runtime.host._ask", lambda command: "")
    assert not any("nvpmodel" in text or "jetson" in text for text in machine_checks.warnings(tmp_path))
    put(tmp_path, "etc/nv_tegra_release", "# R36 (release), REVISION: 4.0\n")
    found = machine_checks.warnings(tmp_path)
    assert any("the governor is schedutil" in text and "sudo jetson_clocks" in text for text in found)
    assert any("the power mode is 15W" in text for text in found) == told


def test_the_meter_is_there_or_it_is_said_why_not(found: dict[str, Any]) -> None:
    assert (found["energy"]["meter"] is None) != (found["energy"]["problem"] is None)


def test_throttling_outweighs_heat() -> None:
    assert machine_checks._heat({"throttled": True, "celsius": 95.0})[0].startswith("the processor is being held back")
    assert machine_checks._heat({"throttled": False, "celsius": 60.0}) == []
