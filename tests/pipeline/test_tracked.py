"""What a run tells its trackers, killed or not; what is told in the end is what the report says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hwnas
from hwnas.pipeline import RunFolder, compress, resume
from hwnas.pipeline.config.make_config import make_config
from hwnas.search.log import SearchLog
from tests.tracking.readers import Points, of_csv

TIMES = ("seconds", "epoch_seconds")


class Killed(BaseException):
    """As from a signal: nothing in the way of a run catches it."""


@pytest.fixture(scope="module")
def options(small: dict[str, Any]) -> dict[str, Any]:
    return {**small, "target": "raspberry-pi-4", "budgets": {"flops": "60%"}, "track": "csv", "epochs": 2,
            "batch_size": 8, "width_mult": 0.5}


@pytest.fixture(scope="module")
def run(options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return compress(tmp_path_factory.mktemp("tracked") / "run", **options)


def but_for_times(run: RunFolder) -> Points:
    return {key: values for key, values in of_csv(run.path).items() if key[2] not in TIMES and key[0] != "files"}


def test_every_stage_tells_its_curve(run: RunFolder) -> None:
    found = of_csv(run.path)
    stages = {stage for stage, _, _ in found}
    assert {"reference", "finetune", "generate/finalist 1", "search/weights", "search/train", "search/settle",
            "generate/candidates", "found/profile", "result", "files"} <= stages
    assert all(len(values) == 1 for values in found.values())
    for stage in ("reference", "finetune"):
        epochs = json.loads((run.path / "run.json").read_text())["stages"][stage]["result"]["epochs"]
        ends = sorted(step for s, step, name in found if s == stage and name == "score")
        assert [found[stage, step, "score"] for step in ends] == [[e["val_accuracy"]] for e in epochs]
        assert [found[stage, step, "epoch_loss"] for step in ends] == [[pytest.approx(e["loss"])] for e in epochs]
        assert {step for s, step, name in found if s == stage and name == "loss"} > set()


def test_every_evaluation_is_told_with_its_latency_and_its_architecture(run: RunFolder) -> None:
    found, latency = of_csv(run.path), hwnas.pipeline.load_context(run.path).latency("fp32", run.space.smallest())
    assert latency is not None
    for line in SearchLog(run.path / "search.jsonl").entries:
        stage = f"search/{line.phase}"
        assert found[stage, line.number, "score"] == [line.score]
        arch = json.loads(found[stage, line.number, "architecture"][0])
        assert arch["choice"] == list(line.choice)
        predicted = latency.predict(run.space.architecture(arch["choice"])).latency_ms
        assert found[stage, line.number, "latency_ms"] == [pytest.approx(predicted)]


def test_the_result_is_that_of_the_report(run: RunFolder) -> None:
    found, report = of_csv(run.path), json.loads((run.path / "report.json").read_text())
    for who in ("reference", "compressed"):
        for name in ("flops", "params"):
            assert found["result", 0, f"{who}.{name}"] == [report["comparison"][name][who]]
        assert found["result", 0, f"{who}.score"] == [pytest.approx(report["comparison"]["accuracy"][who])]
    assert found["result", 0, "budget.flops.limit"] == [pytest.approx(report["budgets"][0]["limit"])]
    files = {name for stage, _, name in found if stage == "files"}
    assert {"model.onnx", "report.html", "report.json", "search.jsonl", "architecture.json"} <= files


@pytest.mark.parametrize(("what", "at"), [("train reference", 40), ("search", 9), ("fine-tune", 30)])
def test_a_run_that_was_killed_tells_the_same(what: str, at: int, run: RunFolder, options: dict[str, Any],
                                              tmp_path: Path) -> None:
    def killing(now: str, done: int, total: int) -> None:
        if now == what and done == at:
            raise Killed

    with pytest.raises(Killed):
        compress(tmp_path / "run", progress=killing, **options)
    again = resume(tmp_path / "run")
    assert but_for_times(again) == but_for_times(run)


def test_a_tracker_that_comes_later_is_told_what_went_before(options: dict[str, Any], tmp_path: Path) -> None:
    silent = compress(tmp_path / "run", until="reference", **{**options, "track": None})
    assert not (silent.path / "tracking").exists()
    found = of_csv(resume(silent.path, until="search", track="csv").path)
    assert ("found/reference", 0, "score") in found  # its curve was told to nobody
    assert ("reference", 1, "score") not in found
    assert ("search/settle", 0, "score") in found


def test_nobody_is_told_of_a_run_that_names_no_one(run: RunFolder, finished: RunFolder) -> None:
    assert not (finished.path / "tracking").exists()
    assert finished.state.config.track is None
    assert run.state.config.track == ("csv",)


def test_a_list_is_a_text_or_names() -> None:
    assert make_config({"track": " csv "}).track == ("csv",)
    assert make_config({"track": ["csv"]}).track == ("csv",)


def test_a_list_names_several() -> None:
    pytest.importorskip("mlflow", reason="the library of tracker mlflow is not installed")
    assert make_config({"track": "csv, mlflow:http://h"}).track == ("csv", "mlflow:http://h")


@pytest.mark.slow
def test_several_budgets_are_a_run_each(options: dict[str, Any], tmp_path: Path) -> None:
    run = compress(tmp_path / "run", **{**options, "budgets": {"flops": "60%,70%"}})
    shared = {stage for stage, _, _ in of_csv(run.path)}
    assert "search/train" in shared
    assert "finetune" not in shared
    for branch in run.branches:
        found = of_csv(branch.path)
        assert ("result", 0, "compressed.score") in found
        assert "search/train" not in {stage for stage, _, _ in found}
