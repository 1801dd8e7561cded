"""A process beside this one: heard, waited for, and never outlived. What it does is played by a few lines of Python."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hwnas import errors
from hwnas.errors import HwnasError, MissingDependency, RunError, TrainingDiverged, UnknownName, UsageError
from hwnas.pipeline.beside import Beside, beside, error_of, told_of

ANSWERS = """
import json, sys, time, os
def say(told): print(json.dumps(told), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    {}
"""
Playing = Callable[[str], None]


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Playing:
    """Lets the other process do some lines with every `order`."""
    def play(lines: str) -> None:
        monkeypatch.setattr("hwnas.pipeline.beside.START", ANSWERS.format(lines.strip().replace("\n", "\n    ")))

    return play


@pytest.fixture
def heard() -> list[tuple[Any, ...]]:
    return []


@pytest.fixture
def other(heard: list[tuple[Any, ...]]) -> Iterator[Beside]:
    with beside(lambda *told: heard.append(told)) as found:
        yield found


def test_it_is_heard_and_waited_for(played: Playing, other: Beside, heard: list[tuple[Any, ...]]) -> None:
    played("say({'progress': ['search', 1, 3]})\nsay({'point': ['search/train', 2, {'score': 0.5}]})\n"
           "time.sleep(order['wait'])\nsay({'found': {'score': order['score']}})")
    points: list[tuple[Any, ...]] = []
    for score in (0.1 + 0.2, 7.0):
        other.begin("search", {"score": score, "wait": 0.3}, lambda *told: points.append(told))
        assert other.working == "search"
        other.progress("train reference", 1, 2)
        found, seconds = other.found()
        assert found == {"score": score}  # bit for bit
        assert 0.3 <= seconds < 60
        assert other.working == ""
    assert heard.count(("beside: search", 1, 3)) == heard.count(("train reference", 1, 2)) == 2
    assert points == [("search/train", 2, {"score": 0.5})] * 2


def test_its_error_stops_what_is_done_here(played: Playing, other: Beside) -> None:
    played(f"say({{'error': {json.dumps(told_of(TrainingDiverged('the loss became nan')))}}})")
    other.begin("search", {}, lambda *told: None)
    with pytest.raises(TrainingDiverged, match="the loss became nan"):
        _train(other)


@pytest.mark.parametrize(("lines", "how"), [("os.kill(os.getpid(), 9)", "was killed .SIGKILL."),
                                            ("sys.exit(3)", "ended with status 3")])
def test_if_it_is_gone_this_process_says_so(lines: str, how: str, played: Playing, other: Beside) -> None:
    played(lines)
    other.begin("search", {}, lambda *told: None)
    with pytest.raises(HwnasError, match=f"the process that did search beside this one {how}.*--one-by-one") as caught:
        other.found()
    assert caught.value.exit_code == 1  # what the command line calls passing: it says how to go on


def test_it_ends_with_what_it_was_started_for(played: Playing, tmp_path: Path) -> None:
    played(f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\nsay({{'progress': ['a', 1, 2]}})\n"
           "time.sleep(600)")
    with pytest.raises(KeyboardInterrupt):
        _search(beside(_interrupting))
    assert not _alive(int((tmp_path / "pid").read_text()))


def _train(other: Beside) -> None:
    for step in range(10**6):
        other.progress("train reference", step, 10**6)
        time.sleep(0.01)


def _search(block: contextlib.AbstractContextManager[Beside]) -> None:
    with block as other:
        other.begin("search", {}, lambda *told: None)
        other.found()


def _interrupting(*told: Any) -> None:
    raise KeyboardInterrupt


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_where_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch, other: Beside) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    with pytest.raises(HwnasError, match=r"no process can be started beside this one.*--one-by-one"):
        other.begin("search", {}, lambda *told: None)


@pytest.mark.parametrize(("err", "kind"), [
    (RunError("a file is gone"), RunError), (TrainingDiverged("nan"), TrainingDiverged),
    (UnknownName("task", "clasify", ["classify"]), UsageError), (MissingDependency("x", "y", "z"), HwnasError),
    (OSError(28, "No space left on device", "/a"), OSError), (ValueError("a defect"), RuntimeError),
])
def test_an_error_comes_over_as_what_it_was(err: Exception, kind: type[Exception]) -> None:
    err.add_note("and a note")
    found = error_of(json.loads(json.dumps(told_of(err))))
    assert type(found) is kind
    assert str(err) in str(found)
    assert found.__notes__ == ["and a note"]
    assert getattr(found, "exit_code", None) == getattr(err, "exit_code", None)
    assert getattr(found, "errno", None) == getattr(err, "errno", None)


def test_every_error_has_one_that_is_made_of_a_message() -> None:
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, HwnasError):
            found = error_of({"kind": name, "text": "why", "code": kind.exit_code, "notes": []})
            assert isinstance(found, HwnasError)
            assert (str(found), found.exit_code) == ("why", kind.exit_code)


def test_a_helper_that_is_told_to_end_does(played: Playing, other: Beside) -> None:
    played("os.kill(os.getpid(), 15)")
    other.begin("search", {}, lambda *told: None)
    with pytest.raises(HwnasError, match=signal.Signals(15).name):
        other.found()
