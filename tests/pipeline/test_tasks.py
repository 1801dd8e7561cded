"""Detectors and segmenters go the whole way: data, table, search, training, ONNX, check, report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hwnas.errors import RunError, UnknownName, UsageError
from hwnas.export import Samples, read_metadata
from hwnas.pipeline import STAGES, RunFolder, compress, make_config
from hwnas.pipeline.context import RunContext
from hwnas.pipeline.exported.checking import check_model
from hwnas.pipeline.report.documents import report_json, summary_json
from hwnas.pipeline.report.facts import facts
from hwnas.pipeline.report.summary import summary
from hwnas.pipeline.task_setup import load_data, space_for_data
from hwnas.progress import silent
from hwnas.tasks import task_of
from hwnas.train.checkpoint import load_matching, load_tensors


@pytest.fixture(params=["detector", "segmenter"])
def run(request: pytest.FixtureRequest) -> RunFolder:
    found: RunFolder = request.getfixturevalue(request.param)
    return found


METRIC = {"detect": "mAP", "segment": "mIoU"}


def test_every_stage_is_done_and_the_model_passes(run: RunFolder) -> None:
    assert all(run.done(stage) for stage in STAGES)
    verdict = run.result("export")["verdict"]
    assert verdict["failures"] == []
    assert verdict["metric"] == METRIC[run.state.config.task]
    assert verdict["max_difference"] <= 1e-4
    assert verdict["agreement"] >= 99.9
    assert 0 <= verdict["accuracy"] <= 100


def test_every_epoch_is_kept_and_the_weights_moved(run: RunFolder) -> None:
    """Two epochs of five steps prove nothing about learning: tests/train overfits small data for that."""
    epochs = run.result("reference")["epochs"]
    assert len(epochs) == run.state.config.train.epochs
    assert np.isfinite([epoch["loss"] for epoch in epochs]).all()
    stages = RunContext(run, silent)
    fresh = stages.new_network(stages.space.largest()).state_dict()
    trained = load_tensors(run.path / "reference.safetensors")[0]
    assert any(not torch.equal(trained[name], value) for name, value in fresh.items() if name.endswith(".weight"))


def test_the_score_in_torch_is_the_score_through_onnx(run: RunFolder) -> None:
    """Issue: the two agree to 0.1."""
    assert run.result("export")["verdict"]["accuracy"] == pytest.approx(run.result("finetune")["accuracy"], abs=0.1)


def test_a_check_on_the_device_needs_the_files_alone(run: RunFolder) -> None:
    found = check_model(run.path / "model.onnx")
    assert found.verdict.failures() == []
    again = check_model(run.path / "model.onnx", data=run.state.config.data.source)
    assert again.verdict.score == pytest.approx(run.result("export")["verdict"]["accuracy"], abs=1e-6)
    assert again.verdict.images == 12


def test_the_model_says_what_it_gives(run: RunFolder) -> None:
    told = read_metadata((run.path / "model.onnx").read_bytes())
    assert told["task"] == run.state.config.task
    assert told["metric"] == METRIC[told["task"]]
    assert ("detection_head" in told) == (told["task"] == "detect")
    samples = Samples.load(run.path / "samples.safetensors")
    assert samples.metric.task == told["task"]
    assert samples.classes == len(told["classes"])


def test_report_and_summary_name_the_metric(run: RunFolder) -> None:
    metric = METRIC[run.state.config.task]
    assert facts(run).metric == summary(run).metric == metric
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert metric in facts(run).headline or metric == "accuracy"
    assert f"{metric}, %" in page


def test_every_class_is_told_and_what_the_score_is_worth(run: RunFolder) -> None:
    told, found = report_json(facts(run)), summary_json(summary(run))
    for who in ("reference", "compressed"):
        standing = found[who]["standing"]
        assert standing == told["standing"][who] == told["details"][who]["standing"]
        assert standing["score"] == found[who]["accuracy"]
        assert (standing["majority"] is None) == (run.state.config.task == "detect")
        rows = told["details"][who]["per_class"]
        assert [row["class"] for row in rows] == told["details"]["classes"]
        assert found["details"][who]["per_class"] == rows
    assert run.result("reference")["standing"]["score"] == pytest.approx(run.result("reference")["accuracy"])
    assert any("12 validation images" in warning for warning in found["warnings"])
    assert found["warnings"] == told["warnings"]
    assert found["difference"]["points"] == pytest.approx(
        found["compressed"]["accuracy"] - found["reference"]["accuracy"])


def test_a_head_of_another_task_is_refused() -> None:
    with pytest.raises(UsageError, match="head lraspp is for --task segment, not for --task detect"):
        make_config({"task": "detect", "head": "lraspp"})
    with pytest.raises(UnknownName, match="fcos"):
        make_config({"task": "detect", "head": "fcoz"})


@pytest.mark.parametrize("task", ["classify", "detect", "segment"])
def test_the_head_is_that_of_the_task(task: str, boxes: Path, masks: Path) -> None:
    data = {"classify": "digits", "detect": str(boxes), "segment": str(masks)}[task]
    config = make_config({"task": task, "data": data, "imgsz": 64, "limit": 24})
    assert task_of(space_for_data(config, load_data(config, silent))).name == task


@pytest.mark.slow
def test_a_detector_can_start_from_a_classifier(boxes: Path, tmp_path: Path, small: dict[str, Any],
                                                tiny: dict[str, Any]) -> None:
    """Three colour channels and the same space: the backbone fits, the head does not."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "d.npz", x_train=rng.integers(0, 256, (60, 32, 32, 3), dtype=np.uint8),
             y_train=np.arange(60) % 2, x_val=rng.integers(0, 256, (10, 32, 32, 3), dtype=np.uint8),
             y_val=np.arange(10) % 2)
    given = {**tiny, "epochs": 1}
    body = {k: v for k, v in given.items() if k not in ("imgsz", "width", "head_width")}
    first = compress(tmp_path / "first", data=str(tmp_path / "d.npz"), budgets={"flops": "70%"},
                     target="raspberry-pi-4", tables=small["tables"], **body)
    options = {"task": "detect", "data": str(boxes), "init": str(first.path), "budgets": {"flops": "70%"}, **given}
    run = RunFolder.create(tmp_path / "second", make_config(options | {"tables": small["tables"]}))
    stages = RunContext(run, silent)
    net = stages.new_network(stages.space.largest())
    before = {k: v.clone() for k, v in net.state_dict().items()}
    assert load_matching(net, load_tensors(first.path / "reference.safetensors")[0]) > 20
    changed = {k.split(".")[1] for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    assert {"stem", "stage1_1", "stage3_1"} <= changed
    assert not any(name.startswith(("predict", "tower", "lateral")) for name in changed)


def test_a_run_that_does_not_fit_is_refused(boxes: Path, finished: RunFolder, tmp_path: Path,
                                            tiny: dict[str, Any]) -> None:
    with pytest.raises(RunError, match="absent is not a run folder"):
        compress(tmp_path / "run", task="detect", data=str(boxes), init=str(finished.path / "absent"),
                 budgets={"flops": "70%"}, tables=str(tmp_path), **tiny)


@pytest.mark.slow
def test_what_ships_measures_within_its_budget(masks: Path, tmp_path: Path, tiny: dict[str, Any]) -> None:
    """On images that take longer than what every network costs anyway: a neighbour's noise is little beside that."""
    larger = {**tiny, "epochs": 1, "imgsz": 128, "width": 192}
    run = compress(tmp_path / "run", task="segment", data=str(masks), budgets={"latency": "85%"},
                   tables=str(tmp_path / "tables"), **larger)
    found = run.result("export")
    assert found["verdict"]["within_budget"]
    assert found["ratio"] <= found["promise"]["share"]  # at the speed of one run; the milliseconds are of another
    assert found["ratio"] <= 0.85
    assert run.lane().source == "measured"
