"""What a person is told before numbers are believed, through one channel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.run.cautions import no_success, of_standing, warnings_of
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.result_parts import StandingResult
from hwnas.tasks import Standing, find
from hwnas.tasks.classify import standing_of
from hwnas.tasks.detect import standing_of as standing_of_boxes
from tests.pipeline.stage_results import data, exported, generated, lane, profile


def test_warnings_of_all_stages_are_joined_in_order_and_said_once(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", CompressConfig())
    assert warnings_of(run) == []
    lanes = [lane(precision=p, warnings=[f"table of {p}", "both"]) for p in ("fp32", "int8")]
    run.finish("profile", profile(*lanes, warnings=["a noisy machine"]), [], 0.0)
    run.finish("data", data(warnings=["unequal classes"]), [], 0.0)
    run.finish("export", exported(warnings=["both", "a class is never found"]), [], 0.0)
    assert warnings_of(run) == ["unequal classes", "a noisy machine", "table of fp32", "both", "a class is never found"]
    run.finish("generate", generated(precision="int8"), [], 0.0)
    assert "table of int8" in warnings_of(run)
    assert "table of fp32" not in warnings_of(run)


SKY = Standing("mIoU", 30.0, 9, "sky", 29.5, level="nothing", against="all 'sky'", told="all 'sky': 29.50 %")


def told(counts: dict[str, tuple[int, int]]) -> dict[str, Any]:
    return {"val": sum(val for _, val in counts.values()),
            "classes": {name: {"train": train, "val": val} for name, (train, val) in counts.items()}}


def test_unequal_classes_and_few_images_are_told() -> None:
    unequal, few, unseen = find("classify").data_warnings(told({"a": (112, 28), "b": (11, 18), "c": (40, 0)}))
    assert "'a' has 112 training images, 'b' 11, 10 times fewer" in unequal
    assert "46 validation images" in few
    assert "one image is 2.17 points" in few
    assert unseen.startswith("class 'c' without a validation image")
    assert find("classify").data_warnings(told({"a": (40, 60), "b": (60, 60)})) == []


def test_pixels_and_boxes_may_be_unequal() -> None:
    """A mean over the classes hides no rare class."""
    assert find("segment").data_warnings(told({"ground": (99, 120), "lesion": (1, 1)})) == []
    assert len(find("detect").data_warnings(told({"a": (9, 5), "b": (1, 5)}))) == 1


def test_a_useless_classifier_is_called_so_once() -> None:
    standing = standing_of(np.array([[28, 0], [17, 1]]), ("x", "y"))
    assert of_standing("the reference network", standing) == [
        "the reference network is no better than always answering 'x': 63.04 % against 60.87 % of 46 images (p 0.5, "
        "mean recall 52.8 %); train longer (--epochs), check the labels, or add images"]
    assert no_success(StandingResult.model_validate(standing.to_json())) == "no better than always 'x'"
    assert no_success(None) is None


def test_a_useful_classifier_may_never_find_a_class() -> None:
    standing = Standing("accuracy", 90.0, 200, "x", 50.0, (85.0, 93.4), 70.0, 1e-9, None, tuple("abcdef"))
    [only] = of_standing("the model", standing)
    assert only == "the model never finds 6 classes ('a', 'b', 'c', 'd' and 2 more) on the 200 validation images"
    assert no_success(StandingResult.model_validate(standing.to_json())) is None
    assert of_standing("the model", standing_of_boxes(0.02, 12, ("a",)))[0].startswith("the model finds next to no")
    assert no_success(StandingResult.model_validate(SKY.to_json())) == (
        "no better than all 'sky'")
