"""What a tracker is: something that is told of a run while it works, so that its curves are seen elsewhere.

Glossary
    stage    what works: 'reference', 'search/train', 'finetune', ...; 'result' for the final numbers
    step     of the stage, from 0 or 1 on; a point is told once, whatever is killed and resumed
    point    numbers and texts of one step of one stage
    key      (stage, step, name) of one of them; of a file (`FILES`, 0, its name)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Value = float | str
Key = tuple[str, int, str]
Status = Literal["finished", "failed", "interrupted"]
FILES, RESULT = "files", "result"
Track = Callable[[str, int, Mapping[str, Value]], None]
"""Called as track(stage, step, values)."""
Curve = Callable[[int, Mapping[str, Value]], None]
"""The same of one stage: curve(step, values)."""


def untracked(stage: str, step: int, values: Mapping[str, Value]) -> None:
    """The default: nobody is told."""


def no_curve(step: int, values: Mapping[str, Value]) -> None:
    """The default: nobody is told."""


@dataclass(frozen=True)
class TrackedRun:
    """The run that is told about.

    Args:
        name: for people.
        id: 16 hex digits, the same however often the run is resumed, another for every run.
        folder: where a tracker that has no other place keeps its files, one for all trackers of the run.
        config: what was asked for and what it is about: JSON values under flat names.
        group: name of the run for several budgets that this one is a part of; empty where it is none.
    """

    name: str
    id: str
    folder: Path
    config: Mapping[str, Any]
    group: str = ""


class Tracker(ABC):
    """Is told of one run in its order. Whatever it raises is told once, and the run goes on without it.

    It is made when the run has something to tell, by calling the class with the address behind its name
    (`mlflow:http://host:5000`), empty where there is none.
    """

    def __init__(self, address: str = "") -> None:
        self.address = address

    @abstractmethod
    def started(self, run: TrackedRun) -> Collection[Key]:
        """Begin, or go on with what an earlier process of the same run began.

        Returns:
            Keys of what it holds already. All others that were ever told of this run are told next, in their order.
        """

    @abstractmethod
    def metrics(self, stage: str, step: int, values: Mapping[str, Value]) -> None:
        """One point. Numbers are finite; texts are JSON, e.g. an architecture."""

    @abstractmethod
    def artefact(self, path: Path) -> None:
        """A file that the run made, e.g. model.onnx."""

    @abstractmethod
    def finished(self, status: Status) -> None:
        """Nothing more is told by this process; write what is held back. The run may go on in another one."""
