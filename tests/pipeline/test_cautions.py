"""The one channel of a run's warnings."""

from __future__ import annotations

from pathlib import Path

from hwnas.pipeline.cautions import warnings_of
from hwnas.pipeline.run import CompressConfig, RunFolder


def test_warnings_of_all_stages_are_joined_in_order_and_said_once(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", CompressConfig())
    assert warnings_of(run) == []
    lanes = [{"precision": p, "warnings": [f"table of {p}", "both"]} for p in ("fp32", "int8")]
    run.finish("profile", {"lanes": lanes, "warnings": ["a noisy machine"]}, [], 0.0)
    run.finish("data", {"warnings": ["unequal classes"]}, [], 0.0)
    run.finish("export", {"warnings": ["both", "a class is never found"]}, [], 0.0)
    assert warnings_of(run) == ["unequal classes", "a noisy machine", "table of fp32", "both", "a class is never found"]
    run.finish("generate", {"precision": "int8"}, [], 0.0)
    assert "table of int8" in warnings_of(run)
    assert "table of fp32" not in warnings_of(run)
