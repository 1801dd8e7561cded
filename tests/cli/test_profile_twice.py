"""Two processes that profile one table: every block is measured once, and there is one calibration."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

WORDS = [sys.executable, "-m", "hwnas", "profile", "--imgsz", "16", "--channels", "1", "--classes", "10", "--depth",
         "1", "--width-mult", "0.5", "--max-seconds", "3", "--json"]


@pytest.mark.slow
def test_the_second_waits_and_finds_nothing_left_to_do(tmp_path: Path) -> None:
    words = [*WORDS, "--tables", str(tmp_path)]
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ends = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    reports = sorted((json.loads(out) for out, _ in ends), key=lambda report: report["measured"])
    assert reports[0]["measured"] == 0
    assert reports[1]["measured"] > 0
    assert reports[0]["table_hash"] == reports[1]["table_hash"]
    (table,) = tmp_path.rglob("*.jsonl")
    lines = [json.loads(line) for line in table.read_text().splitlines()]
    assert sum("calibration" in line for line in lines) == 1
    said = "".join(err for _, err in ends)
    pids = [process.pid for process in both]
    assert any(f"waiting for process {pid} since" in said for pid in pids)
