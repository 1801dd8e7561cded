"""A percentage is the same milliseconds in every command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwnas.cli import main

Answer = Callable[..., Any]


def test_every_command_means_the_same_milliseconds(made: Path, tmp_path: Path, answer: Answer,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    fixed = json.loads((made / "run.json").read_text())["reference"]
    assert fixed["basis"] == "measured"
    limit = pytest.approx(0.9 * fixed["latency_ms"])
    told = f"90 % of {fixed['latency_ms']:.3f} ms measured = {0.9 * fixed['latency_ms']:.3f} ms"

    (compressed,) = (b for b in answer("compress", "--resume", made)["budgets"] if b["name"] == "latency")
    assert (compressed["limit"], compressed["told"]) == (limit, told)
    (reported,) = (b for b in json.loads((made / "report.json").read_text())["budgets"] if b["name"] == "latency")
    assert (reported["limit"], reported["told"]) == (limit, told)
    picked = answer("generate", made, "--latency", "90%")
    assert (picked["bounds"]["latency"] / 1e6, picked["limits"]["latency"]) == (limit, told)
    assert picked["picks"][0]["costs"]["latency"] <= picked["bounds"]["latency"]
    assert answer("generate", made, "--latency", "90%", "--target", "local")["bounds"] == picked["bounds"]
    for path in (made, made / "model.onnx"):
        capsys.readouterr()
        assert main(["verify", str(path), "--latency", "90%", "--json"]) in (0, 4)  # a busy machine may find it over
        checked = json.loads(capsys.readouterr().out)
        assert (checked["budget_ms"], checked["promise"]["reference_ms"]) == (limit, fixed["latency_ms"])
    assert answer("deploy", made, "-o", tmp_path / "bundle")["promise_ms"] == limit
    other = answer("compress", "--from", made, "--latency", "95%", "--out", tmp_path / "other")
    assert other["budgets"][0]["limit"] == pytest.approx(0.95 * fixed["latency_ms"])
    assert other["reference_of_budgets"] == fixed
