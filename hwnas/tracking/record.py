"""What was told of a run, kept in its folder, and passed on to its trackers.

tracking/points.jsonl holds every point and every file in the order in which they were told, each once: a point is
written there before a tracker hears of it. A tracker that starts says what it holds and is told the rest, so that
nothing is doubled and nothing is lacking after a kill at any moment, nor where it was not there for a while.

What a killed run does again after its last checkpoint is known already and not told again. On one CPU it is the same
bit for bit; elsewhere the first of two values stays.
"""

from __future__ import annotations

import contextlib
import math
import secrets
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field

from hwnas.errors import HwnasError, RunError
from hwnas.files import append_line, read_lines
from hwnas.tracking.tracker import FILES, Curve, Key, Status, TrackedRun, Tracker, Value
from hwnas.validation import Count, Name, Schema, checked

FOLDER, RECORD = "tracking", "points.jsonl"
MOST_BYTES = 1 << 31


class TrackingWarning(UserWarning):
    """A tracker failed, and the run goes on without it."""


class FirstLine(Schema):
    """What a record begins with."""

    hwnas_tracking: Annotated[int, Field(ge=1, le=1)] = 1
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Line(Schema):
    """A point; of a file `stage` is `FILES` and `values` its name and the path in the run folder."""

    stage: Name
    step: Count
    values: dict[Name, Annotated[float, Field(allow_inf_nan=False)] | str]


class Record:
    """tracking/points.jsonl of a run.

    Args:
        folder: of the run.

    Attributes:
        id: of the run, made with the first line.

    Raises:
        RunError: a line is none of a record.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FOLDER / RECORD
        lines = read_lines(self._path, MOST_BYTES) if self._path.exists() else []
        what, way_out = f"{self._path} is not a record of what was tracked", "delete it"
        if not lines:
            lines = [{"hwnas_tracking": 1, "id": secrets.token_hex(8)}]
            append_line(self._path, lines[0])
        self.id = checked(FirstLine, lines[0], what, RunError, way_out).id
        self.lines = [checked(Line, line, what, RunError, way_out) for line in lines[1:]]
        self._known = {(line.stage, line.step, name) for line in self.lines for name in line.values}

    def add(self, stage: str, step: int, values: Mapping[str, Value]) -> Line | None:
        """What of a point was not told yet, written down; None where nothing is new."""
        new = {name: value for name, value in values.items() if (stage, step, name) not in self._known
               and (isinstance(value, str) or math.isfinite(value))}
        if not new:
            return None
        line = Line(stage=stage, step=step, values=new)
        append_line(self._path, line.model_dump())
        self.lines.append(line)
        self._known.update((stage, step, name) for name in new)
        return line


class Tracking:
    """The trackers of one run. A context: at its end they are told how it ended.

    Args:
        folder: of the run.
        make: name as the user gave it -> what makes the tracker.
        about: the run as trackers are told of it, of the id of its record; asked when the first thing is told.
    """

    def __init__(self, folder: Path, make: Mapping[str, Callable[[], Tracker]],
                 about: Callable[[str], TrackedRun]) -> None:
        self._folder, self._make, self._about = folder, make, about
        self._record: Record | None = None
        self._live: dict[str, Tracker] = {}

    @property
    def anyone(self) -> bool:
        """Whether somebody is told."""
        return bool(self._make)

    def metrics(self, stage: str, step: int, values: Mapping[str, Value]) -> None:
        """One point, unless it was told before; numbers that are not finite are left out."""
        if not self._make:
            return
        try:
            line = self._begun().add(stage, step, values)
        except HwnasError as err:  # of a record that was damaged, or cannot be written
            self._make = {}
            warnings.warn(f"nothing is tracked from here on: {err}", TrackingWarning, stacklevel=2)
            return
        if line is not None:
            for name in list(self._live):
                self._tell(name, line)

    def curve(self, stage: str) -> Curve:
        """`metrics` of one stage."""
        return lambda step, values: self.metrics(stage, step, values)

    def artefact(self, path: Path) -> None:
        """A file of the run folder, once under every name."""
        self.metrics(FILES, 0, {path.name: path.relative_to(self._folder).as_posix()})

    def __enter__(self) -> Tracking:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        status: Status = ("finished" if kind is None else "failed" if issubclass(kind, Exception) else "interrupted")
        for name, tracker in list(self._live.items()):
            with self._heard(name):
                tracker.finished(status)
        self._live, self._record = {}, None

    def _begun(self) -> Record:
        if self._record is None:
            self._record = Record(self._folder)
            run = self._about(self._record.id)
            for name, make in self._make.items():
                self._start(name, make, run)
        return self._record

    def _start(self, name: str, make: Callable[[], Tracker], run: TrackedRun) -> None:
        held: Collection[Key] = ()
        with self._heard(name):
            tracker = make()
            held = frozenset(tracker.started(run))
            self._live[name] = tracker
        for line in self._record.lines if self._record else ():
            values = {key: value for key, value in line.values.items() if (line.stage, line.step, key) not in held}
            if values and name in self._live:
                self._tell(name, line.model_copy(update={"values": values}))

    def _tell(self, name: str, line: Line) -> None:
        tracker = self._live[name]
        with self._heard(name):
            if line.stage != FILES:
                tracker.metrics(line.stage, line.step, line.values)
                return
            for path in (self._folder / str(value) for value in line.values.values()):
                if path.is_file():
                    tracker.artefact(path)

    @contextlib.contextmanager
    def _heard(self, name: str) -> Iterator[None]:
        """A tracker that fails is told of once and heard of no more: it must not cost the run."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # what a tool says of its own libraries is no matter of the run
                yield
        except Exception as err:  # of a library, a server, a stranger's code
            self._live.pop(name, None)
            warnings.warn(f"tracker {name} failed and is left out from here on: {_brief(err)}. The run goes on; resume "
                          "it later, and the tracker is told what it lacks", TrackingWarning, stacklevel=2)


def _brief(err: Exception) -> str:
    text = " ".join(str(err).split())
    return f"{type(err).__name__}: {text if len(text) <= 300 else text[:299] + '…'}"


NOTHING = Tracking(Path(), {}, lambda _: TrackedRun("", "", Path(), {}))
"""Tells nobody."""

__all__ = ["FOLDER", "NOTHING", "Record", "Tracking", "TrackingWarning"]
