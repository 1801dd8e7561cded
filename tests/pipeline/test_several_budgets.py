"""One search, a network for every budget: whole runs below the run, none lost for another, killed and resumed."""

from __future__ import annotations

import json
import shutil
import signal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from hwnas.errors import BudgetInfeasible, RunError, SomeBudgetsFailed, TrainingDiverged, UsageError
from hwnas.files import sha256
from hwnas.pipeline import STAGES, RunFolder, compress, load_network, pick, resume, retarget
from hwnas.pipeline.report.overview import overview
from hwnas.pipeline.report.summary import is_finished
from hwnas.pipeline.run.folder import SEARCHED
from hwnas.pipeline.run.results import FinetuneResult, ProfileResult, ReportResult
from hwnas.pipeline.single_stage import rewrite_report
from hwnas.pipeline.stages.finetune import FinetuneStage
from tests.pipeline.lives import RETARGETED, Lives

ASKED = {"flops": ["60%", "0.1%", "300%", "400%"]}  # the second is less than any network needs, the last bind nothing
Event = tuple[str, str]


@pytest.fixture(scope="module")
def several(finished: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run for four budgets, one of which cannot be met. Read only."""
    out = tmp_path_factory.mktemp("runs") / "several"
    with pytest.raises(SomeBudgetsFailed, match=r"1 of 4 budgets has no network.*flops 0\.1%.*at least") as caught:
        retarget(finished.path, out, ASKED)
    assert caught.value.exit_code == 3
    assert list(caught.value.failed) == ["flops 0.1%"]
    return RunFolder.open(out)


def of(run: RunFolder, name: str) -> RunFolder:
    return RunFolder.open(run.path / "budgets" / name)


def test_every_budget_that_can_be_met_has_a_whole_run(several: RunFolder) -> None:
    assert [branch.name for branch in several.branches] == ["flops-60pct", "flops-0.1pct", "flops-300pct",
                                                            "flops-400pct"]
    assert sorted(path.name for path in (several.path / "budgets").iterdir()) == ["flops-300pct", "flops-400pct",
                                                                                  "flops-60pct"]
    for text in ("60%", "300%", "400%"):
        run = of(several, f"flops-{text.replace('%', 'pct')}")
        assert run.state.config.budgets == {"flops": text}
        assert all(run.done(stage) for stage in STAGES)
        assert run.found(ProfileResult).limits["flops"].startswith(f"{text[:-1]} % of")
    assert set(several.state.stages) == {*SEARCHED, "report"}


def test_a_network_is_the_one_that_a_run_of_its_own_gives(several: RunFolder, finished: RunFolder) -> None:
    run = of(several, "flops-60pct")
    assert run.result("generate")["choice"] == finished.result("generate")["choice"]
    assert sha256(run.path / "model.safetensors") == sha256(finished.path / "model.safetensors")


def test_budgets_with_the_same_network_train_it_once(several: RunFolder, tmp_path: Path) -> None:
    first, second = of(several, "flops-300pct"), of(several, "flops-400pct")
    assert (first.found(FinetuneResult).same_as, second.found(FinetuneResult).same_as) == (None, "flops-300pct")
    assert sha256(first.path / "model.safetensors") == sha256(second.path / "model.safetensors")
    alone = retarget(several.path, tmp_path / "alone", {"flops": "400%"}, until="finetune")
    assert alone.found(FinetuneResult).same_as is None
    assert sha256(alone.path / "model.safetensors") == sha256(second.path / "model.safetensors")


def test_the_table_has_a_row_for_every_budget(several: RunFolder) -> None:
    found = overview(several)
    rows = {row.budget: row for row in found.networks}
    assert list(rows) == ["flops 60%", "flops 0.1%", "flops 300%", "flops 400%"]
    missing = rows["flops 0.1%"]
    assert (missing.made, missing.result, missing.latency_ms, missing.share) == (None, "not made", None, None)
    assert "no architecture meets the budgets" in missing.why
    for name in ("flops 60%", "flops 300%"):
        row, exported = rows[name], RunFolder.open(rows[name].run).result("export")
        assert (row.result, row.kind) == ("met", "measured")
        assert row.latency_ms == exported["verdict"]["latency"]["median_ms"]
        assert row.share == exported["ratio"]
        assert row.made is not None
        assert row.made.score == exported["verdict"]["accuracy"]
        assert row.made.model == row.run / "model.onnx"
    assert rows["flops 400%"].same_as == "flops-300pct"
    small, large = rows["flops 60%"].made, rows["flops 300%"].made
    assert small is not None
    assert large is not None
    assert small.flops is not None
    assert large.flops is not None
    assert small.flops < large.flops
    assert found.network_seconds > 0


class Page(HTMLParser):
    """The cells of the rows of a page, and where it links to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr":
            self.rows.append("")
        self.links += [value for name, value in attrs if name == "href" and value]

    def handle_data(self, data: str) -> None:
        if self.rows:
            self.rows[-1] += data


def test_the_report_is_of_all_and_can_be_passed_on(several: RunFolder, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(several.path, tmp_path / "moved"))
    told = json.loads((moved / "report.json").read_text())
    assert next(iter(told)) == "hwnas_overview"
    assert [row["model"] for row in told["networks"]] == ["budgets/flops-60pct/model.onnx", None,
                                                          "budgets/flops-300pct/model.onnx",
                                                          "budgets/flops-400pct/model.onnx"]
    text = (moved / "report.html").read_text()
    assert str(several.path) not in text + json.dumps(told)
    page = Page(text)
    assert all((moved / link).is_file() for link in page.links)
    assert len(page.links) == 6
    assert "no architecture meets the budgets" in page.rows[2]
    assert "the same network as flops-300pct" in page.rows[4]
    before = {path: sha256(path) for path in moved.rglob("report.*")}
    written = rewrite_report(RunFolder.open(moved))
    assert sorted(written) == sorted(before)
    assert {path: sha256(path) for path in before if path.parent == moved} == {
        path: digest for path, digest in before.items() if path.parent == moved}


def test_the_run_shows_all_of_them(several: RunFolder) -> None:
    shown = repr(several)
    assert "flops-60pct" in shown
    assert "budgets/flops-400pct/model.onnx" in shown
    assert "not made: no architecture" in shown


def test_what_needs_one_network_names_them(several: RunFolder) -> None:
    places = "name one of them, .*flops-60pct or .*flops-300pct or .*flops-400pct$"
    with pytest.raises(RunError, match=places) as caught:
        load_network(several)
    assert "0.1pct" not in str(caught.value)
    assert load_network(several.path / "budgets" / "flops-60pct").arch.flops > 0


def test_its_search_answers_as_that_of_any_run(several: RunFolder, finished: RunFolder) -> None:
    assert [a.architecture.choice for a in pick(several.path, {"flops": "50%"}, top=3)] == [
        a.architecture.choice for a in pick(finished.path, {"flops": "50%"}, top=3)]


def test_going_on_repeats_nothing_and_tells_again_what_cannot_be_met(several: RunFolder) -> None:
    events: list[Event] = []
    with pytest.raises(SomeBudgetsFailed, match=r"flops 0\.1%"):
        resume(several.path, hook=lambda stage, event, _: events.append((stage, event)))
    rest = [(stage, "kept") for stage in STAGES if stage not in SEARCHED]
    assert events == [*((stage, "kept") for stage in SEARCHED), *rest, *rest, *rest]
    assert not is_finished(several)


def test_one_that_fails_takes_nothing_from_the_others_and_is_tried_again(
    finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, out = FinetuneStage.run, tmp_path / "run"

    def diverging(stage: FinetuneStage, context: Any) -> FinetuneResult:
        if context.run.path.name == "flops-60pct":
            raise TrainingDiverged("the loss is NaN")
        return trained(stage, context)

    with monkeypatch.context() as patch:
        patch.setattr(FinetuneStage, "run", diverging)
        with pytest.raises(SomeBudgetsFailed, match="flops 60%: the loss is NaN") as caught:
            retarget(finished.path, out, {"flops": ["60%", "300%"]}, until="finetune")
    assert caught.value.exit_code == 1
    run = RunFolder.open(out)
    assert ["finetune" in of(run, branch.name).state.stages for branch in run.branches] == [False, True]
    resume(out, until="finetune")
    assert sha256(of(run, "flops-60pct").path / "model.safetensors") == sha256(finished.path / "model.safetensors")


def test_budgets_that_none_can_meet_are_refused_before_any_training(small: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BudgetInfeasible, match="at least"):
        compress(tmp_path / "run", budgets={"flops": ["0.1%", "0.2%"]}, **small)
    assert not (tmp_path / "run" / "reference.checkpoint").exists()


def test_a_search_for_several_is_made_once_and_says_early_what_cannot_be_met(
    small: dict[str, Any], finished: RunFolder, tmp_path: Path
) -> None:
    run = compress(tmp_path / "run", budgets=ASKED, until="search", **small)
    assert list(run.found(ProfileResult).infeasible) == ["flops 0.1%"]
    assert sha256(run.path / "search.safetensors") == sha256(finished.path / "search.safetensors")
    assert not (run.path / "budgets").exists()


def test_wrong_lists_are_refused_before_there_is_a_folder(small: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the same budget"):
        compress(tmp_path / "run", budgets={"flops": ["50%", "50 %"]}, **small)
    assert not (tmp_path / "run").exists()


def test_a_branch_appears_whole_or_not_at_all(
    finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("hwnas.pipeline.run.folder.shutil.copyfile", full)
        with pytest.raises(Exception, match="No space left"):
            finished.branch(tmp_path / "b", finished.state.config)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "ends", [(("report done", 1), ("generate done", 1)), (("finetune start", 2), ("report done", 1))],
    ids=["between budgets", "within the second, before the table"])
def test_killed_between_budgets_and_resumed_gives_the_same(
    finished: RunFolder, several: RunFolder, lives: Lives, tmp_path: Path, ends: tuple[tuple[str, int], ...]
) -> None:
    out, budgets = tmp_path / "run", {"flops": ["60%", "300%"]}
    begin = f"retarget({str(finished.path)!r}, {str(out)!r}, {budgets!r}, hook=hook)"
    go_on = f"hwnas.resume({str(out)!r}, hook=hook)"
    for number, (stop, times) in enumerate(ends):
        code = RETARGETED.format(stop=stop, times=times, do=go_on if number else begin)
        assert lives.live(code) == -signal.SIGKILL
        assert "report" not in RunFolder.open(out).state.stages
    (out / "budgets" / ".flops-300pct.x.hwnas-part").mkdir()  # as a kill leaves it while a branch is made
    run = resume(out)
    assert is_finished(run)
    assert [branch.error for branch in run.found(ReportResult).branches] == [None, None]
    for name, undisturbed in (("flops-60pct", finished), ("flops-300pct", of(several, "flops-300pct"))):
        assert sha256(of(run, name).path / "model.safetensors") == sha256(undisturbed.path / "model.safetensors")
