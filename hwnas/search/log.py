"""search.jsonl: every evaluation of a search, one line each, in order; those that failed, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from hwnas.documents import MOST_BYTES
from hwnas.errors import InputError, RunError
from hwnas.files import append_line, read_lines, write_bytes
from hwnas.validation import MOST_OPS, Count, Schema, checked

LONGEST_REASON = 500  # characters


class EvaluationSchema(Schema):
    """The keys of a line of search.jsonl."""

    model_config = ConfigDict(extra="forbid")

    phase: Literal["train", "settle", "alone"]
    number: Count
    choice: Annotated[list[Annotated[int, Field(ge=0, le=1023)]], Field(max_length=MOST_OPS)]
    score: Annotated[float, Field(ge=-1e6, le=1e6)]
    seconds: Annotated[float, Field(ge=0, le=1e9)]


class FailureSchema(Schema):
    """The keys of a line of search.jsonl that has no score; hwnas 0.1 wrote none."""

    model_config = ConfigDict(extra="forbid")

    phase: Literal["alone"]
    number: Count
    choice: Annotated[list[Annotated[int, Field(ge=0, le=1023)]], Field(max_length=MOST_OPS)]
    failed: Annotated[str, Field(max_length=LONGEST_REASON)]


@dataclass(frozen=True)
class Evaluation:
    """One architecture scored.

    Args:
        phase: `train` (some training of the shared weights, then scored), `settle` (scored with the final shared
            weights) or `alone` (scored by weights of its own, or looked up).
        number: 0-based within the phase.
        choice: op index per choice.
        score: of the validation images, percent.
        seconds: wall time it took.
    """

    phase: str
    number: int
    choice: tuple[int, ...]
    score: float
    seconds: float


@dataclass(frozen=True)
class Failure:
    """One architecture whose evaluation gave no score.

    Args:
        phase, number, choice: as of an `Evaluation`; it has a number among them.
        failed: why, for people; what is longer than `LONGEST_REASON` is cut.
    """

    phase: str
    number: int
    choice: tuple[int, ...]
    failed: str

    def __post_init__(self) -> None:
        words = " ".join(self.failed.split())
        object.__setattr__(self, "failed", words if len(words) <= LONGEST_REASON else f"{words[:LONGEST_REASON - 1]}…")


Line = Evaluation | Failure


class SearchLog:
    """Append-only log of evaluations; a torn last line (a run that was killed) is ignored.

    Args:
        path: None keeps it in memory.
        told: called with every line before it is written: what a killed run wrote, it was told of.
        writes: whether this process writes the file; it reads it either way.

    Attributes:
        lines: all of them in order.

    Raises:
        RunError: a line in the middle is broken.
    """

    def __init__(self, path: Path | None = None, told: Callable[[Line], None] = lambda line: None, *,
                 writes: bool = True) -> None:
        self.path, self._told, self._writes = path, told, writes and path is not None
        self.lines = _lines(path) if path is not None and path.exists() else []

    @property
    def entries(self) -> list[Evaluation]:
        """Those with a score, in order."""
        return [line for line in self.lines if isinstance(line, Evaluation)]

    @property
    def failures(self) -> list[Failure]:
        """Those without, in order."""
        return [line for line in self.lines if isinstance(line, Failure)]

    def of(self, phase: str) -> list[Evaluation]:
        """Evaluations of one phase, in order."""
        return [e for e in self.entries if e.phase == phase]

    def comparable(self) -> list[Evaluation]:
        """Those whose scores do not depend on when they were made."""
        return [e for e in self.entries if e.phase != "train"]

    def asked(self) -> list[Evaluation]:
        """Those that a strategy asked for, in the order that it was told."""
        return [e for e in self.entries if e.phase != "settle"]

    def append(self, line: Line) -> None:
        """Write one line and flush it."""
        self._told(line)
        if self.path is not None and self._writes:
            append_line(self.path, asdict(line))
        self.lines.append(line)

    def keep(self, phase: str, count: int) -> None:
        """Drop what a killed run logged beyond its last checkpoint: entries of `phase` from number `count` on."""
        kept = [e for e in self.lines if e.phase != phase or e.number < count]
        if len(kept) < len(self.lines):
            self.lines = kept
            if self.path is not None and self._writes:
                write_bytes(self.path, b"".join(json.dumps(asdict(e)).encode() + b"\n" for e in kept))


def _lines(path: Path) -> list[Line]:
    try:
        return [_read(path, number, line) for number, line in enumerate(read_lines(path, MOST_BYTES), 1)]
    except RunError:
        raise
    except InputError as err:
        raise RunError(f"{err}") from err


def _read(path: Path, number: int, line: object) -> Line:
    what, way_out = f"{path}, line {number} is not an evaluation", "delete that line and resume"
    if isinstance(line, Mapping) and "failed" in line:
        without = checked(FailureSchema, line, what, RunError, way_out)
        return Failure(without.phase, without.number, tuple(without.choice), without.failed)
    found = checked(EvaluationSchema, line, what, RunError, way_out)
    return Evaluation(found.phase, found.number, tuple(found.choice), found.score, found.seconds)
