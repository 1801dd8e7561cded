"""Tables of devices elsewhere through the command line: behind a real sshd, and by a folder carried by hand."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hwnas.cli import main
from hwnas.latency import Table

SMALL = ["--imgsz", "16", "--channels", "1", "--classes", "10", "--depth", "1", "--width-mult", "0.5"]


@pytest.fixture
def target(tmp_path: Path) -> str:
    (tmp_path / "board.yaml").write_text("name: board\nruntime: onnxruntime\n")
    return str(tmp_path / "board.yaml")


def run(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, object]:
    capsys.readouterr()
    code = main([*map(str, words), "--json"])
    found = capsys.readouterr()
    assert code == 0, found.err
    parsed: dict[str, object] = json.loads(found.out)
    return parsed


def test_a_table_over_ssh(sshd, target: str, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setenv("HWNAS_SSH", " ".join(sshd.ssh))
    words = ("profile", "--target", target, *SMALL, "--device", sshd.address, "--device-python", sys.executable,
             "--tables", tmp_path / "tables", "--max-seconds", 3)
    found = run(capsys, *words)
    table = Table.read(Path(str(found["table"])))
    assert found["measured"] == len(table.entries) == 24
    assert table.target == "board"
    assert sshd.agents() == []
    assert run(capsys, *words)["measured"] == 0  # the table has it all


def test_a_table_by_hand(target: str, tmp_path: Path, capsys, monkeypatch) -> None:
    # the fewest blocks a group: three groups
    monkeypatch.setattr(importlib.import_module("hwnas.profile.plan"), "RESIDENT", 0)
    job, tables = tmp_path / "job", tmp_path / "tables"
    made = run(capsys, "agent", "export", job, "--target", target, *SMALL, "--max-seconds", 3)
    assert made["target"] == "board/onnxruntime-fp32-b1-t1"
    assert len(json.loads((job / "job.json").read_text())["parts"]) == 3
    carried = Path(shutil.copytree(job, tmp_path / "there"))
    subprocess.run([sys.executable, str(carried / "hwnas-agent.pyz")], check=True, capture_output=True)
    shutil.copy(carried / "results.jsonl", job)
    found = run(capsys, "agent", "import", job, "--tables", tables)
    table = Table.read(Path(str(found["table"])))
    assert found["measured"] == len(table.entries) == 24
    assert min(entry.median_ms for entry in table.entries.values()) >= 0
    assert max(entry.median_ms for entry in table.entries.values()) > 0
    again = run(capsys, "agent", "import", job, "--tables", tables)  # merged into the table that is there
    assert again["table"] == found["table"]
    merged = Table.read(Path(str(found["table"]))).entries
    assert {s: (e.median_ms, e.runs) for s, e in merged.items()} == {
        s: (e.median_ms, e.runs) for s, e in table.entries.items()
    }


@pytest.mark.parametrize("words", [
    ["profile", "--device", "ssh://localhost"],
    ["agent", "export", "job"],
])
def test_this_machine_is_not_elsewhere(words: list[str], capsys, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words, *SMALL]) == 2
    assert "the target 'local' is this machine" in capsys.readouterr().err


def test_results_that_are_not_there(target: str, capsys, tmp_path: Path) -> None:
    assert main(["agent", "export", str(tmp_path / "job"), "--target", target, *SMALL]) == 0
    assert main(["agent", "import", str(tmp_path / "job")]) == 2
    assert "run `python3 hwnas-agent.pyz` on the device" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["export", "import"])
def test_help(command: str, capsys) -> None:
    assert main(["agent", command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Example: hwnas agent {command}" in shown
    assert "--json" in shown


def test_results_of_another_processor_or_that_contradict_each_other_are_refused(
        target: str, tmp_path: Path, capsys, monkeypatch) -> None:
    job, tables = tmp_path / "job", tmp_path / "tables"
    run(capsys, "agent", "export", job, "--target", target, *SMALL, "--max-seconds", 2)
    subprocess.run([sys.executable, str(job / "hwnas-agent.pyz")], check=True, capture_output=True)
    whole = (job / "results.jsonl").read_text().splitlines()

    def refused(lines: list[str], words: str) -> None:
        (job / "results.jsonl").write_text("".join(line + "\n" for line in lines))
        capsys.readouterr()
        assert main(["agent", "import", str(job), "--tables", str(tables)]) == 2
        assert words in capsys.readouterr().err
        assert not list(tables.rglob("*.jsonl"))

    header = json.loads(whole[0])
    header["device"]["runtime"] = "openvino"
    refused([json.dumps(header), *whole[1:]], "which is no board: it ran openvino, the target is onnxruntime")
    slow = [json.loads(line) for line in whole]
    for line in slow[1:]:
        for i, name in enumerate(sorted(n for n in line["times_ms"] if n.startswith("net "))):
            line["times_ms"][name] = [t * 4 ** (i % 5) for t in line["times_ms"][name]]
    refused([json.dumps(line) for line in slow], "contradict each other")
    (job / "results.jsonl").write_text("".join(line + "\n" for line in whole))
    assert "measured on this machine" in str(run(capsys, "agent", "import", job, "--tables", tables)["origin"])
