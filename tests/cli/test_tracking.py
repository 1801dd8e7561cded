"""What the command line says of trackers: names that are none, one that fails, which can be used."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hwnas.cli import main
from hwnas.cli.work import carry_out
from hwnas.pipeline import job
from hwnas.pipeline.own_code import OwnCodeChanged
from hwnas.tracking import TrackingWarning


@pytest.mark.parametrize(("given", "words"), [
    ("cvs", "Did you mean 'csv'?"), ("csv,csv", "twice"), ("nowhere.at.all:Thing", "does not import"),
])
@pytest.mark.parametrize("command", ["compress", "search"])
def test_a_tracker_that_is_none_is_refused_before_anything_is_done(
        command: str, given: str, words: str, refusal: Callable[..., str], tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert words in refusal(2, command, "--track", given)
    assert not any(tmp_path.iterdir())


def test_one_that_fails_is_said_on_standard_error(capsys: pytest.CaptureFixture[str],
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    def work(run: Any, **options: Any) -> None:
        warnings.warn("tracker mlflow failed", TrackingWarning, stacklevel=1)
        warnings.warn("the code of loss a:b changed", OwnCodeChanged, stacklevel=1)

    monkeypatch.setattr(job, "compress_run", work)
    monkeypatch.setattr("hwnas.cli.work.heading", lambda run: [])
    carry_out(SimpleNamespace(path=Path("run")), lines=True)  # type: ignore[arg-type]
    assert capsys.readouterr().err.splitlines() == ["warning: tracker mlflow failed",
                                                    "warning: the code of loss a:b changed"]


def test_the_doctor_says_which_can_be_used(answer: Callable[..., Any], monkeypatch: pytest.MonkeyPatch,
                                           capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("hwnas.pipeline.machine.doctor.missing", lambda: {"csv": None, "wandb": "pip install it"})
    assert answer("doctor")["trackers"] == {"csv": None, "wandb": "pip install it"}
    main(["doctor"])
    assert "csv, wandb after pip install it" in capsys.readouterr().out
