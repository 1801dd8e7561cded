"""What every tracker must do: one run in its tool however often it is killed and resumed, every point once.

What they wrote is read with the tools' own readers (`readers.py`).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pytest

from hwnas.errors import MissingDependency, UnknownName, UsageError
from hwnas.tracking import Tracker, TrackingWarning
from hwnas.tracking.registry import check, divided, lacking, names
from hwnas.tracking.tracker import Key, Status, TrackedRun, Value
from tests.tracking.readers import READERS, Points, quietly
from tests.tracking.telling import POINTS, tell, telling, value

EVERY = sorted(READERS)


@pytest.fixture(params=EVERY)
def name(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    found: str = request.param
    if (way := lacking(found)) is not None:
        pytest.skip(f"the library of tracker {found} is not installed: {way}")
    for variable in [key for key in os.environ if key.startswith(("WANDB_", "MLFLOW_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # for the reader; the tracker sets it where it needs it
    return found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    found = tmp_path / "runs" / "first"
    found.mkdir(parents=True)
    return found


def expected(last: int) -> Points:
    steps = range(last)
    return {**{("search/train", step, "score"): [value(step)] for step in steps},
            **{("search/train", step, "architecture"): [f'{{"choice": [{step}]}}'] for step in steps},
            **{("search/weights", step, "loss"): [value(2 * step)] for step in steps},
            **{("search/weights", step, "lr"): [0.25] for step in steps}}


def told(name: str, run: Path) -> Points:
    """Points without the options, which TensorBoard holds as a text."""
    return {key: values for key, values in READERS[name](run).items() if key[0] not in ("config", "files")}


def test_every_tracker_of_hwnas_is_held_to_this() -> None:
    assert names() == EVERY


def test_what_it_is_told_is_shown(name: str, run: Path) -> None:
    (run / "model.onnx").write_bytes(b"a model")
    with telling(run, name) as tracking:
        tell(tracking, 0, 3)
        tracking.artefact(run / "model.onnx")
    assert told(name, run) == expected(3)
    files = {key[2] for key in READERS[name](run) if key[0] == "files"}
    assert "model.onnx" in files


def test_a_run_that_goes_on_is_the_same_run_there(name: str, run: Path) -> None:
    (run / "model.onnx").write_bytes(b"a model")
    with telling(run, name) as tracking:
        tell(tracking, 0, 4)
        tracking.artefact(run / "model.onnx")
    with telling(run, name) as tracking:
        tell(tracking, 2, 6)  # it began again from a checkpoint after two
        tracking.artefact(run / "model.onnx")
    assert told(name, run) == expected(6)
    assert [values for key, values in READERS[name](run).items() if key[:1] == ("files",) and len(values) > 1] == []


@pytest.mark.parametrize("after", [0, 7, 13])
def test_a_kill_neither_doubles_nor_loses_a_point(after: int, name: str, run: Path) -> None:
    program = [sys.executable, "-m", "tests.tracking.telling", str(run), name]
    began = subprocess.Popen([*program, "0", str(after)], stdout=subprocess.PIPE, text=True, env=quietly(run))
    with began:
        assert began.stdout is not None
        for line in began.stdout:
            if int(line) >= after:
                began.send_signal(signal.SIGKILL)
                break
    assert began.returncode == -signal.SIGKILL
    first = max(0, after - 3)  # a checkpoint is older than what was told
    subprocess.run([*program, str(first), str(POINTS)], check=True, env=quietly(run), stdout=subprocess.DEVNULL,
                   timeout=240)
    assert told(name, run) == expected(POINTS)


def test_one_that_comes_later_is_told_everything(name: str, run: Path) -> None:
    with telling(run, "csv") as tracking:
        tell(tracking, 0, 3)
    with telling(run, "csv", *({name} - {"csv"})) as tracking:
        tell(tracking, 3, 4)
    assert told(name, run) == told("csv", run) == expected(4)


def test_numbers_that_are_none_are_left_out(name: str, run: Path) -> None:
    with telling(run, name) as tracking:
        tracking.metrics("finetune", 1, {"loss": float("nan"), "score": 2.0, "lr": float("inf")})
    assert told(name, run) == {("finetune", 1, "score"): [2.0]}


def test_nothing_is_reached_but_this_machine(name: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this process; that of wandb is offline by its own setting, which the name of its folder tells."""
    connect = socket.socket.connect
    asked: list[Any] = []

    def local(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            asked.append(address)
            raise OSError("no network here")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local)
    with telling(run, name) as tracking:
        tell(tracking, 0, 2)
    assert asked == []
    assert told(name, run) == expected(2)


class Own(Tracker):
    """Somebody's tracker, which fails where its address says."""

    points: list[tuple[str, int, Mapping[str, Value]]] = []  # noqa: RUF012 - what the tests look at

    def started(self, run: TrackedRun) -> Collection[Key]:
        if self.address == "started":
            raise ConnectionError("the server is away")
        return ()

    def metrics(self, stage: str, step: int, values: Mapping[str, Value]) -> None:
        if self.address == "metrics" and step == 2:
            raise ConnectionError("the server is away")
        Own.points.append((stage, step, values))

    def artefact(self, path: Path) -> None:
        raise ConnectionError("the server is away")

    def finished(self, status: Status) -> None:
        if self.address == "finished":
            raise ConnectionError("the server is away")


OWN = f"{__name__}:Own"


@pytest.mark.parametrize("where", ["started", "metrics", "finished"])
def test_one_that_fails_is_told_of_once_and_costs_nothing(where: str, run: Path) -> None:
    Own.points.clear()
    with (pytest.warns(TrackingWarning, match=f"tracker {OWN}:{where} failed .*ConnectionError: the server is away")
          as seen, telling(run, f"{OWN}:{where}", "csv") as tracking):
        tell(tracking, 0, 5)
    assert len(seen) == 1
    assert told("csv", run) == expected(5)
    Own.points.clear()
    with telling(run, OWN) as tracking:  # it is back, and is told what it lacks
        tell(tracking, 4, 6)
    assert [point[:2] for point in Own.points] == [
        (stage, step) for step in range(6) for stage in ("search/train", "search/weights")]


def test_a_record_that_was_damaged_costs_nothing(run: Path) -> None:
    with telling(run, "csv") as tracking:
        tell(tracking, 0, 2)
    (run / "tracking" / "points.jsonl").write_text('{"hwnas_tracking": 7}\n')
    with (pytest.warns(TrackingWarning, match=r"nothing is tracked from here on: .*points\.jsonl.*delete it") as seen,
          telling(run, "csv") as tracking):
        tell(tracking, 2, 4)
    assert len(seen) == 1


def test_an_error_of_the_run_passes_and_is_told_as_its_end(run: Path) -> None:
    ends: list[Status] = []

    class Ending(Own):
        def finished(self, status: Status) -> None:
            ends.append(status)

    globals()["Ending"] = Ending

    def work(error: type[BaseException]) -> None:
        with telling(run, f"{__name__}:Ending") as tracking:
            tell(tracking, 0, 1)
            raise error

    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error):
            work(error)
    assert ends == ["failed", "interrupted"]


@pytest.mark.parametrize(("given", "found"), [
    ("csv", ("csv", "")), ("mlflow:http://host:5000", ("mlflow", "http://host:5000")),
    ("wandb:me/photos", ("wandb", "me/photos")), ("my.trackers:Slack", ("my.trackers:Slack", "")),
    ("my.trackers:Slack:#runs", ("my.trackers:Slack", "#runs")),
])
def test_names_and_addresses(given: str, found: tuple[str, str]) -> None:
    assert divided(given) == found


@pytest.mark.parametrize(("given", "error", "words"), [
    (["cvs"], UnknownName, "Did you mean 'csv'"), (["csv", "csv"], UsageError, "twice"),
    (["nowhere:Thing"], UsageError, "does not import"), ([f"{__name__}:Nothing"], UsageError, "no function Nothing"),
])
def test_what_is_refused_before_a_run_begins(given: list[str], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        check(given)


def test_a_library_that_is_missing_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r'--track wandb needs wandb.*pip install "hwnas\[wandb\]"'):
        check(["csv", "wandb"])
