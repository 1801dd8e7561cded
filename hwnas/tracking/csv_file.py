"""The tracker csv: tracking/metrics.csv in the run folder, or the file that the address names; needs no library.

| column                    | what                                                            |
|---------------------------|-----------------------------------------------------------------|
| time                      | when it was told, ISO 8601                                      |
| stage, step, name, value  | one number or text a row; of a file `files`, 0, its name, its path |

One point is written at once, so a killed process leaves whole rows, and half a row at most, which is cut off.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from hwnas.errors import InputError
from hwnas.files import append_bytes
from hwnas.tracking.tracker import FILES, Key, Status, TrackedRun, Tracker, Value

COLUMNS = ("time", "stage", "step", "name", "value")


class CsvFile(Tracker):
    """Rows of one file."""

    def started(self, run: TrackedRun) -> Collection[Key]:
        self._path = Path(self.address).expanduser() if self.address else run.folder / "metrics.csv"
        if not self._path.exists():
            self._write([COLUMNS])
            return ()
        text = self._path.read_text(encoding="utf-8")
        rows = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))
        if not rows or tuple(rows[0]) != COLUMNS:
            raise InputError(f"{self._path} is no file of this tracker, whose columns are {','.join(COLUMNS)}: name "
                             "another one")
        return [(stage, int(step), name) for _, stage, step, name, _ in rows[1:]]

    def metrics(self, stage: str, step: int, values: Mapping[str, Value]) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        self._write([(now, stage, step, name, value) for name, value in values.items()])

    def artefact(self, path: Path) -> None:
        self.metrics(FILES, 0, {path.name: str(path)})

    def finished(self, status: Status) -> None:
        """Every row is written."""

    def _write(self, rows: list[tuple[object, ...]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        append_bytes(self._path, text.getvalue().encode())
