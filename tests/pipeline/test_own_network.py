"""compress on a user's own network: what it leaves, going on after a kill, wrong input."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from hwnas.deploy.bundle_writer import deploy_run
from hwnas.deploy.runner.predicting import load_model
from hwnas.errors import BudgetInfeasible, DataError, InputError, RunError, UsageError
from hwnas.export.metadata import read_exported
from hwnas.export.own_samples import OwnSamples
from hwnas.files import read_lines
from hwnas.pipeline import RunFolder, compress, load_own_network, make_config, resume, retarget
from hwnas.pipeline.exported.checking import check_model
from hwnas.pipeline.exported.own_checking import OwnCheck
from hwnas.pipeline.exported.predicting import Predictor, predict_files
from hwnas.pipeline.own_network import choose, tune, units
from hwnas.pipeline.own_network.choose import PlanStage
from hwnas.pipeline.own_network.context import OwnContext, keys_of
from hwnas.pipeline.own_network.frozen import frozen_units
from hwnas.pipeline.own_network.tune import TuneStage, short_loss
from hwnas.pipeline.report.own_network import unit_rows, write_own_report
from hwnas.pipeline.run.own_results import PlanResult, ReadResult, ShipResult, UnitsResult
from hwnas.pipeline.run.state import digest
from hwnas.pipeline.single_stage import rewrite_report
from hwnas.runtime import Measurement
from hwnas.surgery import Cut, InputContract
from hwnas.surgery.plan import TEACHER, Plan
from hwnas.surgery.reading import read_network
from hwnas.surgery.session import session_of
from tests.trained_network import Builder, small_network, written

OPTIONS: dict[str, Any] = {"data": "digits", "imgsz": 16, "mean": 127.5, "std": 127.5, "colour": "grey"}
ROOMY = {"latency": "300%"}
"""A budget that a busy machine does not break: what is tested is not how fast it is."""


pytestmark = pytest.mark.usefixtures("timed_briefly")


@pytest.fixture(scope="module")
def finished(network: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "SECONDS", 0.5)
        patch.setenv("HWNAS_TABLES", str(tmp_path_factory.getbasetemp() / "tables"))
        yield compress(tmp_path_factory.mktemp("own") / "run", model=str(network), budgets=ROOMY, limit=300, **OPTIONS)


def test_it_leaves_what_was_promised(finished: RunFolder) -> None:
    assert [finished.done(stage) for stage in finished.stages] == [True] * 8
    read, found = finished.found(ReadResult), finished.found(ShipResult)
    assert read.difference <= 1e-5
    assert read.outputs == ["classes"]
    assert sum(read.images) == 300
    assert [row.name for row in found.rows] == ["network", "uniform-int8", "model"]
    assert found.rows[0].scores["loss"] == 0
    assert found.rows[0].scores["agreement"] == 100
    assert found.samples == min(64, read.images[2])
    report = json.loads((finished.path / "report.json").read_text())
    assert set(report) == {*finished.stages, "hwnas_own_report", "became", "warnings"} - {"report"}


def test_an_interpreter_shows_what_came_of_it(finished: RunFolder) -> None:
    told = repr(finished)
    assert "agreement" in told
    assert "ms measured, budget" in told
    assert "resume" not in told


def test_its_model_is_verified_with_the_files_of_the_run(finished: RunFolder, tmp_path: Path) -> None:
    found = check_model(finished.path)
    assert isinstance(found, OwnCheck)
    assert (found.difference, found.failures()) == (0, [])
    assert found.promise is not None
    assert found.promise.share == 3
    copy = shutil.copytree(finished.path, tmp_path / "copy")
    (copy / "network.onnx").write_bytes(b"")
    with pytest.raises(RunError, match=r"network\.onnx was changed after stage read"):
        check_model(copy)


def test_the_page_says_what_became_of_every_unit(finished: RunFolder) -> None:
    html = (finished.path / "report.html").read_text()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html[html.index("<body"):]))
    report = json.loads((finished.path / "report.json").read_text())
    assert [row["unit"] for row in report["became"]] == [unit.name for unit in finished.found(UnitsResult).units]
    for row in report["became"]:
        assert f"{row['unit']} kept fp32" in text
        assert row["before_ms"] == row["after_ms"] > 0
        assert row["loss"] == 0
    assert "budget 300 %: met" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert "uniform int8" in text
    assert "http" not in re.sub(r"http://www\.w3\.org\S*", "", html)  # needs no network
    assert "evaluation_epochs" not in text  # of a search
    assert str(finished.path.parent) not in html
    before = html
    rewrite_report(finished)
    assert (finished.path / "report.html").read_text() == before
    assert finished.done("report")


def test_a_unit_that_was_changed_is_told_with_times_and_loss(finished: RunFolder, tmp_path: Path) -> None:
    """As if the plan had been another; the page is made of what run.json says."""
    run = RunFolder.open(Path(shutil.copytree(finished.path, tmp_path / "run")))
    units = run.found(UnitsResult).units
    run.state.stages["plan"].result["chosen"] = {units[0].name: "teacher/int8", units[1].name: "none/float"}
    first, second = unit_rows(run)[:2]
    assert (first["becomes"], first["precision"]) == ("kept", "int8")
    assert first["after_ms"] == units[0].alone_ms["teacher/int8"]
    assert first["loss"] > 0 < first["loss_se"]
    assert (second["becomes"], second["after_ms"]) == ("left out", 0)
    assert second["loss"] > first["loss"]
    write_own_report(run)
    assert "left out" in (run.path / "report.html").read_text()


def test_the_torch_side_leaves_too(finished: RunFolder) -> None:
    torch, safetensors = pytest.importorskip("torch"), pytest.importorskip("safetensors.torch")
    space: dict[str, Any] = {}
    exec((finished.path / "model.py").read_text(), space)
    net = space["load"](finished.path / "model.safetensors")
    stored = OwnSamples.load(finished.path / "samples.safetensors")
    x = InputContract((127.5,), (127.5,), "grey").apply(stored.images)
    with torch.no_grad():
        given = net(torch.from_numpy(x)).numpy()
    twin = session_of((finished.path / "model-fp32.onnx").read_bytes())
    for image, row in zip(x, given, strict=True):
        assert np.allclose(twin.run(None, {"image": image[None]})[0][0], row, atol=1e-4)
    assert set(safetensors.load_file(finished.path / "model.safetensors")) == set(net.state_dict())
    assert "self.u00_conv1 = nn.Conv2d(1, 8, 3, padding=1)" in (finished.path / "model.py").read_text()


def test_its_images_are_predicted_and_it_is_deployed(finished: RunFolder, tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.full((20, 30), 90, np.uint8)).save(tmp_path / "x.png")
    [found] = predict_files(Predictor.of(finished.path), tmp_path / "x.png", None)
    assert {c["label"] for c in found.facts["classes"]} <= set("0123456789")
    made = deploy_run(finished, tmp_path / "bundle")
    assert made.finding.failures() == []
    assert made.promise_ms == pytest.approx(finished.found(ShipResult).limit_ms)
    assert made.reference_ms is not None
    assert load_model(made.path).predict(tmp_path / "x.png").facts == found.facts


def test_with_room_for_everything_nothing_is_changed(finished: RunFolder) -> None:
    assert finished.found(PlanResult).chosen == {}
    given, model = (onnx.load_model(finished.path / f"{name}.onnx") for name in ("network", "model"))
    assert model.metadata_props
    del model.metadata_props[:]  # what it says of itself
    assert model.SerializeToString() == given.SerializeToString()


def test_every_convolution_is_in_a_unit(finished: RunFolder) -> None:
    found = finished.found(UnitsResult)
    assert sum(unit.share for unit in found.units) == pytest.approx(100)
    assert all({"teacher/float", "teacher/int8"} <= set(unit.alone_ms) for unit in found.units)


def test_uniform_int8_is_what_the_quantiser_makes(finished: RunFolder) -> None:
    model = onnx.load_model(finished.path / "uniform-int8.onnx")
    assert sum(node.op_type == "QuantizeLinear" for node in model.graph.node) > 5
    given, lowered, _ = finished.found(ShipResult).rows
    assert 70 < lowered.scores["agreement"] <= 100
    assert 0 < lowered.scores["loss"] < 0.2
    assert lowered.size_bytes < given.size_bytes


def test_uniform_int8_says_of_itself_what_the_result_says_but_for_a_promise(finished: RunFolder) -> None:
    lowered, result = (read_exported((finished.path / f"{name}.onnx").read_bytes())
                       for name in ("uniform-int8", "model"))
    assert (lowered["role"], lowered["precision"], lowered["samples"]) == ("uniform", "mixed", 0)
    for name in ("hwnas", "network", "sha256", "contract", "input", "outputs", "classes", "data", "seed"):
        assert lowered[name] == result[name]
    row = finished.found(ShipResult).rows[1]
    assert lowered["latency"]["measured"]["median_ms"] == row.latency.median_ms
    assert (lowered["latency"]["limit_ms"], lowered["latency"]["share"]) == (None, None)
    assert isinstance(found := check_model(finished.path / "uniform-int8.onnx"), OwnCheck)
    assert (found.promise, found.failures()) == (None, [])


def test_the_loss_of_the_result_is_that_of_its_file(finished: RunFolder) -> None:
    rows = {row["name"]: row for row in read_lines(finished.path / "plans.jsonl")}
    assert rows["as given"]["loss"] == 0
    assert rows["uniform int8"]["loss"] > 0


def test_what_is_chosen_was_timed_beside_the_network_as_given_alone(finished: RunFolder, tmp_path: Path) -> None:
    """Also where it had looked faster among many: here the network as given is made to look worse than all others."""
    shutil.copytree(finished.path, tmp_path / "run")
    file = tmp_path / "run" / "plans.jsonl"
    rows = [row | ({"loss": 99.0} if not row["plan"] else {}) for row in read_lines(file)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    context = load_own_network(RunFolder.open(tmp_path / "run"))
    plan = PlanStage().run(context)
    lines = [row for row in read_lines(file) if row["plan"] == plan.chosen]
    assert plan.chosen
    assert "alone" not in lines[0]  # first among others, then alone
    assert 0 < lines[-1]["alone"] * plan.whole_ms <= plan.limit_ms
    told = next(row for row in plan.rows if row.name == plan.name)
    assert told.measured_ms == pytest.approx(lines[-1]["alone"] * plan.whole_ms)
    before = len(read_lines(file))
    assert PlanStage().run(context).chosen == plan.chosen
    assert [row["alone"] for row in read_lines(file)[before:] if row["plan"] == plan.chosen] == []  # not asked twice


def test_a_result_that_was_timed_beside_other_work_says_so(finished: RunFolder) -> None:
    context = load_own_network(finished)
    usual = context.calm_kernel_ms
    assert usual > 0
    timed = Measurement(1.0, 0.9, 1.1, 20, usual)
    assert context.company(timed) == []
    assert context.company(replace(timed, kernel_ms=None)) == []
    assert "other work held the machine" in context.company(replace(timed, kernel_ms=1.5 * usual))[0]


def test_a_stage_that_was_cut_off_goes_on(network: Path, tmp_path: Path) -> None:
    seen = 0

    def stop(what: str, done: int, total: int) -> None:
        nonlocal seen
        seen += what == "scoring options" and done > 0
        if seen == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compress(tmp_path / "run", model=str(network), budgets=ROOMY, limit=200, progress=stop, **OPTIONS)
    before = read_lines(tmp_path / "run" / "scores.jsonl")
    assert len(before) == 3
    run = resume(tmp_path / "run")
    after = read_lines(run.path / "scores.jsonl")
    assert after[:3] == before
    assert len({line["what"] for line in after}) == len(after)
    assert run.done("ship")


def test_units_that_are_to_stay_stay(network: Path, tmp_path: Path) -> None:
    run = compress(tmp_path / "run", model=str(network), budgets=ROOMY, limit=200, until="units",
                   keep=["u00", "u01"], **OPTIONS)
    found = run.found(UnitsResult)
    assert [bool(unit.frozen) for unit in found.units][:3] == [True, True, False]
    other = compress(tmp_path / "other", model=str(network), budgets=ROOMY, limit=200, until="units",
                     only="u00", **OPTIONS)
    assert [bool(unit.frozen) for unit in other.found(UnitsResult).units][:2] == [False, True]


def test_units_are_named_by_their_nodes_tensors_and_weights_too(network: Path) -> None:
    cut = Cut.of(read_network(str(network), InputContract((0.0,), (255.0,), "grey", "nchw"), None).model)
    unit = cut.units[1]
    node = cut.flow.nodes[unit.region.nodes[0]]
    for name in (unit.name, unit.target, node.name, node.output[0], node.input[1]):
        assert frozen_units(cut, [name], None) == {"u01": "--keep"}
    assert set(frozen_units(cut, None, ["u0[12]"])) == {u.name for u in cut.units} - {"u01", "u02"}
    assert frozen_units(cut, ["u0*"], ["u00"])["u00"] == "--keep"
    assert frozen_units(cut, None, None) == {}
    with pytest.raises(UsageError, match=r"--only 'u77' is the name of no unit.* near it are .*hwnas inspect"):
        frozen_units(cut, None, ["u00", "u77"])


def test_a_pattern_that_names_nothing_ends_the_run_before_anything_is_done(network: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--keep 'layer9\.\*' is the name of no unit"):
        compress(tmp_path / "run", model=str(network), budgets=ROOMY, limit=200, keep="u00,layer9.*", **OPTIONS)
    assert not (tmp_path / "run").exists()


def test_keep_is_a_number_of_a_search_and_patterns_of_an_own_network(network: Path) -> None:
    config = make_config({"model": str(network), "keep": "u00, u1*", "budgets": ROOMY, **OPTIONS})
    assert (config.model.keep, config.search.keep) == (("u00", "u1*"), 3)
    assert make_config({"keep": 2, "budgets": ROOMY}).search.keep == 2
    with pytest.raises(UsageError, match="--keep is of a search"):
        make_config({"model": str(network), "keep": 2, "budgets": ROOMY, **OPTIONS})
    with pytest.raises(UsageError, match="--keep is of a network of your own"):
        make_config({"keep": "u00", "budgets": ROOMY})


def test_what_is_for_a_search_says_so(finished: RunFolder) -> None:
    from hwnas.pipeline.run.results import ExportResult

    with pytest.raises(RunError, match=r"a run on a network of your own.*model\.onnx"):
        finished.found(ExportResult)


def test_what_cannot_be_met_says_what_can(network: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetInfeasible, match=r"the fastest plan is predicted at .* raise the budget"):
        compress(tmp_path / "run", model=str(network), budgets={"latency": "1us"}, limit=200, **OPTIONS)


def test_a_budget_under_what_kept_units_take_says_which_and_how_much(network: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetInfeasible, match=r"2 units that stay as given by --keep \(u00, u01\) take \d+\.\d{3} ms "
                                               r"alone, \d+ % of the network: raise the budget"):
        compress(tmp_path / "run", model=str(network), budgets={"latency": "1us"}, limit=200, keep="u00,u01",
                 **OPTIONS)


def test_a_wrong_mean_is_told_with_the_accuracy_that_it_gives(network: Path, tmp_path: Path) -> None:
    run = compress(tmp_path / "run", model=str(network), budgets=ROOMY, limit=200, until="read", **OPTIONS)
    [warning] = run.found(ReadResult).warnings  # its weights were drawn: it is right by chance
    assert "chance is 10.00 %" in warning
    assert "--mean" in warning


@pytest.mark.parametrize("changed, words", [
    ({"mean": None}, "--mean and --std of pixels 0..255"),
    ({"mean": 0.5, "std": 0.25}, "are of pixels in 0..1"),
    ({"std": 0}, "std must be above 0"),
    ({"mean": "1,2"}, "mean needs one number or 1"),
    ({"epochs": 3}, "--epochs is of a search in a space"),
    ({"budgets": {"flops": "50%"}}, "has a budget of latency"),
    ({"budgets": {"latency": "50%,50%"}}, "are the same budget"),
    ({"target": "raspberry-pi-5"}, "raspberry-pi-5 is another machine: reach it with --device ssh://user@host"),
    ({"device": "ssh://pi@board"}, "the target 'local' is this machine"),
    ({"target": "raspberry-pi-5", "device": "board"}, "ssh://"),
    ({"batch": 2}, "net takes 1 image a call, and --batch is 2: export it with an open batch, or leave out --batch"),
    ({"colour": "rgb"}, "give --colour grey"),
    ({"layout": "nhwc"}, "give --layout nchw"),
    ({"imgsz": 32}, "16x16"),
    ({"contract": "nowhere.yaml"}, "--contract says mean and std already"),
])
def test_wrong_options(changed: dict[str, Any], words: str, network: Path, tmp_path: Path) -> None:
    options = {"model": str(network), "budgets": ROOMY, "limit": 200, **OPTIONS, **changed}
    with pytest.raises((UsageError, InputError), match=words.replace(".", r"\.").replace("(", r"\(")):
        compress(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_options_of_an_own_network_need_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give --model as well"):
        compress(tmp_path / "run", mean=127)


def test_three_images_are_too_few(network: Path, tmp_path: Path) -> None:
    from PIL import Image

    for i in range(3):
        Image.new("L", (16, 16), i).save(tmp_path / f"{i}.png")
    with pytest.raises(DataError, match="3 images; to fit and to judge 8 are the least"):
        compress(tmp_path / "run", model=str(network), budgets=ROOMY, **{**OPTIONS, "data": str(tmp_path)})


def test_a_network_of_several_images_a_call_is_refused(tmp_path: Path) -> None:
    b = Builder((4, 1, 16, 16))
    model = written(b.model(b.classes(b.residual(b.conv("image", 1, 8), 8), 8, 10), batch=4), tmp_path / "net.onnx")
    with pytest.raises(InputError, match="takes 4 images a call, no fewer: give --batch 4, or export"):
        compress(tmp_path / "run", model=str(model), budgets=ROOMY, limit=200, **OPTIONS)


def test_several_images_a_call_are_timed_and_one_is_answered(tmp_path: Path) -> None:
    model = small_network()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "n"
    path = str(written(model, tmp_path / "net.onnx"))
    run = compress(tmp_path / "run", model=path, budgets=ROOMY, limit=120, batch=4, precision_only=True, **OPTIONS)
    assert run.found(ReadResult).target["batch"] == 4
    assert (run.found(ReadResult).network, run.found(ReadResult).input_shape) == ("net", [1, 1, 16, 16])
    assert load_own_network(run).network.name == "net"
    sizes = {name: session_of((run.path / f"{name}.onnx").read_bytes()).get_inputs()[0].shape[0]
             for name in ("network", "model", "uniform-int8")}
    assert set(sizes.values()) == {"batch"}
    checked = check_model(run.path)
    assert (checked.target.batch, checked.failures()) == (4, [])
    assert deploy_run(run, tmp_path / "bundle").finding.failures() == []
    with pytest.raises(UsageError, match=r"was read for 4 images a call, and this would be for 1: give --batch 4"):
        retarget(run.path, tmp_path / "other", ROOMY, target="local")


def test_a_contract_of_a_file(network: Path, tmp_path: Path) -> None:
    (tmp_path / "contract.yaml").write_text("mean: 127.5\nstd: 127.5\ncolour: grey\n")
    run = compress(tmp_path / "run", model=str(network), budgets=ROOMY, limit=200, until="read", data="digits",
                   imgsz=16, contract=str(tmp_path / "contract.yaml"))
    assert run.found(ReadResult).contract["mean"] == [127.5]


@pytest.fixture
def runners(finished: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[RunFolder, list[Plan]]:
    """A run before its choice: three plans that differ, a fourth that is nearly the first; each worse than the last."""
    shutil.copytree(finished.path, tmp_path / "run")
    run = RunFolder.open(tmp_path / "run")
    context = load_own_network(run)
    replaced = [{name: next(o for o in options if o.form != TEACHER)} for name, options in
                context.places.options.items() if any(o.form != TEACHER for o in options)]
    plans: list[Plan] = [{**replaced[i], **replaced[i + 1]} for i in (0, 1, 2)]
    plans.insert(1, replaced[0])
    rows = [{"name": f"plan 1.{i}", "round": "round 1", "plan": keys_of(plan), "measured_ms": 0.5, "whole_ms": 1.0,
             "alone": 0.5, "loss": 0.1 + 0.1 * i, "loss_se": 0.0, "predicted_ms": 1.0, "predicted_loss": 0.1}
            for i, plan in enumerate(plans)]
    rows += [row | {"loss": 99.0} for row in read_lines(run.path / "plans.jsonl") if row["round"] == "trivial"]
    (run.path / "plans.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(choose, "ROUNDS", 0)
    monkeypatch.setattr(choose, "FURTHER", 0)
    return run, plans


def test_the_best_plans_that_differ_are_tuned_briefly_and_the_best_of_them_goes_on(
    runners: tuple[RunFolder, list[Plan]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, plans = runners
    asked: list[Plan] = []

    def counted(context: OwnContext, plan: Plan) -> float:
        asked.append(plan)
        return short_loss(context, plan)

    monkeypatch.setattr(choose, "short_loss", counted)
    found = PlanStage().run(load_own_network(run))
    assert asked == [plans[0], plans[2], plans[3]]  # plans[1] differs from the first in one place
    tried = {row.name: row.tried for row in found.rows if row.tried is not None}
    assert set(tried) == {"plan 1.0", "plan 1.2", "plan 1.3"}
    assert found.name == min(tried, key=lambda name: tried[name])
    assert all(0 < loss < 10 for loss in tried.values())
    assert len(set(tried.values())) == 3

    assert PlanStage().run(load_own_network(run)) == found
    assert len(asked) == 3  # not again
    lines = read_lines(run.path / "plans.jsonl")
    (run.path / "plans.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines[:-1]))  # killed at the last
    assert PlanStage().run(load_own_network(run)) == found
    assert asked[3:] == [plans[3]]


def test_the_page_tells_of_the_race(runners: tuple[RunFolder, list[Plan]]) -> None:
    run, _ = runners
    found = PlanStage().run(load_own_network(run))
    state = json.loads((run.path / "run.json").read_text())
    state["stages"]["plan"]["result"] = found.to_json()
    (run.path / "run.json").write_text(json.dumps(state | {"integrity": digest(state)}))
    write_own_report(RunFolder.open(run.path))
    page = (run.path / "report.html").read_text()
    assert "of the best 3 that differ, the one with the least loss after a short tuning of each" in page
    told = [row.tried for row in found.rows if row.tried is not None]
    assert all(f"<td>{loss:.4f}</td>" in page for loss in told)


def test_nothing_races_where_nothing_is_tuned(runners: tuple[RunFolder, list[Plan]]) -> None:
    run, plans = runners
    state = json.loads((run.path / "run.json").read_text())
    state["config"]["model"]["tune_epochs"] = 0
    (run.path / "run.json").write_text(json.dumps(state | {"integrity": digest(state)}))
    found = PlanStage().run(load_own_network(RunFolder.open(run.path)))
    assert found.chosen == keys_of(plans[0])
    assert all(row.tried is None for row in found.rows)


def test_int8_that_loses_learns_once_more_with_everything_rounded(
    runners: tuple[RunFolder, list[Plan]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, plans = runners
    found = PlanStage().run(load_own_network(run))
    chosen = keys_of({place: replace(option, precision="int8") for place, option in plans[0].items()})
    state = json.loads((run.path / "run.json").read_text())
    state["stages"]["plan"]["result"] = {**found.to_json(), "chosen": chosen}
    (run.path / "run.json").write_text(json.dumps(state | {"integrity": digest(state)}))
    told = {}
    for need in (1e9, -1.0):
        monkeypatch.setattr(tune, "NEED", need)
        told[need] = TuneStage().run(load_own_network(RunFolder.open(run.path)))
        (run.path / "tune.checkpoint").unlink()
    enough, more = told[1e9], told[-1.0]
    assert not enough.rounded
    assert more.steps > enough.steps
    assert more.after <= enough.after  # the better one counts
    assert more.rounded == (more.after < enough.after)
