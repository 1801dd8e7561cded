"""The engine carries out stages that it knows nothing of: in order, resumed, sent back, interrupted."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hwnas.data.reading import Reading
from hwnas.errors import RunError, UsageError
from hwnas.pipeline.config.compress_config import CompressConfig
from hwnas.pipeline.engine import carry_out
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.results import StageResult
from hwnas.pipeline.side_by_side import done
from hwnas.pipeline.stages.stage import Again, Stage
from hwnas.tracking.record import NOTHING
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


def _threads(*, shared: bool) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


class Other:
    """Finds at once what it is asked for."""

    def __init__(self) -> None:
        self.working, self.orders = "", list[dict[str, Any]]()

    def begin(self, work: str, order: dict[str, Any]) -> None:
        self.working = work
        self.orders.append(order)

    def found(self) -> tuple[dict[str, Any], float]:
        name, self.working = self.working, ""
        return FOUND[name].to_json(), 3.5


def told(run: RunFolder, *stages: Stage[Any], beside: Other | None = None) -> list[str]:
    """What happened, without the starts."""
    found: list[str] = []
    context = SimpleNamespace(run=run, check=lambda: None, reading=Reading(), tracking=NOTHING,
                              doing=lambda stage: contextlib.nullcontext(), beside=beside,
                              side_by_side=beside is not None, threads=_threads,
                              begin_beside=lambda work, **order: beside.begin(work, order))  # type: ignore[union-attr]
    context.perform = lambda stage, following, hook: done(context, stage, following, hook)
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


class Free(Written):
    """Can be done beside stage data, and is never done here."""

    beside = "data"

    def run(self, context: Any) -> StageResult:
        raise AssertionError("it is done beside")

    def leaves(self, found: StageResult) -> Sequence[str]:
        assert found == FOUND[self.name]
        return ()


def test_a_stage_is_done_beside_the_one_before_it(run: RunFolder) -> None:
    other, data = Other(), Written("data")
    found = told(run, data, Free("profile"), beside=other)
    assert found == ["data done", "profile done"]
    assert other.orders == [{"stage": "profile"}]
    record = run.state.stages["profile"]
    assert record.seconds == 3.5
    assert 3.4 < record.beside <= 3.5
    assert not list(run.path.glob("*.checkpoint"))


@pytest.mark.parametrize("stages", [["data"], ["profile"], ["data", "generate"]])
def test_what_is_done_or_not_asked_for_is_not_begun_beside(stages: list[str], run: RunFolder) -> None:
    other, beside = Other(), {"data": Written("data"), "profile": Free("profile"), "generate": Written("generate")}
    if stages[0] == "profile":
        told(run, Written("data"))
        run.finish("profile", FOUND["profile"], [], 0.0)
    told(run, *(beside[name] for name in stages), beside=other)
    assert other.orders == []


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
