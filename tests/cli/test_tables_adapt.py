"""hwnas tables adapt: what networks that others timed say, what is kept of it, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.cli import main
from hwnas.latency.estimate import estimate
from hwnas.pipeline.latencies.adapting import adapted_here
from hwnas.space import SpaceConfig, build
from hwnas.space.nasbench201 import to_string
from hwnas.target import load

Answer, Refusal = Callable[..., Any], Callable[..., str]
CELLS, BOARD = build(SpaceConfig("nasbench201", 32, classes=10, depth=1)), load("raspberry-pi-4")
WORDS = ("--target", "raspberry-pi-4", "--space", "nasbench201", "--imgsz", "32", "--classes", "10", "--depth", "1")


def written(path: Path, rule: str, count: int) -> Path:
    """Networks on a board that is twice as slow as said and executes them by a rule."""
    rng, truth = np.random.default_rng(0), estimate(CELLS, BOARD, rule)
    archs = [arch for arch in dict.fromkeys(CELLS.sample(rng) for _ in range(3 * count)) if arch.connected][:count]
    lines = [f"{to_string(arch.choice)},{2 * truth.predict(arch).latency_ms * np.exp(rng.normal(0, 0.01))}"
             for arch in archs]
    path.write_text("\n".join(["arch,latency_ms", *lines]))
    return path


def test_what_a_compiler_ran_is_kept_for_other_commands(tmp_path: Path, answer: Answer,
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "board.csv", "compiled", 130)
    found = answer("tables", "adapt", path, *WORDS, "--tables", tmp_path)
    assert (found["rule"], found["networks"], found["fitted"]) == ("compiled", 130, 100)
    assert found["error"] < 3 < found["line_error"]
    assert found["held_out"]["networks"] == 30
    assert found["held_out"]["mape"] < 3
    assert set(found["rules"]) == {"compiled", "zeros", "eager", "shared"}
    kept = adapted_here(CELLS, BOARD, None, tmp_path)
    assert kept is not None
    assert "board.csv (compiled)" in kept.told
    assert Path(found["model"]).is_file()
    assert main(["tables", "adapt", str(path), *WORDS, "--tables", str(tmp_path)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "compiled: dead ops are removed" in printed
    assert "100 of them, drawn at random, are fitted" in printed


def test_what_a_framework_ran_is_told_and_not_kept(tmp_path: Path, answer: Answer,
                                                   capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "gpu.csv", "eager", 25)
    found = answer("tables", "adapt", path, *WORDS, "--tables", tmp_path)
    assert (found["rule"], found["model"], found["held_out"]) == ("eager", None, None)
    assert "dead ops ran in these networks" in found["not_kept"]
    assert adapted_here(CELLS, BOARD, None, tmp_path) is None
    assert main(["tables", "adapt", str(path), *WORDS, "--tables", str(tmp_path)]) == 0
    assert "not kept: dead ops ran" in " ".join(capsys.readouterr().out.split())


def test_too_few_and_other_spaces_are_refused(tmp_path: Path, refusal: Refusal) -> None:
    path = written(tmp_path / "few.csv", "compiled", 4)
    assert "has 4 different networks" in refusal(2, "tables", "adapt", path, *WORDS, "--tables", tmp_path)
    assert "add --space nasbench201" in refusal(2, "tables", "adapt", path, "--target", "raspberry-pi-4")
    assert "states no hardware" in refusal(2, "tables", "adapt", written(tmp_path / "a.csv", "compiled", 8),
                                           "--target", "local", *WORDS[2:])
