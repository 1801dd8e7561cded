"""A user's own network whose units and plans are timed on a device: a shell on this machine in the place of ssh."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from hwnas.errors import InputError
from hwnas.latency import Table
from hwnas.pipeline import RunFolder, compress
from hwnas.pipeline.own_network import units
from hwnas.pipeline.run.own_results import ShipResult, UnitsResult
from tests.trained_network import small_network, written


@pytest.fixture
def ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Carries out what it is given last, and notes that it was called."""
    script = tmp_path / "ssh"
    script.write_text(f'#!/bin/bash\necho called >> {tmp_path}/calls\nexec sh -c "${{!#}}"\n')
    script.chmod(0o755)
    monkeypatch.setenv("HWNAS_SSH", str(script))
    monkeypatch.setattr(units, "SECONDS", 0.5)
    return tmp_path / "calls"


def run_on(target: str, tmp_path: Path, until: str | None = None) -> RunFolder:
    network = written(small_network(), tmp_path / "net.onnx")
    return compress(tmp_path / "run", model=str(network), data="digits", imgsz=16, mean=127.5, std=127.5, colour="grey",
                    limit=200, budgets={"latency": "300%"}, precision_only=True, target=target,
                    device="ssh://me@board", device_python=sys.executable, tables=str(tmp_path / "tables"), until=until)


def test_units_and_plans_are_timed_on_the_device(ssh: Path, tmp_path: Path) -> None:
    (tmp_path / "board.yaml").write_text("name: board\nruntime: onnxruntime\n")
    run = run_on(str(tmp_path / "board.yaml"), tmp_path)
    assert len(ssh.read_text().splitlines()) >= 5  # what it is, a first look, units, plans, the result
    assert run.found(ShipResult).rows[-1].latency.median_ms > 0
    assert run.found(UnitsResult).facts["units_timed"] > 0
    [file] = (tmp_path / "tables" / "board").glob("*.jsonl")
    table = Table.read(file)
    assert {unit.signature for unit in run.found(UnitsResult).units} == set(table.units_in()) == set(
        table.units_in("int8"))


@pytest.mark.skipif(platform.machine().lower() in ("aarch64", "arm64"), reason="this machine could be the target")
def test_a_device_that_is_not_the_target_is_refused(ssh: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"ssh://me@board is no raspberry-pi-5: its processor is of type .*Give that"):
        run_on("raspberry-pi-5", tmp_path, until="units")
