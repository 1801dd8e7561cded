"""search.jsonl: every evaluation of a search, one line each, in order."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from hwnas.documents import MOST_BYTES
from hwnas.errors import InputError, RunError
from hwnas.files import append_line, read_lines, write_bytes
from hwnas.validation import MOST_OPS, Count, Schema, checked


class EvaluationSchema(Schema):
    """The keys of a line of search.jsonl."""

    model_config = ConfigDict(extra="forbid")

    phase: Literal["train", "settle", "alone"]
    number: Count
    choice: Annotated[list[Annotated[int, Field(ge=0, le=1023)]], Field(max_length=MOST_OPS)]
    score: Annotated[float, Field(ge=-1e6, le=1e6)]
    seconds: Annotated[float, Field(ge=0, le=1e9)]


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


class SearchLog:
    """Append-only log of evaluations; a torn last line (a run that was killed) is ignored.

    Raises:
        RunError: a line in the middle is broken.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = _entries(path) if path.exists() else []

    def of(self, phase: str) -> list[Evaluation]:
        """Evaluations of one phase, in order."""
        return [e for e in self.entries if e.phase == phase]

    def comparable(self) -> list[Evaluation]:
        """Those whose scores do not depend on when they were made."""
        return [e for e in self.entries if e.phase != "train"]

    def asked(self) -> list[Evaluation]:
        """Those that a strategy asked for, in the order that it was told."""
        return [e for e in self.entries if e.phase != "settle"]

    def append(self, evaluation: Evaluation) -> None:
        """Write one line and flush it."""
        append_line(self.path, asdict(evaluation))
        self.entries.append(evaluation)

    def keep(self, phase: str, count: int) -> None:
        """Drop what a killed run logged beyond its last checkpoint: entries of `phase` from number `count` on."""
        kept = [e for e in self.entries if e.phase != phase or e.number < count]
        if len(kept) < len(self.entries):
            self.entries = kept
            write_bytes(self.path, b"".join(json.dumps(asdict(e)).encode() + b"\n" for e in kept))


def _entries(path: Path) -> list[Evaluation]:
    try:
        return [_read(path, number, line) for number, line in enumerate(read_lines(path, MOST_BYTES), 1)]
    except RunError:
        raise
    except InputError as err:
        raise RunError(f"{err}") from err


def _read(path: Path, number: int, line: object) -> Evaluation:
    found = checked(EvaluationSchema, line, f"{path}, line {number} is not an evaluation", RunError,
                    "delete that line and resume")
    return Evaluation(found.phase, found.number, tuple(found.choice), found.score, found.seconds)
