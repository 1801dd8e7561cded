"""Several budgets in one run on a user's own network: one reading, one table, a plan for each; killed and resumed."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from hwnas.errors import RunError, SomeBudgetsFailed, UnknownName, UsageError
from hwnas.files import read_lines
from hwnas.pipeline import RunFolder, compress, retarget
from hwnas.pipeline.own_network import units
from hwnas.pipeline.report.overview import overview
from hwnas.pipeline.report.summary import is_finished
from hwnas.pipeline.run.folder import OWN_SHARED
from hwnas.pipeline.run.own_results import PlanResult, ReadResult, ShipResult, TuneResult, UnitsResult
from tests.pipeline.lives import OWN_NETWORK, Lives

OPTIONS: dict[str, Any] = {"data": "digits", "imgsz": 16, "mean": 127.5, "std": 127.5, "colour": "grey", "limit": 200}
ASKED = {"latency": ["300%", "1us", "250%"]}
"""Two that a busy machine does not break, and one that nothing meets."""


pytestmark = pytest.mark.usefixtures("timed_briefly")


@pytest.fixture(scope="module")
def several(network: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Read only."""
    out = tmp_path_factory.mktemp("own") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "SECONDS", 0.5)
        patch.setenv("HWNAS_TABLES", str(tmp_path_factory.getbasetemp() / "tables"))
        with pytest.raises(SomeBudgetsFailed, match=r"1 of 3 budgets.*latency 1us: the fastest plan") as caught:
            compress(out, model=str(network), budgets=ASKED, **OPTIONS)
    assert caught.value.exit_code == 3
    return RunFolder.open(out)


def of(run: RunFolder, name: str) -> RunFolder:
    return RunFolder.open(run.path / "budgets" / name)


def test_what_all_share_is_made_once_and_every_budget_has_a_whole_run(several: RunFolder) -> None:
    assert set(several.state.stages) == {*OWN_SHARED, "report"}
    assert [branch.name for branch in several.branches] == ["latency-300pct", "latency-1us", "latency-250pct"]
    whole = several.found(UnitsResult).whole_ms
    assert several.found(UnitsResult).limits == pytest.approx({"300%": 3 * whole, "1us": 0.001, "250%": 2.5 * whole})
    for text, factor in (("300%", 3.0), ("250%", 2.5)):
        run = of(several, f"latency-{text.replace('%', 'pct')}")
        assert all(run.done(stage) for stage in run.stages)
        assert run.state.config.budgets == run.found(ReadResult).budgets == {"latency": text}
        assert run.found(UnitsResult).limits == pytest.approx({text: factor * whole})
        assert run.found(PlanResult).limit_ms == pytest.approx(factor * whole * run.state.tighten)
        for name in ("costs.json", "scores.jsonl"):
            assert (run.path / name).read_bytes() == (several.path / name).read_bytes()
        assert (run.path / "model.onnx").is_file()


def test_the_next_budget_asks_for_no_truth_twice(several: RunFolder) -> None:
    first = read_lines(of(several, "latency-300pct").path / "plans.jsonl")
    last = read_lines(of(several, "latency-250pct").path / "plans.jsonl")
    known = {json.dumps(row["plan"], sort_keys=True): row for row in first}  # the last of a plan counts
    assert [json.dumps(row["plan"], sort_keys=True) for row in last[:len(known)]] == list(known)
    assert [row["loss"] for row in last[:len(known)]] == [row["loss"] for row in known.values()]
    others = {json.dumps(row["plan"], sort_keys=True) for row in last[len(known):] if "alone" not in row}
    assert not others & set(known)
    assert len({row["name"] for row in last[:len(known)]}) == len(known)


def test_the_table_has_a_row_for_every_budget(several: RunFolder) -> None:
    rows = {row.budget: row for row in overview(several).networks}
    assert [row.result for row in rows.values()] == ["met", "not made", "met"]
    assert "the fastest plan is predicted at" in rows["latency 1us"].why
    found = of(several, "latency-300pct").found(ShipResult)
    made = rows["latency 300%"].made
    assert made is not None
    assert (made.latency_ms, made.share) == (found.rows[-1].latency.median_ms, found.ratio)
    assert made.score == found.rows[-1].scores["accuracy"]
    told = json.loads((several.path / "report.json").read_text())
    assert (told["hwnas_overview"], told["made"], told["base"]) == (1, 2, "the network as given")
    page = (several.path / "report.html").read_text()
    assert "2 of 3 networks within their budgets made from one network" in page
    assert "1us" in page
    assert "not made: the fastest plan" in repr(several)
    with pytest.raises(RunError, match="a run for 3 budgets with a network for each"):
        several.found(ShipResult)


@pytest.mark.parametrize("source", ["", "budgets/latency-300pct"])
def test_another_budget_takes_over_units_times_and_losses(source: str, several: RunFolder, tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []
    run = retarget(several.path / source, tmp_path / "run", {"latency": "280%"}, tune_epochs=0,
                   hook=lambda stage, event, seconds: seen.append((stage, event)))
    assert [stage for stage, event in seen if event == "start"] == ["plan", "tune", "ship", "report"]
    assert is_finished(run)
    assert run.found(TuneResult).why == "--tune-epochs 0"
    assert run.found(UnitsResult).whole_ms == several.found(UnitsResult).whole_ms


@pytest.mark.parametrize("changes, words", [
    ({"seed": 3}, "seed was decided with the forms and losses of units"),
    ({"keep": ["u00"]}, "keep was decided with"),
    ({"target": "raspberry-pi-5"}, "reach it with --device ssh://user@host"),
    ({"precision": "int7"}, "precision"),
])
def test_what_the_units_were_scored_with_stays(changes: dict[str, Any], words: str, several: RunFolder,
                                               tmp_path: Path) -> None:
    with pytest.raises((UsageError, UnknownName), match=words):
        retarget(several.path, tmp_path / "run", {"latency": "280%"}, **changes)
    assert not (tmp_path / "run").exists()


def test_killed_at_every_stage_of_every_budget_it_goes_on(network: Path, tmp_path: Path) -> None:
    out, asked = tmp_path / "run", {"model": str(network), "budgets": {"latency": "300%,250%"}, **OPTIONS}
    with Lives() as lives:
        for after in (1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 99):  # 2 begins and ends a stage, so 3 is in the middle of the next
            code = OWN_NETWORK.format(after=after, out=str(out), asked=asked)
            assert lives.live(code) == (0 if after == 99 else -signal.SIGKILL)
    run = RunFolder.open(out)
    assert is_finished(run)
    assert [row.result for row in overview(run).networks] == ["met", "met"]
    assert not list(out.rglob("*.hwnas-part"))
