"""The examples run as their own first lines say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(folder: Path, *words: str) -> list[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HWNAS_TABLES": str(folder), "TMPDIR": str(folder)}
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, check=True, capture_output=True,
                          text=True)
    return done.stdout.splitlines()


def test_your_own_table(tmp_path: Path) -> None:
    lines = run(tmp_path, str(EXAMPLES / "your_own_table.py"))
    assert "(1, 1, 2)" in lines[0]
    assert len(lines) == 12  # two lines of answers, ten points of the front


@pytest.mark.slow
def test_budgets(tmp_path: Path) -> None:
    run(tmp_path, "-m", "hwnas", "profile", "--data", "digits", "--max-seconds", "4")  # where the example takes 60 s
    lines = run(tmp_path, str(EXAMPLES / "budgets.py"))
    assert [line.split()[0] for line in lines] == ["80%", "60%", "40%"]


def test_no_example_is_left_out() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"budgets.py", "your_own_table.py"}
