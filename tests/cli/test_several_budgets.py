"""`hwnas compress --latency 4ms,8ms`: one search, a run for every budget, one table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwnas.cli import main
from tests.cli.conftest import TINY

HERE = ["--depth", "1", "--width-mult", "0.5"]
BOARD = [*HERE, "--target", "raspberry-pi-4"]


@pytest.fixture(scope="module")
def several(tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run for three budgets of which one cannot be met. Read only."""
    pytest.importorskip("torch")
    run = tmp_path_factory.mktemp("runs") / "several"
    budgets = ["--flops", "90%,0.1%,300%", "--params", "400%"]
    assert main(["compress", *TINY, *budgets, "--tables", str(tables), "--out", str(run)]) == 3
    return run


@pytest.mark.slow
def test_the_end_is_one_table_and_says_what_cannot_be_met(several: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["compress", "--resume", str(several)]) == 3
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("budget "))
    rows = {line.split("  ")[0].strip(): line for line in lines[head + 1 : head + 4]}
    assert list(rows) == ["flops 90%, params 400%", "flops 0.1%, params 400%", "flops 300%, params 400%"]
    assert " met " in rows["flops 90%, params 400%"]
    assert str(several / "budgets" / "flops-90pct" / "model.onnx") in rows["flops 90%, params 400%"]
    assert rows["flops 0.1%, params 400%"].endswith("not made")
    assert any(line.startswith("flops 0.1%, params 400%: no architecture meets the budgets") for line in lines)
    assert "error: 1 of 3 budgets has no network" in shown.err
    assert "hwnas generate" in shown.err


@pytest.mark.slow
def test_programs_get_the_same_as_json(several: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["compress", "--resume", str(several), "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert [row["made"] for row in found["networks"]] == [True, False, True]
    assert found["networks"][0]["budgets"] == {"flops": "90%", "params": "400%"}
    assert Path(found["networks"][2]["model"]).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("words", [["verify"], ["deploy", "-o", "x"], ["export"], ["predict", "x.png"]],
                         ids=lambda words: words[0])
def test_what_takes_one_network_names_them(words: list[str], several: Path, refusal: Callable[..., str]) -> None:
    message = refusal(2, words[0], several, *words[1:])
    assert f"name one of them, {several}/budgets/flops-90pct or {several}/budgets/flops-300pct" in message


@pytest.mark.slow
def test_each_is_a_run_as_any_other(several: Path, answer: Callable[..., Any]) -> None:
    assert answer("verify", several / "budgets" / "flops-90pct")["failures"] == []
    assert answer("generate", several, "--flops", "80%")["picks"]
    written = answer("report", several)["written"]
    assert [Path(path).parent.name for path in written[::2]] == ["flops-90pct", "flops-300pct", "several"]


MANY = ",".join(f"{share}%" for share in range(60, 120, 5))  # so many that no busy machine hides it: each run is timed


def test_a_dry_run_says_the_time_for_all_of_them(answer: Callable[..., Any],
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    for last in (False, False, True):  # each dry run times a few steps of its own, and the machine may stall in one
        few, one, many = (answer("compress", *BOARD, "--flops", flops, "--dry-run", "--epochs", 400)
                          for flops in ("60%,70%,80%", "60%", MANY))
        one_s, few_s, many_s = (told["seconds"][0] for told in (one, few, many))
        if last or one_s < few_s < min(3 * one_s, many_s):
            break
    assert one_s < few_s < 3 * one_s
    assert few_s < many_s
    assert isinstance(one["bounds"], dict)
    assert [round(bounds["flops"] / one["reference"]["flops"], 6) for bounds in few["bounds"]] == [0.6, 0.7, 0.8]
    assert main(["compress", *BOARD, "--flops", "60%,70%", "--params", "90%", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "2 networks from one search" in shown
    assert "params 90 % of" in shown


def test_a_dry_run_of_one_that_cannot_be_met_ends_as_the_run_would(refusal: Callable[..., str]) -> None:
    message = refusal(3, "compress", *BOARD, "--flops", "60%,0.1%", "--dry-run")
    assert "1 of 2 budgets has no network" in message
    assert "flops 0.1%" in message


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["compress", "--latency", "4ms,4000us"], "are the same budget"),
        (["compress", "--latency", "4ms,8ms", "--flops", "1M,2M,3M"], "one length (--latency 2, --flops 3)"),
        (["compress", "--latency", "4ms,8"], "a number and a unit"),
    ],
)
def test_wrong_lists_are_refused_before_anything_is_done(words: list[str], why: str, refusal: Callable[..., str],
                                                         tmp_path: Path) -> None:
    assert why in refusal(2, *words, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_one_budget_is_asked_of_a_finished_search(several: Path, refusal: Callable[..., str]) -> None:
    assert "one budget is needed here" in refusal(2, "generate", several, "--latency", "4ms,8ms")
