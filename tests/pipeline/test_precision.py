"""Another precision, runtime or device, from the budget to the report: what ships is what was measured and judged."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from hwnas.errors import RunError, UnknownName, UsageError, VerificationFailed
from hwnas.export import Loss, Samples, predict, read_metadata, verify
from hwnas.pipeline import ArchitectureSolver, RunFolder, compress, make_config, pick, resume
from hwnas.pipeline.exported.checking import check_model
from hwnas.pipeline.exported.inference import reach
from hwnas.pipeline.latencies.latency_sources import targets_for
from hwnas.pipeline.report.summary import precisions, summary
from hwnas.pipeline.single_stage import export_run
from hwnas.runtime import open_runtime
from hwnas.target import data_folder, load
from tests.space.own_spaces import two_roads

needs_openvino = pytest.mark.skipif(
    reach(load("local", runtime="openvino")) is None, reason="openvino is not installed: pip install openvino")


def kinds(model: Path) -> set[str]:
    return {node.op_type for node in onnx.load(model).graph.node}


def end_to_end(out: Path, small: dict[str, Any], **options: Any) -> Iterator[RunFolder]:
    threads = torch.get_num_threads()
    yield compress(out, **{**small, "epochs": 2, "limit": 400, **options})
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def eight(small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """A finished run in int8, within the multiply-accumulates that leave room for rounding to be no gain."""
    yield from end_to_end(tmp_path_factory.mktemp("eight") / "run", small, precision="int8",
                          budgets={"flops": "80%", "latency": "150%", "memory": "30%"})


def test_what_ships_is_int8_and_its_fp32_twin_gives_torchs_logits(eight: RunFolder) -> None:
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds(eight.path / "model.onnx")
    assert "QuantizeLinear" not in kinds(eight.path / "model-fp32.onnx")
    found = eight.result("export")
    assert found["precision"] == found["verdict"]["precision"] == "int8"
    assert found["exact"]["max_difference"] <= 1e-4
    assert found["exact"]["agreement"] == 100.0
    assert found["verdict"]["max_difference"] > 1e-4
    loss = found["verdict"]["loss"]
    assert loss["drop"] == pytest.approx(found["exact"]["accuracy"] - found["verdict"]["accuracy"])
    facts = read_metadata((eight.path / "model.onnx").read_bytes())
    assert facts["precision"] == facts["target"]["precision"] == "int8"
    assert facts["table_hash"] == ArchitectureSolver.of_run(eight).latency.table_hash
    assert read_metadata((eight.path / "model-fp32.onnx").read_bytes())["precision"] == "fp32"


def test_the_accuracy_is_that_of_the_shipped_graph_through_the_runtime(eight: RunFolder) -> None:
    samples = Samples.load(eight.path / "samples.safetensors")
    session = open_runtime("onnxruntime", precision="int8").load((eight.path / "model.onnx").read_bytes())
    answers = predict(session, samples.images).argmax(1)
    right = answers == samples.metric.labels
    assert eight.result("export")["verdict"]["accuracy"] == pytest.approx(100 * right.mean())


def test_percentages_are_of_the_fp32_reference(eight: RunFolder) -> None:
    found, solver = eight.result("export"), ArchitectureSolver.of_run(eight)
    fixed = eight.state.reference
    assert fixed is not None
    assert found["budget_ms"] == pytest.approx(1.5 * fixed.latency_ms)
    assert found["reference"]["precision"] == "fp32"
    bounds = eight.result("generate")["bounds"]
    largest = solver.space.largest()
    assert bounds["latency"] == pytest.approx(1.5 * fixed.latency_ms * 1e6)
    assert bounds["memory"] == pytest.approx(0.3 * largest.memory_bytes(4))
    chosen = solver.space.architecture(eight.result("generate")["choice"])
    assert chosen.memory_bytes(1) <= bounds["memory"]


def test_everything_is_shown_side_by_side(eight: RunFolder) -> None:
    rows = [(row.name, row.precision, row.ships) for row in precisions(eight)]
    assert rows == [("reference", "fp32", False), ("reference", "int8", False), ("compressed", "fp32", False),
                    ("compressed", "int8", True)]
    assert all(row.measured and row.measured.median_ms > 0 for row in precisions(eight))
    page = (eight.path / "report.html").read_text()
    assert "In every precision" in page
    assert json.loads((eight.path / "report.json").read_text())["precisions"]["ships"] == "int8"
    assert summary(eight).target["precision"] == "int8"


@pytest.mark.usefixtures("nothing_was_exported")
def test_exporting_again_gives_the_same_bytes(eight: RunFolder, tmp_path: Path) -> None:
    path, verdict = export_run(eight, tmp_path / "again.onnx")
    assert verdict.loss is not None
    again, before = (onnx.load(p).graph for p in (path, eight.path / "model.onnx"))
    assert [i.raw_data for i in again.initializer] == [i.raw_data for i in before.initializer]


def test_verify_judges_the_loss_and_refuses_another_precision(eight: RunFolder) -> None:
    found = check_model(eight.path)
    assert found.verdict.precision == "int8"
    assert found.verdict.loss is not None
    assert found.verdict.failures() == []
    assert found.reference is not None
    with pytest.raises(UsageError, match="exported in int8 and cannot be run in fp32"):
        check_model(eight.path, overrides={"precision": "fp32"})


def test_a_precision_that_costs_too_much_is_refused_with_the_way_out(eight: RunFolder, tmp_path: Path) -> None:
    """The int8 model with the classes of its last layer in reverse: it still runs, and answers nonsense."""
    model = onnx.load(eight.path / "model.onnx")
    weights = next(i for i in model.graph.initializer if i.name.endswith("/q") and len(i.dims) == 2)
    values = onnx.numpy_helper.to_array(weights)
    weights.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(values[::-1]), weights.name))
    onnx.save(model, tmp_path / "broken.onnx")
    samples = Samples.load(eight.path / "samples.safetensors")
    samples = Samples.classified(samples.images, samples.logits.argmax(1).astype(np.int64), samples.logits)
    verdict = verify(tmp_path / "broken.onnx", samples, load("local", precision="int8"), timing=False)
    with pytest.raises(VerificationFailed, match=r"int8 costs .* --precision auto") as caught:
        verdict.check()
    assert caught.value.exit_code == 4


def test_loss_is_paired_and_allows_for_chance() -> None:
    labels = np.zeros(400, np.int64)
    right, wrong = np.tile([1.0, 0.0], (400, 1)), np.tile([0.0, 1.0], (400, 1))
    exact = np.where(np.arange(400)[:, None] < 300, right, wrong)

    def rounded(lost: int, won: int) -> np.ndarray:
        keep = (np.arange(400) >= lost) & (np.arange(400) < 300) | (np.arange(400) >= 400 - won)
        return np.where(keep[:, None], right, wrong)

    none = Loss.of(exact, exact, labels)
    assert (none.fp32_score, none.drop, none.error) == (75.0, 0.0, 0.0)
    some = Loss.of(exact, rounded(10, 4), labels)
    assert some.drop == pytest.approx(1.5)
    assert some.error == pytest.approx(100 * 14**0.5 / 400)
    assert not some.too_much  # 1.5 points, but within 1.6 standard errors of 1
    assert Loss.of(exact, rounded(40, 4), labels).too_much


def test_confidence_leaves_room(finished: RunFolder) -> None:
    even, sure = (ArchitectureSolver.of_run(finished, confidence=c) for c in (0.5, 0.95))
    bounds = {"latency": 0.7 * even.cost("latency", even.space.largest())}
    for answer in sure.answers(bounds, top=3):
        assert sure.latency.upper_ms(answer.architecture, 0.95) * 1e6 <= bounds["latency"]
        assert sure.within(answer.architecture.choice, bounds)
    best_even, best_sure = (p.answers(bounds)[0].predicted_score for p in (even, sure))
    assert best_sure <= best_even
    edge = {"latency": even.cost("latency", even.answers(bounds)[0].architecture) + len(even.space.sizes) + 1}
    assert even.within(even.answers(bounds)[0].architecture.choice, edge)
    assert not sure.within(even.answers(bounds)[0].architecture.choice, edge)


def test_precisions_and_runtimes_that_there_are_not(small: dict[str, Any], finished: RunFolder) -> None:
    with pytest.raises(UnknownName, match="auto, bf16, fp16, fp32, int8"):
        make_config({**small, "precision": "int4"})
    with pytest.raises(UsageError, match=r"onnxruntime computes in fp32.*int8.*not in bf16"):
        make_config({**small, "precision": "bf16"})
    with pytest.raises(UsageError, match=r"onnxruntime.*openvino"):
        make_config({**small, "runtime": "caffe"})
    with pytest.raises(UnknownName, match=r"precision of this run 'int8'.*fp32"):
        pick(finished.path, {"latency": "90%"}, precision="int8")


def test_auto_offers_what_the_runtime_computes_in() -> None:
    found = targets_for("local", "auto")
    offered = open_runtime("onnxruntime").precisions
    assert found[0].precision == "fp32"
    assert {t.precision for t in found} == set(offered)
    assert {t.precision for t in targets_for("jetson", "auto")} >= {"fp32", "fp16", "int8"}


def test_a_run_of_an_older_version_still_opens(finished: RunFolder, tmp_path: Path) -> None:
    """run.json without fields that came later."""
    from hwnas.documents import read_json
    from hwnas.files import write_json
    from hwnas.pipeline.run.state import digest

    copy = tmp_path / "old"
    shutil.copytree(finished.path, copy)
    state = read_json(copy / "run.json")
    for name in ("runtime", "confidence", "require_measured"):
        del state["config"]["target"][name]
    del state["refused"]
    state["integrity"] = digest(state)
    write_json(copy / "run.json", state)
    assert RunFolder.open(copy).state.config == finished.state.config
    write_json(copy / "run.json", {**state, "attempts": 1})
    with pytest.raises(RunError, match="edited"):
        RunFolder.open(copy)


@pytest.fixture(scope="session")
def elsewhere(small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """A finished run for a device that is not here and was never measured."""
    yield from end_to_end(tmp_path_factory.mktemp("elsewhere") / "run", small, target="jetson",
                          budgets={"latency": "90%"})


def test_an_estimate_says_so_wherever_it_shows(elsewhere: RunFolder) -> None:
    lane, generated, exported = elsewhere.lane(), elsewhere.result("generate"), elsewhere.result("export")
    assert lane.source == generated["latency_source"] == "estimated"
    assert not lane.here
    assert lane.reference_low_ms < lane.reference_ms < lane.reference_high_ms
    assert generated["measured_ms"] is None
    assert exported["verdict"]["latency"] is None
    facts = read_metadata((elsewhere.path / "model.onnx").read_bytes())
    assert facts["latency_source"] == "estimated"
    assert facts["measured_ms"] is None
    assert facts["predicted_low_ms"] < facts["predicted_latency_ms"] < facts["predicted_high_ms"]
    page = (elsewhere.path / "report.html").read_text()
    assert "Every latency on this page is <strong>estimated</strong>" in page
    assert "Nothing was measured on the device" in page
    assert "--device ssh://user@host" in page
    assert "met</td>" not in page


def test_the_command_line_says_estimated_and_what_to_do_next(elsewhere: RunFolder) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "hwnas", "compress", "--resume", str(elsewhere.path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if re.search(r"\d ms", line) or line.startswith("budget")]
    assert lines
    assert all("estimated" in line or "not on the device" in line for line in lines)
    assert "not measured on the device" in done.stdout
    assert "hwnas profile --target jetson-orin-nano" in done.stdout


def test_require_measured_refuses_an_estimate_before_any_training(small: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"estimated.*--require-measured.*hwnas profile --target jetson-orin-nano"):
        compress(tmp_path / "run", target="jetson", require_measured=True, budgets={"latency": "90%"}, **small)
    assert not list(tmp_path.glob("run/*.safetensors"))


def test_a_target_of_the_user_s_is_said_as_it_was_given(small: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "board.yaml"
    file.write_text((data_folder("targets") / "raspberry-pi-4.yaml").read_text().replace("raspberry-pi-4", "my-board"))
    with pytest.raises(UsageError, match=f"hwnas profile --target {file}"):
        compress(tmp_path / "run", target=str(file), require_measured=True, budgets={"latency": "90%"}, **small)


@pytest.fixture(scope="session")
def auto(small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """A finished run that had the choice."""
    yield from end_to_end(tmp_path_factory.mktemp("auto") / "run", small, precision="auto",
                          budgets={"latency": "95%", "flops": "90%"})


@pytest.mark.slow
def test_auto_times_both_precisions_and_ships_none_that_is_slower(auto: RunFolder) -> None:
    assert [lane["precision"] for lane in auto.result("profile")["lanes"]] == ["fp32", "int8"]
    assert {"latency.json", "latency-int8.json", "table.jsonl", "table-int8.jsonl"} <= {
        p.name for p in auto.path.iterdir()}
    generated, exported = auto.result("generate"), auto.result("export")
    assert set(generated["references_ms"]) == {"fp32", "int8"}
    assert generated["losses"].keys() == {"int8"}
    for candidate in generated["candidates"]:
        if candidate["precision"] == "int8":
            assert candidate["measured_ms"] <= candidate["fp32_ms"]
    shipped = exported["precision"]
    winner = max((c for c in generated["candidates"] if c["trial"] is not None), key=lambda c: c["trial"])
    assert (winner["choice"], winner["precision"]) == (generated["choice"], shipped)
    assert [row.precision for row in precisions(auto) if row.name == "reference"] == ["fp32", "int8"]
    if shipped == "int8":
        assert exported["verdict"]["latency"]["median_ms"] <= exported["exact"]["latency"]["median_ms"]


@pytest.mark.slow
def test_a_precision_that_did_not_hold_is_not_proposed_again(auto: RunFolder, tmp_path: Path) -> None:
    copy = tmp_path / "refused"
    shutil.copytree(auto.path, copy)
    run = RunFolder.open(copy)
    run.state.refused.append("int8")
    run.reopen("generate", "finetune", "export", "report")
    again = resume(copy, until="generate").result("generate")
    assert again["precision"] != "int8"
    assert {c["precision"] for c in again["candidates"]} <= {"fp32", "mixed"}
    assert again["out"]["int8"] == "refused after export"


@pytest.mark.slow
def test_pick_answers_in_either_precision(auto: RunFolder) -> None:
    for precision in ("fp32", "int8"):
        assert pick(auto.path, {"latency": "120%"}, precision=precision)
        assert ArchitectureSolver.of_run(auto, precision).latency.precision == precision


@needs_openvino
@pytest.mark.slow
def test_openvino_int8_end_to_end(small: dict[str, Any], tmp_path: Path) -> None:
    """In a space of few ops: OpenVINO takes a third of a second for each that is timed."""
    (tmp_path / "few.json").write_text(json.dumps(two_roads()))
    options = {**{name: value for name, value in small.items() if name != "depth"}, "space": str(tmp_path / "few.json")}
    (run,) = end_to_end(tmp_path / "run", options, runtime="openvino", precision="int8",
                        budgets={"flops": "90%", "latency": "200%"})
    found = run.result("export")
    assert (run.lane().device or {})["runtime"] == "openvino"
    assert found["verdict"]["failures"] == []
    assert read_metadata((run.path / "model.onnx").read_bytes())["target"]["runtime"] == "openvino"
    assert check_model(run.path).target.runtime == "openvino"
