"""One search, a network for every target, or one for all of them: whole runs below the run, killed and resumed."""

from __future__ import annotations

import json
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hwnas.errors import BudgetInfeasible, RunError, UsageError
from hwnas.files import sha256
from hwnas.latency import LatencyModel
from hwnas.pipeline import STAGES, RunFolder, compress, load_network, make_config, resume, retarget
from hwnas.pipeline.context import RunContext
from hwnas.pipeline.report.overview import overview
from hwnas.pipeline.report.summary import is_finished
from hwnas.pipeline.run.folder import SEARCHED
from hwnas.pipeline.run.results import FinetuneResult, GenerateResult, ProfileResult
from hwnas.pipeline.stages.export import ExportStage, OverBudget
from hwnas.pipeline.stages.generate import GenerateStage
from hwnas.pipeline.stages.search import SearchStage
from hwnas.space import Op
from tests.pipeline.lives import RETARGETED, Lives

TARGETS = "raspberry-pi-4,x86-avx2"
TRAINED = [stage for stage in SEARCHED if stage != "profile"]


@pytest.fixture(scope="module")
def several(finished: RunFolder, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run for two targets with a network each, of other budgets. Read only."""
    out = tmp_path_factory.mktemp("runs") / "several"
    return retarget(finished.path, out, {"latency": ["70%", "90%"]}, target=TARGETS, trial_epochs=0)


def of(run: RunFolder, name: str) -> RunFolder:
    return RunFolder.open(run.path / "targets" / name)


def test_every_target_has_a_whole_run_with_its_own_latencies(several: RunFolder, finished: RunFolder) -> None:
    assert [branch.name for branch in several.branches] == ["raspberry-pi-4", "x86-avx2"]
    for name, share in (("raspberry-pi-4", "70%"), ("x86-avx2", "90%")):
        run = of(several, name)
        assert all(run.done(stage) for stage in STAGES)
        assert (run.state.config.target.name, run.state.config.budgets) == (name, {"latency": share})
        assert run.found(ProfileResult).lanes[0].source == "estimated"
        assert run.found(ProfileResult).limits["latency"].startswith(f"{share[:-1]} % of")
        assert [run.state.stages[stage].files for stage in TRAINED] == [
            finished.state.stages[stage].files for stage in TRAINED]
        assert load_network(run.path).arch.flops > 0
    assert of(several, "raspberry-pi-4").state.reference != of(several, "x86-avx2").state.reference


def test_the_table_of_all_says_whose_latencies_are_from_where(several: RunFolder) -> None:
    found = overview(several)
    assert (found.kind, found.together) == ("targets", "")
    assert [row.budget for row in found.networks] == ["raspberry-pi-4, latency 70%", "x86-avx2, latency 90%"]
    assert [row.target and row.target["threads"] for row in found.networks] == [4, 1]
    assert all(row.kind == "estimated" and row.made and row.made.next for row in found.networks)
    told = json.loads((several.path / "report.json").read_text())
    assert [row["target"]["name"] for row in told["networks"]] == ["raspberry-pi-4", "x86-avx2"]
    page = (several.path / "report.html").read_text()
    assert "Every target" in page
    assert "estimated from the public figures of x86-avx2" in page
    with pytest.raises(RunError, match=r"run for 2 targets .*targets/raspberry-pi-4 or .*targets/x86-avx2"):
        load_network(several)


@pytest.mark.slow
def test_one_network_for_all_is_trained_once_and_within_every_budget(finished: RunFolder, tmp_path: Path) -> None:
    run = retarget(finished.path, tmp_path / "one", {"latency": "90%"}, target=TARGETS, one_model=True, trial_epochs=0)
    first, second = (of(run, branch.name) for branch in run.branches)
    chosen, taken = first.found(GenerateResult), second.found(GenerateResult)
    assert (chosen.choice, chosen.variant) == (taken.choice, taken.variant)
    assert second.found(FinetuneResult).same_as == "raspberry-pi-4"
    assert sha256(first.path / "model.safetensors") == sha256(second.path / "model.safetensors")
    assert chosen.rooms == pytest.approx(taken.rooms)
    assert set(chosen.rooms) == {"raspberry-pi-4", "x86-avx2"}
    assert min(chosen.rooms.values()) >= 0
    assert set(chosen.bounds) == {"latency"}  # of its own target: what its report explains
    assert "one network for all 2 targets" in overview(run).together


def test_the_cheapest_op_on_every_target_is_protected(finished: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def noted(*words: Any, protect: Any, **more: Any) -> Any:
        asked.extend(protect)
        raise KeyboardInterrupt

    monkeypatch.setattr("hwnas.search.resumable.run", noted)
    space = finished.space
    own = LatencyModel.from_json(json.loads((finished.path / "latency.json").read_text()))
    odd = replace(own, entries_ms={s: 1 / (1 + Op.parse(s).flops) for s in own.entries_ms}, source="estimated")
    monkeypatch.setattr("hwnas.pipeline.stages.search.known_latencies", lambda *words: SimpleNamespace(model=odd))
    run = RunFolder(finished.path, finished.state.model_copy(update={
        "config": finished.state.config.replaced(target=f"{finished.state.config.target.name},x86-avx2")}))
    with pytest.raises(KeyboardInterrupt):
        SearchStage().run(RunContext(run))
    cheapest = [[min((k for k, op in enumerate(choice.ops) if not op.cuts), key=lambda k: costs[k])
                 for choice, costs in zip(space.choices, model.costs_ns(space)[1], strict=True)]
                for model in (own, odd)]
    assert any(a != b for a, b in zip(*cheapest, strict=True))
    assert asked == [a if a == b else [a, b] for a, b in zip(*cheapest, strict=True)]


def test_a_target_alone_does_not_choose_what_is_to_be_one_network_for_all(
    finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is killed once every target has its run and its latencies, before one of them has chosen."""
    def killed(stage: GenerateStage, context: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(GenerateStage, "run", killed)
        with pytest.raises(KeyboardInterrupt):
            retarget(finished.path, tmp_path / "one", {"latency": "90%"}, target=TARGETS, one_model=True,
                     trial_epochs=0)
    for name in ("raspberry-pi-4", "x86-avx2"):
        with pytest.raises(RunError, match=r"chosen for all of them together.*hwnas compress --resume .*/one"):
            resume(tmp_path / "one" / "targets" / name)
        assert GenerateResult.stage not in of(RunFolder.open(tmp_path / "one"), name).state.stages


@pytest.mark.slow
def test_a_budget_that_one_target_misses_is_tightened_and_all_get_the_next_network(
    finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported, over = ExportStage.run, []

    def measuring(stage: ExportStage, context: Any) -> Any:
        found = exported(stage, context)
        if context.run.path.name == "x86-avx2" and not over:
            over.append(context.run.found(GenerateResult).choice)
            raise _Over(0.75)
        return found

    monkeypatch.setattr(ExportStage, "run", measuring)
    run = retarget(finished.path, tmp_path / "one", {"latency": "95%"}, target=TARGETS, one_model=True, trial_epochs=0)
    first, second = (of(run, branch.name) for branch in run.branches)
    chosen, taken = first.found(GenerateResult), second.found(GenerateResult)
    assert over
    assert chosen.choice == taken.choice != over[0]
    assert chosen.agreed == taken.agreed == {"raspberry-pi-4": 1.0, "x86-avx2": 0.75}
    assert is_finished(run)


class _Over(OverBudget):
    """A model that measured over its budget."""

    def __init__(self, factor: float) -> None:
        Exception.__init__(self)
        self.factor = factor

    def amend(self, run: RunFolder) -> None:
        run.state.tighten *= self.factor
        run.state.attempts += 1


def test_a_budget_that_one_target_cannot_meet_is_told_early(small: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(BudgetInfeasible, match=r"x86-avx2, latency 1us: no architecture .*at least"):
        compress(tmp_path / "run", budgets={"latency": ["90%", "1us"]}, target=TARGETS, one_model=True, **small)
    assert not (tmp_path / "run" / "reference.checkpoint").exists()
    assert not (tmp_path / "run" / "targets").exists()


@pytest.mark.parametrize(("options", "why"), [
    ({"target": "local,locl"}, "unknown target 'locl'"), ({"target": ["jetson", "jetson-orin-nano"]}, "are the same"),
    ({"target": "local,local"}, "there twice with the same budget"),
    ({"target": "local,jetson", "budgets": {"latency": "1ms,2ms,3ms"}}, "--latency 3, --target 2"),
    ({"one_model": True}, "several targets, each named once"),
    ({"target": "local,jetson", "give_up": 1}, "give --one-model as well"),
    ({"target": "local,x86-avx2", "one_model": True, "precision": "fp32,int8"}, "several precisions would compete"),
    ({"target": TARGETS, "one_model": True, "give_up": 1, "budgets": {"flops": "50%"}}, "give --latency as well"),
])
def test_wrong_lists_of_targets_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        make_config(options)


def test_targets_of_files_are_found_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my,board.yaml").write_text("name: board\nruntime: onnxruntime\n")
    monkeypatch.chdir(tmp_path)
    assert make_config({"target": "my,board.yaml"}).anchored().target.names == (str(tmp_path / "my,board.yaml"),)
    (tmp_path / "board.yaml").write_text("name: board\nruntime: onnxruntime\n")
    config = make_config({"target": "local,board.yaml"}).anchored()
    assert config.target.names == ("local", str(tmp_path / "board.yaml"))
    assert config.target.first == "local"


@pytest.mark.slow
def test_killed_at_any_target_and_resumed_gives_the_same(finished: RunFolder, several: RunFolder, lives: Lives,
                                                         tmp_path: Path) -> None:
    out = tmp_path / "run"
    begin = (f"retarget({str(finished.path)!r}, {str(out)!r}, {{'latency': ['70%', '90%']}}, target={TARGETS!r}, "
             "trial_epochs=0, hook=hook)")
    ends = (("report done", 1), ("profile done", 1), ("generate start", 1), ("export start", 1))
    for number, (stop, times) in enumerate(ends):
        code = RETARGETED.format(stop=stop, times=times,
                                 do=f"hwnas.resume({str(out)!r}, hook=hook)" if number else begin)
        assert lives.live(code) == -signal.SIGKILL
        assert "report" not in RunFolder.open(out).state.stages
    run = resume(out)
    assert is_finished(run)
    for name in ("raspberry-pi-4", "x86-avx2"):
        assert sha256(of(run, name).path / "model.safetensors") == sha256(of(several, name).path / "model.safetensors")
