"""details.json: read as it was written, and refused in one line whatever else it holds."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import RunError
from hwnas.files import sha256, write_json
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.report.classes import class_table, confusion_table
from hwnas.pipeline.run.details import read_details
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.state import StageRecord
from hwnas.tasks import Column, difference, find
from hwnas.tasks.classify import AccuracyMetric
from hwnas.tasks.segment import MeanIouMetric

NAMES = ("cat", "dog", "owl")
TASKS = {"accuracy": "classify", "mIoU": "segment"}


def details(metric: str) -> dict[str, Any]:
    truth = np.array([0, 0, 1, 1, 1, 2])
    if metric == "accuracy":
        part = AccuracyMetric(truth).breakdown([[np.eye(3, dtype=np.float32)[[0, 1, 1, 1, 0, 1]]]], NAMES)
    else:
        logits = np.eye(3, dtype=np.float32)[np.tile(truth, (2, 4, 1))].transpose(0, 3, 1, 2)
        part = MeanIouMetric(np.tile(truth[::-1], (2, 4, 1)).astype(np.uint8), 3).breakdown([[logits]], NAMES)
    return {"hwnas_details": 2, "classes": list(NAMES), "metric": metric, "reference": part.to_json(),
            "compressed": part.to_json(), "difference": difference(part, part), "examples": []}


def columns(metric: str) -> tuple[Column, ...]:
    return find(TASKS[metric]).columns


def kept(path: Path, content: Any, metric: str = "accuracy") -> RunFolder:
    run = RunFolder(path, RunFolder.create(path, CompressConfig(task=TASKS[metric])).state)
    write_json(path / "details.json", content)
    run.state.stages["export"] = StageRecord(seconds=0.0, result={}, files={})
    run.state.stages["export"].files["details.json"] = sha256(path / "details.json")
    return run


@pytest.mark.parametrize("metric", ["accuracy", "mIoU"])
def test_what_is_written_is_read(tmp_path: Path, metric: str) -> None:
    found = read_details(kept(tmp_path / "run", details(metric), metric))
    assert found == json.loads(json.dumps(details(metric)))
    assert len(class_table(found, columns(metric))["rows"]) == 3
    matrix = confusion_table(found)
    assert matrix is not None
    assert [name for name, _ in matrix["matrix"]] == list(NAMES)


def test_runs_of_before_have_none(tmp_path: Path) -> None:
    assert read_details(RunFolder.create(tmp_path / "none", CompressConfig())) is None
    assert read_details(kept(tmp_path / "old", {"hwnas_details": 1, "classes": ["a"]})) is None


JUNK = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=8), st.just([]), st.just({}),
                 st.lists(st.integers(), max_size=3), st.floats(allow_nan=False, allow_infinity=False))


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, part in inside for place in places(part, (*at, key)))]


@given(st.sampled_from(["accuracy", "mIoU"]), st.data())
def test_anything_else_is_refused_in_one_line_or_shown(tmp_path_factory: pytest.TempPathFactory, metric: str,
                                                       data: st.DataObject) -> None:
    content = copy.deepcopy(details(metric))
    place = data.draw(st.sampled_from(places(content)))
    junk, drop = data.draw(JUNK), data.draw(st.booleans())
    if not place:
        content = junk
    else:
        parent: Any = content
        for key in place[:-1]:
            parent = parent[key]
        if drop:
            del parent[place[-1]]
        else:
            parent[place[-1]] = junk
    run = kept(tmp_path_factory.mktemp("runs") / "run", content, metric)
    told = ""
    try:
        found = read_details(run)
    except RunError as err:
        found, told = None, str(err)
    assert len(told.splitlines()) <= 1
    assert len(told) < 500
    if found is not None:
        class_table(found, columns(metric))
        confusion_table(found)
