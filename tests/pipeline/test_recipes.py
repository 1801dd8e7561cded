"""A run by a recipe: resolved once, kept in run.json, said, and the same when it goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import hwnas
from hwnas.data.recipe import Recipe, find_recipe, stored_recipe
from hwnas.pipeline import RunFolder
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.config.make_config import make_config
from hwnas.pipeline.context import RunContext
from hwnas.pipeline.display.stage_lines import line
from hwnas.pipeline.own_code import OwnCodeChanged
from hwnas.pipeline.run.results import DataResult, ReferenceResult
from hwnas.pipeline.task_setup import training_of

MINE = ("about: of a test\npolicy: {shift: 1}\ntransforms: [{random_resized_crop: {scale: [0.7, 1.0]}}]\n"
        "mixing: {mixup: 0.2, share: 0.5}\ntraining: {ema: 0.9, batch: 16, lr: 0.02}\n")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE)
    return path


def test_what_a_user_says_wins_over_a_recipe_and_that_over_a_task(mine: Path) -> None:
    recipe = find_recipe(str(mine), "classify")
    told = training_of(CompressConfig(), recipe)
    assert (told["batch"], told["lr"], told["ema"], told["epochs"]) == (16, 0.02, 0.9, 20)
    told = training_of(CompressConfig(batch_size=8, lr=0.5, patience=3), recipe)
    assert (told["batch"], told["lr"], told["ema"], told["patience"]) == (8, 0.5, 0.9, 3)
    assert training_of(CompressConfig(), Recipe()) == {"lr": 0.1, "epochs": 20, "accumulate": 1}


def test_a_run_goes_on_by_the_recipe_that_it_began_with(tmp_path: Path, mine: Path, small: dict[str, Any]) -> None:
    run = hwnas.compress(tmp_path / "run", until="data", **{**small, "recipe": str(mine)})
    found = run.found(DataResult)
    assert stored_recipe(found.recipe) == find_recipe(str(mine), "classify")
    assert "recipe mine: of a test" in line(found)
    mine.write_text("about: of another day\n")
    run = hwnas.resume(tmp_path / "run", until="reference")
    context = RunContext(RunFolder.open(run.path))
    assert context.recipe.about == "of a test"
    assert context.training.ema == 0.9
    assert context.workload.recipe == context.recipe
    assert context.searched_workload.recipe == Recipe()
    assert context.search_config.train.ema == 0
    assert len(run.found(ReferenceResult).epochs) == small["epochs"]
    mine.unlink()
    assert RunContext(RunFolder.open(run.path)).recipe.about == "of a test"


def test_the_code_of_a_transform_is_remembered(tmp_path: Path, small: dict[str, Any], monkeypatch: pytest.MonkeyPatch
                                               ) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    code = "def same():\n    return lambda sample, rng: sample\n"
    (tmp_path / "my_transforms.py").write_text(code)
    (tmp_path / "own.yaml").write_text('transforms: ["my_transforms:same"]\n')
    run = hwnas.compress(tmp_path / "run", until="data", **{**small, "recipe": "own.yaml"})
    assert set(run.found(DataResult).code) == {"transform my_transforms:same"}
    (tmp_path / "my_transforms.py").write_text(code + "# changed\n")
    with pytest.warns(OwnCodeChanged, match="the code of transform my_transforms:same changed"):
        RunContext(RunFolder.open(run.path)).check()


def test_a_run_from_before_there_were_recipes_is_as_small(tmp_path: Path, small: dict[str, Any]) -> None:
    run = hwnas.compress(tmp_path / "run", until="data", **small)
    found = run.found(DataResult)
    assert stored_recipe(found.recipe).name == "small"
    older = {name: value for name, value in json.loads(found.model_dump_json()).items() if name != "recipe"}
    assert stored_recipe(DataResult.model_validate(older).recipe) == Recipe()


def test_a_recipe_that_there_is_not_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(hwnas.errors.UnknownName, match="Did you mean 'photo'"):
        make_config({"recipe": "foto"})
    (tmp_path / "bad.yaml").write_text("sampler: 3\n")
    with pytest.raises(hwnas.errors.InputError, match=r"bad\.yaml: sampler"):
        make_config({"recipe": str(tmp_path / "bad.yaml")})
    config = make_config({"recipe": "photo"})
    assert config.anchored().train.recipe == "photo"
