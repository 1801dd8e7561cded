"""Two processes that profile one table: every block is measured once, and there is one calibration."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hwnas.latency.table_content import CALM
from tests.freezing import frozen, until

WORDS = [sys.executable, "-m", "hwnas", "profile", "--imgsz", "16", "--channels", "1", "--classes", "10", "--depth",
         "1", "--width-mult", "0.5", "--max-seconds", "3", "--json"]


@pytest.mark.slow
def test_the_second_waits_and_finds_nothing_left_to_do(tmp_path: Path) -> None:
    """The first is held still until the second says that it waits, so that neither can be too late for the other."""
    words, err = [*WORDS, "--tables", str(tmp_path)], tmp_path / "second.txt"
    first = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until(lambda: list(tmp_path.rglob(".*.holder")), "the first holds the table")
    with frozen(first.pid), err.open("w") as told:
        second = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=told, text=True)
        until(lambda: f"waiting for process {first.pid} since" in err.read_text(), "the second waits")
    both = [first, second]
    ends = [process.communicate(timeout=240) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    reports = sorted((json.loads(out) for out, _ in ends), key=lambda report: report["measured"])
    assert reports[0]["measured"] == 0
    assert reports[1]["measured"] > 0
    assert reports[0]["table_hash"] == reports[1]["table_hash"]
    (table,) = tmp_path.rglob("*.jsonl")
    lines = [json.loads(line) for line in table.read_text().splitlines()]
    of_spaces = [line for line in lines if "calibration" in line and line["calibration"]["space"] != CALM]
    assert len(of_spaces) == 1
