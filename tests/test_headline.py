"""The command that waits for a GPU goes its whole way on a CPU, in little."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_the_long_run_in_little_and_its_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (200, 32, 32, 3), dtype=np.uint8), np.arange(200) % 10
    np.savez(tmp_path / "c.npz", x_train=x[:160], y_train=y[:160], x_val=x[160:], y_val=y[160:])

    def told(*words: str) -> str:
        done = subprocess.run([sys.executable, "benchmarks/headline.py", *words], cwd=REPOSITORY, check=False,
                              capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})
        assert done.returncode == 0, done.stderr
        return done.stdout

    asked = ("--job", "cifar10", "--data", str(tmp_path / "c.npz"), "--out", str(tmp_path / "out"), "--smoke",
             "--target", "raspberry-pi-4")
    found = json.loads(told(*asked))
    assert 0 <= found["compressed"] <= 100
    assert 0 < found["search_hours"] < found["hours"]
    assert json.loads(told(*asked))["hours"] == found["hours"]  # nothing is done twice
    page = tmp_path / "page.md"
    page.write_text("before\n\n## Runs\nold\n")
    told("--write", str(page), str(tmp_path / "out"))
    assert page.read_text().startswith("before\n\n## Runs\n")
    assert "cifar10, seed" not in page.read_text()  # a smoke run says nothing
    (tmp_path / "out" / "headline.json").write_text(json.dumps({**found, "smoke": False}))
    told("--write", str(page), str(tmp_path / "out"))
    assert f"| {found['compressed']:.2f} |" in page.read_text()
    assert "old" not in page.read_text()
