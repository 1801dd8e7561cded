"""search.jsonl: every evaluation of a search, one line each, in order."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from hwnas.errors import RunError
from hwnas.files import append_line, read_lines, write_bytes


@dataclass(frozen=True)
class Evaluation:
    """One architecture scored.

    Args:
        phase: `train` (one epoch of training, then scored) or `settle` (scored with the final shared weights).
        number: 0-based within the phase.
        choice: op index per choice.
        score: validation accuracy in percent.
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
        self.entries = [_read(path, i, line) for i, line in enumerate(read_lines(path), 1)] if path.exists() else []

    def of(self, phase: str) -> list[Evaluation]:
        """Evaluations of one phase, in order."""
        return [e for e in self.entries if e.phase == phase]

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


def _read(path: Path, number: int, line: object) -> Evaluation:
    try:
        values = dict(line)  # type: ignore[call-overload]
        return Evaluation(**{**values, "choice": tuple(values["choice"])})
    except (TypeError, KeyError, ValueError) as err:
        raise RunError(f"{path}, line {number} is not an evaluation ({err}): delete that line and resume") from err
