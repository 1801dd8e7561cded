"""The tracker tensorboard: event files in tracking/tensorboard of the run folder, or in the folder of the address.

    tensorboard --logdir RUN        # every run below is shown, those of several budgets, too

A process adds a file of its own; what the files hold already is read with TensorBoard's own loader, which leaves out
the half of an event that a killed process may leave.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.tracking.tracker import FILES, RESULT, Key, Status, TrackedRun, Tracker, Value

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_TEXT = "/text_summary"  # what TensorBoard adds to the tag of a text
_CONFIG = "config"


class TensorBoard(Tracker):
    """Scalars under `stage/name`, texts alike, the final numbers beside the options under HPARAMS."""

    def started(self, run: TrackedRun) -> Collection[Key]:
        from torch.utils.tensorboard import SummaryWriter

        folder = run.folder / "tensorboard"
        if self.address:
            folder = Path(self.address).expanduser() / f"{run.name}-{run.id[:8]}"
        held = set(_held(folder)) if folder.is_dir() else set()
        self._config = dict(run.config)
        self._writer: SummaryWriter = SummaryWriter(str(folder))
        if (_CONFIG, 0, "text") not in held:
            self._text(f"{_CONFIG}/text", json.dumps(self._config, indent=1, default=str), 0)
            self._writer.flush()
        return held

    def metrics(self, stage: str, step: int, values: Mapping[str, Value]) -> None:
        numbers = {f"{stage}/{name}": value for name, value in values.items() if not isinstance(value, str)}
        if stage == RESULT and numbers:
            self._hparams(numbers)
        for tag, number in numbers.items():
            self._writer.add_scalar(tag, number, step)
        for name, value in values.items():
            if isinstance(value, str):
                self._text(f"{stage}/{name}", value, step)
        self._writer.flush()

    def artefact(self, path: Path) -> None:
        self._text(f"{FILES}/{path.name}", str(path), 0)
        self._writer.flush()

    def finished(self, status: Status) -> None:
        self._writer.close()

    def _text(self, tag: str, text: str, step: int) -> None:
        self._writer.add_text(tag, f"```\n{text}\n```", step)  # Markdown is shown

    def _hparams(self, numbers: Mapping[str, float]) -> None:
        from torch.utils.tensorboard import summary

        options = {name: value if isinstance(value, bool | int | float | str) else str(value)
                   for name, value in self._config.items()}
        written: Any = self._writer.file_writer
        hparams: Any = summary.hparams
        for each in hparams(options, dict(numbers)):
            written.add_summary(each)


def _held(folder: Path) -> Iterator[Key]:
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    for file in sorted(folder.glob("events.out.tfevents.*")):
        events: Any = EventFileLoader(str(file)).Load()
        for event in events:
            for value in event.summary.value:
                stage, _, name = value.tag.removesuffix(_TEXT).rpartition("/")
                yield stage, event.step, name
