"""A task of a package goes the whole way with no line of hwnas that knows it: compress, predict, report, deploy."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.data import load
from hwnas.deploy import Bundle, deploy_run, verify
from hwnas.errors import InputError
from hwnas.export import Samples, read_metadata
from hwnas.pipeline import RunFolder, compress
from hwnas.pipeline.display.score_lines import class_lines
from hwnas.pipeline.exported.checking import check_model
from hwnas.pipeline.exported.predicting import Predictor, predict_files
from hwnas.pipeline.report.classes import class_table
from hwnas.pipeline.report.facts import facts
from hwnas.tasks import Column, registry
from hwnas.tasks.readout import in_words
from tests.tasks.own_task import installed


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the example package is installed while these tests run."""
    folder = installed(tmp_path_factory.mktemp("site"))
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    registry.find.cache_clear()


@pytest.fixture(scope="module")
def run(site: Path, small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    options = {**small, "limit": None, "epochs": 2, "task": "ink", "target": "raspberry-pi-4"}
    return compress(tmp_path_factory.mktemp("runs") / "ink", budgets={"flops": "60%"}, **options)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A digit as the input has it, and how much ink is on it, percent."""
    pixels = load("digits").val_images[0]
    path = tmp_path_factory.mktemp("images") / "digit.png"
    from PIL import Image

    Image.fromarray(pixels[..., 0]).save(path)
    return path, float(100 * pixels.mean() / 255)


def test_it_learns_and_is_exported(run: RunFolder) -> None:
    shown = facts(run)
    assert shown.metric == "skill"
    assert shown.comparison.score.compressed > 5  # two epochs: better than always the mean
    told = read_metadata((run.path / "model.onnx").read_bytes())
    assert (told["task"], told["metric"], told["classes"]) == ("ink", "skill", ["ink"])
    samples = Samples.load(run.path / "samples.safetensors")
    assert samples.metric.name == "skill"
    found = check_model(run.path / "model.onnx", data="digits")
    assert found.verdict.failures() == []
    assert class_lines(found.to_json()["details"]) == []  # nothing of a number is found or missed


def test_the_report_speaks_of_it_in_its_words(run: RunFolder) -> None:
    page = (run.path / "report.html").read_text(encoding="utf-8")
    for text in ("Skill", "the share of the RMSE of the mean that is taken off", "RMSE, reference (less is better)",
                 "Root of the mean squared error, in percent of an image.", "skill, %", "always the mean: RMSE",
                 "What it sees, number by number"):
        assert text in page
    for text in ("accuracy", "mAP", "top-1", "a logit", "is taken for what"):
        assert text not in page.partition("<body")[2].partition("Estimated effect")[0].replace("skill", ""), text
    details = facts(run).details
    assert details is not None
    row = details["compressed"]["per_class"][0]
    assert row["class"] == "ink"
    assert 0 < row["rmse"] < 10
    assert f"{row['rmse']:.2f}" in page


def test_the_worst_class_of_an_error_has_the_most() -> None:
    classes = [f"part {i}" for i in range(40)]
    rows = [{"class": name, "count": 1, "rmse": float(i)} for i, name in enumerate(classes)]
    details = {"classes": classes, "compressed": {"unit": "images", "per_class": rows, "standing": {"never": []}}}
    columns = [Column("compressed", "rmse", "RMSE", 2, better) for better in ("less", "less")]
    table = class_table(details, columns)
    assert table["heads"] == ["images", "RMSE (less is better)", "RMSE (less is better)"]
    assert table["rows"][0]["name"] == "part 39"
    assert class_table(details, [Column("compressed", "rmse", "hits")] * 2)["rows"][0]["name"] == "part 0"


def test_a_model_predicts_a_number(run: RunFolder, image: tuple[Path, float]) -> None:
    (found,) = predict_files(Predictor.of(run.path), image[0], None)
    assert found.facts["unit"] == "%"
    assert abs(found.facts["values"]["ink"] - image[1]) < 8
    assert found.picture is None
    assert in_words(found.facts) == f"ink {found.facts['values']['ink']:g} %"


def test_its_bundle_predicts_where_neither_hwnas_nor_the_package_is(run: RunFolder, image: tuple[Path, float],
                                                                    tmp_path: Path) -> None:
    (here,) = predict_files(Predictor.of(run.path), image[0], None)
    bundle = deploy_run(run, tmp_path / "bundle").path
    told = json.loads((bundle / "model.json").read_text())
    assert told["postprocessing"]["kind"] == "values"
    assert not [path for path in bundle.rglob("*") if path.suffix == ".py" and b"ink" in path.name.encode()]
    assert verify(Bundle(bundle), "onnxruntime", timing=False).failures() == []
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    for name in ("hwnas", "ink_task", "torch"):
        (hidden / f"{name}.py").write_text(f"raise ImportError('{name} is not on the device')\n")
    done = subprocess.run([sys.executable, str(bundle / "bundle.py"), "predict", "--runtime", "onnxruntime",
                           str(image[0])], capture_output=True, text=True, timeout=240, check=False,
                          env={**os.environ, "PYTHONPATH": str(hidden)})
    assert done.returncode == 0, done.stderr
    there = json.loads(done.stdout)
    assert there["values"]["ink"] == pytest.approx(here.facts["values"]["ink"], abs=0.11)
    assert there["unit"] == "%"


def test_where_the_package_is_not_its_model_says_so(run: RunFolder, site: Path) -> None:
    shutil.move(site / "ink_task-1.dist-info", site / "away")
    registry.find.cache_clear()
    try:
        with pytest.raises(InputError, match=r"unknown task 'ink'.*entry point \"hwnas\.tasks\""):
            check_model(run.path / "model.onnx")
    finally:
        shutil.move(site / "away", site / "ink_task-1.dist-info")


def test_numbers_of_a_bundle_are_held_to_bounds(run: RunFolder, tmp_path: Path) -> None:
    bundle = deploy_run(run, tmp_path / "bundle").path
    told = json.loads((bundle / "model.json").read_text())
    from hwnas.deploy.runner.schema import check_facts

    check_facts(told, "model.json")
    for change in ({"kind": "code"}, {"kind": "values", "scale": "1"}, {"kind": "values", "decimals": 99},
                   {"kind": "mask"}, {"kind": "boxes"}):
        with pytest.raises(InputError):
            check_facts({**told, "postprocessing": change}, "model.json")
    assert np.isfinite(told["postprocessing"]["scale"])
