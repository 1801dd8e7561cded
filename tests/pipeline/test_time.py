"""`--time`: the epochs of a run are chosen once, to fit, and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hwnas
from hwnas.data import load
from hwnas.pipeline import duration
from hwnas.pipeline.config.compress_config import CompressConfig, seconds_of
from hwnas.pipeline.config.make_config import make_config
from hwnas.pipeline.duration import Probe, at_epochs, planned
from hwnas.pipeline.run.results import DataResult, ReferenceResult
from hwnas.space import Space, SpaceConfig, build


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("1.5h", 5400), (" 2 m ", 120)])
def test_a_time_is_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds
    assert CompressConfig(time=text).train.time == text


@pytest.mark.parametrize("text", ["30", "0m", "m", "-3m", "1d", "30m30s", "9" * 30 + "s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(hwnas.errors.UsageError, match="--time: a time is a number above 0 with s, m or h"):
        make_config({"time": text})


def test_all_epochs_keep_their_ratio() -> None:
    config = CompressConfig(epochs=20, warmup=10, epochs_per_evaluation=0.5)
    assert at_epochs(config, 20) == {"epochs": 20, "warmup": 10, "epochs_per_evaluation": 0.5}
    assert at_epochs(config, 50) == {"epochs": 50, "warmup": 25, "epochs_per_evaluation": 1.25}
    assert at_epochs(config, 1) == {"epochs": 1, "warmup": 0, "epochs_per_evaluation": 0.025}


class Timed(Probe):
    """A machine where an epoch takes 10 seconds and all else 60."""

    def __init__(self) -> None: ...

    steps = 3

    def seconds(self, config: CompressConfig, networks: int) -> float:
        return 60 + 10 * config.train.epochs * networks


@pytest.fixture
def space() -> Space:
    return build(SpaceConfig("mobile", 16, 1, 10, 0.25, 1))


@pytest.mark.parametrize(("time", "networks", "epochs"), [("200s", 1, 14), ("200s", 2, 7), ("61s", 1, 1), ("1s", 1, 1),
                                                          ("60m", 1, 354)])
def test_as_many_epochs_as_fit(time: str, networks: int, epochs: int, space: Space,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duration, "_tried", lambda *given: Timed())
    options, seconds = planned(CompressConfig(time=time), load("digits"), space, networks)
    assert options["epochs"] == epochs
    assert seconds == 60 + 10 * epochs * networks


def test_a_real_probe_gives_more_epochs_for_more_time(space: Space) -> None:
    data, config = load("digits").subset(80, 40, seed=0), CompressConfig(settle=2, top=2, finalists=1, evaluations=2)
    less, more = (planned(config.replaced(time=time), data, space)[0]["epochs"] for time in ("20s", "400s"))
    assert 1 <= less < more


def test_a_run_keeps_what_was_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                      small: dict[str, Any]) -> None:
    plans = iter([({"epochs": 2, "warmup": 1, "epochs_per_evaluation": 0.5}, 12.0)])
    monkeypatch.setattr("hwnas.pipeline.stages.data.planned", lambda *given: next(plans))
    run = hwnas.compress(tmp_path / "run", until="reference", **{**small, "time": "12s", "epochs": 7})
    found = run.found(DataResult).planned
    assert found is not None
    assert (found.epochs, found.seconds, run.state.config.train.epochs) == (2, 12.0, 7)
    assert len(run.found(ReferenceResult).epochs) == 2
    again = hwnas.resume(tmp_path / "run", until="reference")
    assert len(again.found(ReferenceResult).epochs) == 2
