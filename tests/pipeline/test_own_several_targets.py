"""A user's own network for several targets, or for another one: read and fitted once, timed and judged on each.

The targets are two runtimes of this machine.
"""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from hwnas.errors import RunError, UnknownName, UsageError
from hwnas.files import read_lines
from hwnas.pipeline import RunFolder, compress, load_own_network, make_config, resume, retarget
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.exported.checking import check_model
from hwnas.pipeline.own_network import units
from hwnas.pipeline.report.overview import overview
from hwnas.pipeline.report.summary import is_finished
from hwnas.pipeline.run.folder import OWN_SHARED
from hwnas.pipeline.run.own_results import PlanResult, ReadResult, ShipResult, UnitsResult
from hwnas.pipeline.run.own_scores import holding, scores_in
from tests.pipeline.lives import OWN_NETWORK, Lives

pytest.importorskip("openvino")

OPTIONS: dict[str, Any] = {"data": "digits", "imgsz": 16, "mean": 127.5, "std": 127.5, "colour": "grey", "limit": 120}
ROOMY = {"latency": ["300%", "250%"]}
ELSEWHERE = [stage for stage in OWN_SHARED if stage in ("read", "fit")]

pytestmark = pytest.mark.usefixtures("timed_briefly")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This machine through OpenVINO."""
    path = tmp_path_factory.mktemp("target") / "here-openvino.yaml"
    path.write_text("name: here-openvino\nruntime: openvino\n")
    return path


@pytest.fixture(scope="module")
def several(network: Path, other: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Of this machine through both runtimes, within other budgets. Read only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "SECONDS", 0.5)
        patch.setenv("HWNAS_TABLES", str(tmp_path_factory.getbasetemp() / "tables"))
        return compress(tmp_path_factory.mktemp("own") / "run", model=str(network), budgets=ROOMY,
                        target=f"local,{other}", **OPTIONS)


def of(run: RunFolder, name: str) -> RunFolder:
    return RunFolder.open(run.path / "targets" / name)


def test_every_target_has_a_whole_run_with_its_own_times(several: RunFolder) -> None:
    assert set(several.state.stages) == {*OWN_SHARED, "report"}
    assert [branch.name for branch in several.branches] == ["local", "here-openvino"]
    for name, runtime, factor in (("local", "onnxruntime", 3.0), ("here-openvino", "openvino", 2.5)):
        run = of(several, name)
        assert all(run.done(stage) for stage in run.stages)
        assert run.found(ReadResult).target["runtime"] == runtime
        assert run.state.config.budgets == run.found(ReadResult).budgets == {"latency": f"{100 * factor:.0f}%"}
        whole = run.found(UnitsResult).whole_ms
        assert run.found(UnitsResult).limits == pytest.approx({f"{100 * factor:.0f}%": factor * whole})
        assert run.found(PlanResult).whole_ms == whole
        assert [run.state.stages[stage].files for stage in ELSEWHERE] == [
            several.state.stages[stage].files for stage in ELSEWHERE]
        assert check_model(run.path).target.runtime == runtime
    first, second = (of(several, name) for name in ("local", "here-openvino"))
    assert (first.path / "costs.json").read_bytes() == (several.path / "costs.json").read_bytes()
    assert second.found(UnitsResult).whole_ms != first.found(UnitsResult).whole_ms
    assert read_lines(second.path / "plans.jsonl")[0]["round"] == "trivial"


def test_losses_of_floats_are_taken_over_and_those_of_int8_are_the_runtimes_own(several: RunFolder) -> None:
    first, second = (scores_in(of(several, name).path) for name in ("local", "here-openvino"))
    floats = [name for name in first if "int8" not in name]
    assert floats
    assert [second[name] for name in floats] == [first[name] for name in floats]
    lower = [name for name in first if "int8" in name]
    assert {*lower} <= {*second}
    assert any(second[name]["loss"] != first[name]["loss"] for name in lower)
    context = load_own_network(of(several, "here-openvino"))
    name = next(name for name in lower if name.startswith("u"))
    place, key = name.split(" ")
    option = next(o for o in context.places.options[place] if o.key == key)
    scored = context.scoring.score(context.running(context.assembler.model({place: option})))
    assert second[name]["loss"] == pytest.approx(scored.mean, abs=1e-6)


def test_which_losses_hold_elsewhere() -> None:
    names = ["u00 thin-0.5/float", "u00 thin-0.5/int8", "u00 teacher/fp16", "uniform int8",
             "pair u00 none/float u01 thin-0.5/float"]
    lines = {name: {"what": name, "loss": 1.0} for name in names}

    def kept(before: tuple[str, str], now: tuple[str, str]) -> list[str]:
        told = ({"runtime": runtime, "precision": precision} for runtime, precision in (before, now))
        return [line["what"] for line in holding(lines, *told)]

    ort, openvino = ("onnxruntime", "fp32"), ("openvino", "fp32")
    assert kept(ort, ort) == names
    assert kept(ort, openvino) == [names[0], names[4]]
    assert kept(ort, ("openvino", "fp16")) == []
    assert kept(("openvino", "fp16"), ("tensorrt", "fp16")) == []


def test_the_table_of_all_says_of_which_target_a_network_is(several: RunFolder) -> None:
    found = overview(several)
    assert found.kind == "targets"
    assert [row.budget for row in found.networks] == ["local, latency 300%", "here-openvino, latency 250%"]
    assert [row.target and row.target["runtime"] for row in found.networks] == ["onnxruntime", "openvino"]
    assert [row.result for row in found.networks] == ["met", "met"]
    for row in found.networks:
        assert row.made is not None
        shipped = RunFolder.open(row.run).found(ShipResult)
        assert (row.latency_ms, row.share) == (shipped.rows[-1].latency.median_ms, shipped.ratio)
    told = json.loads((several.path / "report.json").read_text())
    assert [row["target"]["name"] for row in told["networks"]] == ["local", "here-openvino"]
    page = (several.path / "report.html").read_text()
    assert "Every target" in page
    assert "here-openvino" in page
    with pytest.raises(RunError, match="a run for 2 targets with a network for each"):
        several.found(ShipResult)


def test_another_target_takes_over_what_was_read_and_fitted(several: RunFolder, other: Path, tmp_path: Path) -> None:
    seen: list[str] = []
    run = retarget(of(several, "local").path, tmp_path / "run", {"latency": "280%"}, target=str(other), tune_epochs=0,
                   until="score", hook=lambda stage, event, seconds: seen.append(f"{stage} {event}"))
    assert [word for word in seen if word.endswith("start")] == ["units start", "score start"]
    assert run.found(ReadResult).target["runtime"] == "openvino"
    assert run.state.config.model.tune_epochs == 0
    mine, theirs = scores_in(run.path), scores_in(of(several, "here-openvino").path)
    assert {*mine} == {*theirs}
    for name, line in mine.items():
        assert line["loss"] == pytest.approx(theirs[name]["loss"], abs=1e-4)


def test_other_precisions_score_what_is_new_alone(several: RunFolder, tmp_path: Path) -> None:
    lower = retarget(several.path, tmp_path / "fp32", {"latency": "280%"}, target="local", precision="fp32",
                     until="score")
    assert all("int8" not in key for unit in lower.found(UnitsResult).units for key in unit.alone_ms)
    again = retarget(lower.path, tmp_path / "int8", {"latency": "280%"}, precision="int8", until="units")
    assert scores_in(again.path) == scores_in(several.path)  # the lines of int8 had come along
    (again.path / "scores.jsonl").write_text("".join(
        json.dumps(line) + "\n" for name, line in scores_in(again.path).items() if "int8" not in name))
    assert {*scores_in(resume(again.path, until="score").path)} == {*scores_in(several.path)}


@pytest.mark.parametrize("changed, words", [
    ({"target": "local,local"}, "there twice with the same budget"),
    ({"target": "local,raspberry-pi-5"}, "raspberry-pi-5 is another machine: reach it with --device ssh://user@host"),
    ({"target": "local,raspberry-pi-5", "device": "ssh://pi@board"}, "the target 'local' is this machine"),
    ({"target": "local,raspberry-pi-5", "device": "here,ssh://a,ssh://b"}, "--device has 3 addresses, and --target 2"),
    ({"target": "raspberry-pi-5,raspberry-pi-5", "device": "ssh://a,ssh://b", "budgets": {"latency": "50%,40%"}},
     "is there twice, on two devices"),
    ({"target": "local,nowhere"}, "nowhere"),
    ({"target": "local,raspberry-pi-5", "device": "here,"}, "ssh://"),
    ({"target": "local,x86-avx2", "one_model": True}, "--one-model is of a search"),
])
def test_wrong_targets(changed: dict[str, Any], words: str, network: Path) -> None:
    with pytest.raises((UsageError, UnknownName), match=words):
        make_config({"model": str(network), "budgets": {"latency": "50%"}, **OPTIONS, **changed})


def test_devices_stand_beside_targets(network: Path) -> None:
    def config(**changed: Any) -> CompressConfig:
        return make_config({"model": str(network), "budgets": {"latency": "50%"}, **OPTIONS, **changed})

    found = config(target="local,raspberry-pi-5", device="here, ssh://pi@board")
    assert [found.device_on(name) for name in found.target.names] == [None, "ssh://pi@board"]
    assert found.device is None
    both = config(target="raspberry-pi-5,raspberry-pi-4", device=["ssh://a", "ssh://b"])
    assert [both.device_on(name) for name in both.target.names] == ["ssh://a", "ssh://b"]
    assert config(target="raspberry-pi-5,raspberry-pi-4", device="ssh://a").device_on("raspberry-pi-4") == "ssh://a"
    assert config().device is config(device="here").device is None


def test_killed_in_stages_of_the_second_target_it_goes_on(network: Path, other: Path, tmp_path: Path) -> None:
    out, asked = tmp_path / "run", {"model": str(network), "budgets": {"latency": "300%"}, "tune_epochs": 0,
                                    "target": f"local,{other}", **OPTIONS}
    with Lives() as lives:
        # four stages of all and four of the first target begin and end before units, then score, after plan
        for after in (17, 3, 4, 99):
            code = OWN_NETWORK.format(after=after, out=str(out), asked=asked)
            left = lives.live(code)
            assert left == (0 if after == 99 else -signal.SIGKILL)
    run = RunFolder.open(out)
    assert is_finished(run)
    assert [row.result for row in overview(run).networks] == ["met", "met"]
    assert not list(out.rglob("*.hwnas-part"))


def test_a_run_that_is_carried_away_goes_on_alone(several: RunFolder, tmp_path: Path) -> None:
    copy = RunFolder.open(Path(shutil.copytree(of(several, "here-openvino").path, tmp_path / "alone")))
    assert check_model(copy.path).failures() == []
