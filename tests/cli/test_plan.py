"""--dry-run: words for people, a duration, and what cannot be met."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwnas.cli import main

FLAGS = ["--depth", "1", "--width-mult", "0.5", "--target", "raspberry-pi-4"]


def test_it_speaks_in_words(capsys: pytest.CaptureFixture[str], tables: Path) -> None:
    assert main(["compress", *FLAGS, "--flops", "60%", "--sizes", "32,24", "--imgsz", "48", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert not re.search(r"None|True|False|[({]'|\b[0-9.]+,\)", shown)
    assert re.search(r"^ +width-mult +0\.5$", shown, re.MULTILINE)
    assert re.search(r"^ +sizes +32, 24$", shown, re.MULTILINE)
    assert re.search(r"^ +threads +4$", shown, re.MULTILINE)
    assert "to measure it" in shown


@pytest.mark.parametrize("budget", [["--latency", "0.01ms"], ["--latency", "1%"], ["--flops", "3"],
                                    ["--params", "0.1%"], ["--memory", "10B"], ["--flops", "100%", "--latency", "1ns"]])
def test_what_cannot_be_met_is_said_and_is_exit_3(budget: list[str], refusal: Callable[..., str],
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    message = refusal(3, "compress", *FLAGS, *budget, "--dry-run")
    assert "at least" in message
    assert main(["compress", *FLAGS, *budget, "--dry-run", "--json"]) == 3
    assert "at least" in json.loads(capsys.readouterr().out)["infeasible"]


def test_what_is_not_timed_yet_is_judged_by_the_rest(refusal: Callable[..., str], answer: Callable[..., Any],
                                                     tmp_path: Path) -> None:
    here = ["--depth", "1", "--width-mult", "0.5", "--dry-run", "--tables", tmp_path]
    assert "flops 3 asked" in refusal(3, "compress", *here, "--flops", "3")
    assert answer("compress", *here, "--latency", "1ns")["infeasible"] is None


def test_the_duration_follows_the_epochs(answer: Callable[..., Any]) -> None:
    pytest.importorskip("torch")
    few, many = (answer("compress", *FLAGS, "--flops", "60%", "--dry-run", "--epochs", n)["seconds"] for n in (1, 2000))
    assert 0 < few[0] < few[1]
    assert many[0] > 5 * few[0]


def test_a_time_is_planned_with(capsys: pytest.CaptureFixture[str], tables: Path) -> None:
    assert main(["compress", *FLAGS, "--flops", "60%", "--time", "30m", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    found = re.search(r"^epochs +(\d+), which fit into 30m$", shown, re.MULTILINE)
    assert found
    assert int(found[1]) > 20
    assert re.search(r"^recipe +small: what the task does by itself$", shown, re.MULTILINE)


def test_several_targets_are_told_one_by_one(answer: Callable[..., Any], capsys: pytest.CaptureFixture[str],
                                             tables: Path) -> None:
    words = ["compress", "--dry-run", "--depth", "1", "--width-mult", "0.5", "--tables", str(tables), "--target",
             "raspberry-pi-4,x86-avx2", "--latency", "90%,1us"]
    assert main(words) == 3
    shown = capsys.readouterr()
    assert shown.out.count("estimated from the target's public figures, not measured") == 2
    assert "not possible" in shown.out
    assert "x86-avx2, latency 1us: no architecture meets the budgets" in shown.err
    found = answer(*words[:-1], "90%")
    assert [row["target"]["name"] for row in found["targets"]] == ["raspberry-pi-4", "x86-avx2"]
    assert len(found["bounds"]) == 2
    assert "-2-targets-" in found["out"]


def test_a_branch_is_planned_from_what_its_search_knows(made: Path, tmp_path: Path, answer: Callable[..., Any],
                                                        refusal: Callable[..., str],
                                                        capsys: pytest.CaptureFixture[str]) -> None:
    fixed = json.loads((made / "run.json").read_text())["reference"]
    words = ["compress", "--dry-run", "--from", str(made), "--out", str(tmp_path / "b")]
    found = answer(*words, "--latency", "80%")
    assert (found["from"], found["reused"]) == (str(made), ["data", "profile", "reference", "search"])
    assert found["reference"]["latency"] == pytest.approx(1e6 * fixed["latency_ms"])
    assert found["bounds"]["latency"] == pytest.approx(0.8e6 * fixed["latency_ms"])
    assert (found["latency_source"], found["blocks_to_time"]) == ("measured", 0)
    assert main([*words, "--flops", "95%"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"^from +.*: data, profile, reference, search are taken over$", shown, re.MULTILINE)
    assert not re.search(r"None|True|False|[({]'", shown)
    assert "at least" in refusal(3, *words, "--latency", "1us")
    assert "leave out --seed" in refusal(2, *words, "--flops", "80%", "--seed", "1")
    assert not (tmp_path / "b").exists()


def test_a_branch_for_other_targets_is_planned_from_their_latencies(made: Path, answer: Callable[..., Any]) -> None:
    found = answer("compress", "--dry-run", "--from", made, "--target", "raspberry-pi-4,x86-avx2", "--flops", "95%")
    assert found["reused"] == ["data", "reference", "search"]
    assert [row["target"]["name"] for row in found["targets"]] == ["raspberry-pi-4", "x86-avx2"]
    assert [row["latency_source"] for row in found["targets"]] == ["estimated"] * 2
    assert len(found["bounds"]) == 2
