"""A compress of many labels from data to bundle: real digits, two or three on an image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from hwnas.data.multilabel import load_multilabel
from hwnas.deploy import deploy_run
from hwnas.deploy.runner.predicting import load_model
from hwnas.pipeline import Predictor, RunFolder, compress, load_network, predict_files
from hwnas.pipeline.run.results import ExportResult, FinetuneResult
from hwnas.train.evaluate import outputs_of
from tests.data.pairs_of_digits import written
from tests.made_once import made_once

OPTIONS: dict[str, Any] = {
    "task": "multilabel", "target": "raspberry-pi-4", "precision": "int8", "budgets": {"flops": "60%"}, "imgsz": 32,
    "epochs": 6, "warmup": 1, "epochs_per_evaluation": 0.5, "cycles": 1, "settle": 4, "top": 2, "finalists": 2,
    "trial_epochs": 1, "depth": 1, "width_mult": 0.5, "torch_threads": 1, "batch_size": 16,
}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "pairs", lambda folder: written(folder, 360))


@pytest.fixture(scope="module")
def run(images: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return RunFolder.open(made_once(tmp_path_factory, "labelled", lambda out: compress(
        out, data=str(images), **OPTIONS)))


def test_it_learns_and_is_judged_as_scikit_learn_judges(run: RunFolder, images: Path) -> None:
    found = run.found(FinetuneResult)
    assert found.metric == "mAP"
    data = load_multilabel(images, size=(32, 32))
    (logits,) = np.concatenate([o[0] for o in outputs_of(load_network(run.path), data.val.pixels)])[None]
    expected = 100 * average_precision_score(data.val.targets, logits, average="macro")
    assert found.score == pytest.approx(expected)
    chance = 100 * data.val.targets.mean()
    assert found.score > chance + 10
    assert found.standing is not None
    assert found.standing.level == "better"


def test_the_model_in_int8_was_checked_against_fp32(run: RunFolder) -> None:
    verdict = run.found(ExportResult).verdict
    assert verdict.precision == "int8"
    assert verdict.loss is not None
    assert abs(verdict.loss["drop"]) < 20
    report = json.loads((run.path / "report.json").read_text())
    assert report["metric"] == "mAP"
    rows = report["details"]["compressed"]["per_class"]
    assert [row["class"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert all(row["ap"] is not None for row in rows)


def test_an_image_is_told_every_label_above_its_threshold_here_and_in_a_bundle(run: RunFolder, images: Path,
                                                                               tmp_path: Path) -> None:
    file = next((images / "images").glob("*.png"))
    (here,) = predict_files(Predictor.of(run.path / "model.onnx"), file, None)
    labels = here.facts["labels"]
    assert all(0.5 < found["score"] <= 1 for found in labels)
    bundle = deploy_run(run, tmp_path / "bundle").path
    assert json.loads((bundle / "model.json").read_text())["postprocessing"] == {
        "kind": "labels", "thresholds": [0.5] * 5}
    there = load_model(bundle).predict(file).facts
    assert [found["label"] for found in there["labels"]] == [found["label"] for found in labels]
