"""The engine carries out stages that it knows nothing of: in order, resumed, sent back, interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hwnas.data.reading import Reading
from hwnas.errors import RunError, UsageError
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.engine import carry_out
from hwnas.pipeline.leading import ALONE
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.results import StageResult
from hwnas.pipeline.stages.stage import Again, Stage
from hwnas.tracking.record import NOTHING
from hwnas.train.accelerator import CPU
from tests.pipeline import stage_results

FOUND = {"data": stage_results.data(), "profile": stage_results.profile(stage_results.lane()),
         "generate": stage_results.generated(), "export": stage_results.exported()}


class Tighter(Again):
    """Sends a run back to stage profile."""

    stage = "profile"

    def amend(self, run: RunFolder) -> None:
        run.state.attempts += 1
        if run.state.attempts > 2:
            raise RunError("nothing is left to try")


class Written(Stage[StageResult]):
    """A stage that writes a file named after it; what it is told to raise comes first, once each."""

    def __init__(self, name: str, *raises: BaseException) -> None:
        self.name = name  # type: ignore[misc]
        self.raises = list(raises)

    def run(self, context: Any) -> StageResult:
        (context.run.path / f"{self.name}.checkpoint").write_text("half")
        if self.raises:
            raise self.raises.pop(0)
        (context.run.path / f"{self.name}.txt").write_text(self.name)
        return FOUND[self.name]

    def leaves(self, found: StageResult) -> Sequence[str]:
        assert found is FOUND[self.name]
        return (f"{self.name}.txt",)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", CompressConfig())


def told(run: RunFolder, *stages: Stage[Any]) -> list[str]:
    """What happened, without the starts."""
    found: list[str] = []
    context = SimpleNamespace(run=run, check=lambda: None, reading=Reading(), tracking=NOTHING, parent=None, lead=ALONE,
                              accelerator=CPU)
    carry_out(context, stages,  # type: ignore[arg-type]
              lambda stage, event, seconds: found.append(f"{stage} {event}") if event != "start" else None)
    return found


def test_stages_are_done_in_order_and_kept(run: RunFolder) -> None:
    data, profile = Written("data"), Written("profile")
    assert told(run, data) == ["data done"]
    assert told(run, data, profile) == ["data kept", "profile done"]
    again = RunFolder.open(run.path)
    assert told(again, data, profile) == ["data kept", "profile kept"]
    assert again.found(type(FOUND["profile"])) == FOUND["profile"]
    assert not list(run.path.glob("*.checkpoint"))


def test_a_stage_that_was_interrupted_is_done_again(run: RunFolder) -> None:
    data, profile = Written("data"), Written("profile", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        told(run, data, profile)
    again = RunFolder.open(run.path)
    assert list(again.state.stages) == ["data"]
    assert (run.path / "profile.checkpoint").exists()  # training goes on from there
    assert told(again, data, profile) == ["data kept", "profile done"]


def test_a_run_goes_back_to_the_stage_that_does_not_hold(run: RunFolder) -> None:
    stages = [Written("data"), Written("profile"), Written("generate"), Written("export", Tighter(), Tighter())]
    back = ["profile done", "generate done"]
    assert told(run, *stages) == ["data done", *back, *back, *back, "export done"]
    assert RunFolder.open(run.path).state.attempts == 2
    run.reopen("export")
    with pytest.raises(RunError, match="nothing is left"):
        told(run, *stages[:3], Written("export", Tighter()))


def test_what_was_changed_is_not_gone_on_from(run: RunFolder) -> None:
    told(run, Written("data"))
    (run.path / "data.txt").write_text("other")
    with pytest.raises(RunError, match="was changed"):
        told(run, Written("data"), Written("profile"))


def test_a_run_in_which_nothing_was_done_leaves_nothing(run: RunFolder, tmp_path: Path) -> None:
    class Refusing(Written):
        def run(self, context: Any) -> StageResult:
            raise UsageError("no")

    with pytest.raises(UsageError):
        told(run, Refusing("data"))
    assert list(tmp_path.iterdir()) == []
