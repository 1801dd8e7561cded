"""A run with a user's loss and metric: what the report tells, and what is said where the code changed meanwhile."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from hwnas.pipeline import compress, resume
from hwnas.pipeline.own_code import OwnCodeChanged
from hwnas.pipeline.run.results import ExportResult, FinetuneResult

MINE = '''
from torch.nn import functional


def gentle(outputs, targets):
    return functional.cross_entropy(outputs, targets, label_smoothing=0.3)


def worst_class(outputs, truth):
    """Recall of the class that is recognised least, percent."""
    answers, labels = outputs.argmax(1), truth["labels"]
    return 100 * min(float((answers[labels == k] == k).mean()) for k in set(labels.tolist()))
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "code_of_mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "code_of_mine", raising=False)
    return tmp_path / "code_of_mine.py"


@pytest.mark.slow
def test_a_run_of_ones_own_loss_and_metric(mine: Path, small: dict[str, Any], tmp_path: Path) -> None:
    options = {**small, "target": "raspberry-pi-4", "budgets": {"flops": "60%"}, "loss": "code_of_mine:gentle",
               "metric": "code_of_mine:worst_class", "epochs": 2}
    run = compress(tmp_path / "run", until="finetune", **options)
    assert run.found(FinetuneResult).metric == "worst_class"
    mine.write_text(MINE + "# a line more\n")
    with pytest.warns(OwnCodeChanged) as seen:
        resume(run.path)
    assert sorted(str(each.message).split(" changed")[0] for each in seen) == [
        "the code of loss code_of_mine:gentle", "the code of metric code_of_mine:worst_class"]
    assert run.open(run.path).found(ExportResult).verdict.metric == "worst_class"
    report = json.loads((run.path / "report.json").read_text())
    assert report["metric"] == report["words"]["title"] == "worst_class"
    assert report["standing"]["compressed"]["told"].startswith("accuracy ")
