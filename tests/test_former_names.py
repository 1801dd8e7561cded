"""What public values were called before gives the same for one version more, and says what the name is now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hwnas.export import Loss, Verdict
from hwnas.pipeline import CompressConfig, RunFolder
from hwnas.pipeline.context import RunContext
from hwnas.pipeline.selection.answers import Answer
from hwnas.space import SpaceConfig, build
from hwnas.train import EpochLog, History

EPOCH = EpochLog(0, 1.5, 62.5, 0.1)
ANSWER = Answer(build(SpaceConfig("mobile", 16, 1, 3, depth=1)).largest(), 62.5, {})
FORMER = [
    (Verdict(0.0, 100.0, 62.5, 8, None, None), "accuracy", "score"),
    (Loss(62.5, 0.0, 0.0), "fp32_accuracy", "fp32_score"),
    (EPOCH, "val_accuracy", "val_score"), (History([EPOCH]), "accuracy", "score"),
    (ANSWER, "predicted_accuracy", "predicted_score"),
]


@pytest.mark.parametrize(("value", "old", "new"), FORMER, ids=lambda part: part if isinstance(part, str) else "")
def test_a_score_under_its_former_name(value: Any, old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{type(value).__name__}.{old} is now {type(value).__name__}.{new}"):
        assert getattr(value, old) == getattr(value, new) == 62.5


def test_the_keys_of_files_stay() -> None:
    told = Verdict(0.0, 100.0, 62.5, 8, None, None, "int8", Loss(63.0, 0.5, 0.1)).to_json()
    assert (told["accuracy"], told["loss"]["fp32_accuracy"]) == (62.5, 63.0)
    assert "score" not in told
    assert EPOCH.to_json()["val_accuracy"] == ANSWER.to_json()["predicted_accuracy"] == 62.5


def test_the_workload_of_a_run(tmp_path: Path) -> None:
    context = RunContext(RunFolder.create(tmp_path / "run", CompressConfig(data="digits", limit=60, depth=1)))
    with pytest.warns(DeprecationWarning, match="RunContext.workload"):
        assert context.task is context.workload
