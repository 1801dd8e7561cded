"""The examples run as their own first lines say."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

import hwnas
from hwnas.pipeline import RunFolder, make_config

LESS: dict[str, Any] = {"settle": 6, "warmup": 1, "epochs_per_evaluation": 0.25, "depth": 2, "top": 3,
                        "finalists": 1, "trial_epochs": 0, "torch_threads": 1}
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
def test_budgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The file as it stands, in this process: its run has less to do than it asks for."""
    monkeypatch.setenv("HWNAS_TABLES", str(tmp_path / "tables"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    asked: list[dict[str, Any]] = []

    def compress(out: Path, **options: Any) -> RunFolder:
        asked.append(options)
        return hwnas_compress(out, **{**options, **LESS})

    hwnas_compress = hwnas.compress
    monkeypatch.setattr(hwnas, "compress", compress)
    monkeypatch.setattr(sys, "argv", ["budgets.py"])
    runpy.run_path(str(EXAMPLES / "budgets.py"), run_name="__main__")
    make_config(asked[0])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["80%", "60%", "40%"]
    monkeypatch.setattr(sys, "argv", ["budgets.py", str(next(tmp_path.glob("*/run")))])
    runpy.run_path(str(EXAMPLES / "budgets.py"), run_name="__main__")
    assert capsys.readouterr().out.splitlines() == lines
    assert len(asked) == 1


def test_no_example_is_left_out() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {"budgets.py", "your_own_table.py"}
