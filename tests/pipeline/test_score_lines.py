"""A score is never said without what it must be held against."""

from __future__ import annotations

import numpy as np

from hwnas.pipeline.display.score_lines import class_lines, score, standing_rows
from hwnas.pipeline.display.stage_lines import line
from hwnas.pipeline.run.results import DataResult, FinetuneResult, ReferenceResult
from hwnas.tasks.breakdown import Breakdown
from hwnas.tasks.classify import AccuracyMetric


def answered(truth: list[int], answers: list[int]) -> Breakdown:
    names = tuple(f"kind {i}" for i in range(12))
    return AccuracyMetric(np.array(truth)).breakdown([[np.eye(12, dtype=np.float32)[np.array(answers)]]], names)


FOUND = answered([0] * 20 + [1] * 11 + [2] * 9, [0] * 40)


def test_the_majority_stands_beside_every_accuracy() -> None:
    facts = {"accuracy": 50.0, "metric": "accuracy", "standing": FOUND.standing.to_json(), "epochs": []}
    found = ReferenceResult.model_validate(facts)
    assert score(found) == "50.00 % (always 'kind 0': 50.00 %)"
    assert {line(trained.model_validate(facts)) for trained in (ReferenceResult, FinetuneResult)} == {
        "accuracy 50.00 % (always 'kind 0': 50.00 %)"}
    assert standing_rows(found, found) == [
        ("always 'kind 0', %", "50.00", "50.00", ""), ("95 % interval, %", "35.2-64.8", "35.2-64.8", ""),
        ("mean recall, %", "33.33", "33.33", "")]


def test_older_runs_have_no_standing() -> None:
    found = ReferenceResult.model_validate({"accuracy": 12.5, "epochs": []})
    assert score(found) == "12.50 %"
    assert standing_rows(found, found) == []


def test_a_check_names_the_classes_that_are_found_least() -> None:
    interval, recall = class_lines(FOUND.to_json())
    assert interval == ("interval", "95 %: 35.2 to 64.8 %; one image is 2.50 points")
    assert recall == ("recall", "kind 1 0.0, kind 2 0.0, kind 0 100.0 %")
    everything = answered(list(range(12)) * 2, list(range(12)) * 2)
    assert class_lines(everything.to_json())[1][1].endswith(", the least of 12")


def test_the_data_stage_says_what_is_wrong_with_the_data() -> None:
    found = DataResult(data={}, fingerprint="", summary="s", space={"name": "mobile"}, choices=1, size="3", target={},
                       warnings=["few"])
    assert line(found).endswith("warning: few")
