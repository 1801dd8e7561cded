"""Benchmarks that ask the command line go their whole way in little."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def told(name: str, *words: object) -> str:
    done = subprocess.run([sys.executable, f"benchmarks/{name}.py", *map(str, words)], cwd=REPOSITORY, check=False,
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_numbers_beside_a_moving_clock(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "search")
    page = tmp_path / "page.md"
    words = ("--out", tmp_path, "--quick", "--rounds", 1, "--write", page)
    found = told("moving_clock", *words)
    assert re.search(r"^\| one network in a round \| \d+\.\d % \|", found, re.MULTILINE)
    assert re.search(r"^- Budgets met by `verify`: [01] of 1; by `bundle verify`: [01] of 1\.$", found, re.MULTILINE)
    assert not page.exists(), "a quick run says nothing"
    before = (tmp_path / "round-0.json").stat().st_mtime_ns
    again = told("moving_clock", *words)
    assert again.splitlines()[6:] == found.splitlines()[6:]
    assert (tmp_path / "round-0.json").stat().st_mtime_ns == before, "nothing is done twice"


@pytest.mark.slow
def test_what_a_table_costs_in_seconds(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    words = ("--out", tmp_path / "out", "--space", "nasbench201", "--runtime", "onnxruntime", "--precision", "fp32",
             "--seconds", 4, "--truth", 4, "--starts", 1)
    found = told("latency_time", *words)
    assert re.search(r"^\| nasbench201 onnxruntime fp32( \| \d+\.\d\d){5}( \| \d+){3} \| \d+\.\d\d \|$", found,
                     re.MULTILINE)
    made = next((tmp_path / "out").glob("*.json"))
    before = made.stat().st_mtime_ns
    told("latency_time", *words, "--write", page)
    assert made.stat().st_mtime_ns == before, "nothing is measured twice"
    assert page.read_text() in found.partition("# ")[1] + found.partition("# ")[2]


def test_several_targets_from_one_search(made: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    words = (made, "--out", tmp_path / "out", "--targets", "local,raspberry-pi-4", "--latency", "95%", "--write", page)
    found = told("several_targets", *words)
    assert page.read_text() == found.rstrip("\n") or page.read_text() + "\n" == found
    assert re.search(r"^\| local \| measured \|", found, re.MULTILINE)
    assert re.search(r"^\| raspberry-pi-4 \| estimated \|", found, re.MULTILINE)
    assert re.search(r"^\| given up \| predicted score, % \| room on local \| room on raspberry-pi-4 \|$", found,
                     re.MULTILINE)
    assert told("several_targets", *words) == found, "no command is run twice"


def test_a_table_that_travels() -> None:
    page = REPOSITORY / "benchmarks" / "travel.md"
    before = page.read_bytes() if page.exists() else None
    found = told("travel", "--quick")
    *rows, anew = [line.split(" | ") for line in found.splitlines() if line.startswith("| ")][2:]
    assert anew[0].startswith("| measured anew")
    hows = [(n, how) for n in ("8", "12") for how in ("by design", "at random")]
    assert [(row[1], row[2]) for row in rows] == hows * 2
    assert [row[0].startswith("| estimate of") for row in rows] == [False] * 4 + [True] * 4
    assert all(re.match(r"\d+\.\d %$", row[3]) for row in rows)
    assert (page.read_bytes() if page.exists() else None) == before, "a quick run writes nothing"
