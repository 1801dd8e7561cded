"""Latency tables: JSON Lines, one file per target and what makes its numbers differ.

The first line is the header, every other line an entry of one signature or a calibration of one space. Lines are
appended and the last one wins, so a killed run keeps what it had; a torn last line is left out. How the lines reach
the disk is in `table_file`, what the header says in `header`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from hwnas.documents import MOST_BYTES, brief
from hwnas.errors import InputError, MissingEntry, TableError
from hwnas.files import read_lines
from hwnas.latency import header as headers
from hwnas.latency import table_file
from hwnas.latency.calibrate import Calibration
from hwnas.latency.entry import Entry, now
from hwnas.target import Target
from hwnas.validation import Name, Schema, checked


class RecordSchema(Schema):
    """What a line with a calibration says beside the coefficients."""

    space: Annotated[str, Field(max_length=200)]
    when: Name = ""


def table_path(folder: Path, target: Target) -> Path:
    """Where a target's table lies: <folder>/<target name>/<target key>.jsonl."""
    return folder / target.name / f"{target.key}.jsonl"


class Table:
    """Block times of one target. Use `Table.open` to fill one, `Table.read` to look things up.

    Attributes:
        path: the file.
        header: its first line.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path, self.header = path, dict(header)
        self._entries: dict[str, Entry] = {}
        self._calibrations: dict[str, dict[str, Any]] = {}

    @classmethod
    def open(
        cls, path: Path, target: Target, fingerprint: Mapping[str, Any], *, source: str = "measured"
    ) -> Table:
        """Read the table of `target`, or create it. Whether a table that exists is of this device: `differs_from`.

        Args:
            fingerprint: the device, as `Fingerprint.to_json` gives it; for a new table.
            source: 'measured', 'estimated' or 'imported', for a new table.

        Raises:
            TableError: the file is broken, of another schema or of another target.
            InputError: the folder is not writable.
        """
        with table_file.locked(path):
            if not path.is_file() or not path.stat().st_size:
                table_file.write_whole(path, [headers.make_header(target, fingerprint, source)])
        return cls.read(path, target)

    @classmethod
    def read(cls, path: str | Path, target: Target | None = None) -> Table:
        """Read a table without writing anything, e.g. one that ships.

        Raises:
            TableError: no such file, a broken line, another schema, or not the table of `target`.
        """
        path = Path(path)
        way_out = f"`hwnas profile --target {target.name}`" if target else "`hwnas profile`"
        try:
            lines = read_lines(path, MOST_BYTES)
        except InputError as err:
            raise TableError(f"{err}. Fill a new table with {way_out}") from err
        table = cls(path, headers.check(lines[0] if lines else None, f"{path}, line 1", way_out))
        if target is not None:
            table._check_target(target)
        for number, line in enumerate(lines[1:], 2):
            table._take(line, number)
        return table

    @classmethod
    def assemble(
        cls, path: Path, header: Mapping[str, Any], entries: Iterable[Entry],
        calibrations: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Table:
        """A table in memory; `to_lines` says what its file would hold.

        Args:
            calibrations: space fingerprint -> record, as `calibration_records` gives them.
        """
        table = cls(path, header)
        table._entries = {entry.signature: entry for entry in entries}
        table._calibrations = {space: dict(record) for space, record in (calibrations or {}).items()}
        return table

    def to_lines(self) -> list[dict[str, Any]]:
        """Header, entries and calibrations: the lines of a file that holds this table and no history."""
        calibrations = ({"calibration": record} for record in self._calibrations.values())
        return [self.header, *(entry.to_json() for entry in self._entries.values()), *calibrations]

    @property
    def source(self) -> str:
        """'measured', 'estimated' or 'imported'."""
        return str(self.header["source"])

    @property
    def target(self) -> str:
        """Name of the target."""
        return str(self.header["target"])

    @property
    def device(self) -> dict[str, Any]:
        """The device's fingerprint."""
        return dict(self.header["device"])

    @property
    def entries(self) -> dict[str, Entry]:
        """Signature -> its last entry."""
        return dict(self._entries)

    @property
    def calibration_records(self) -> dict[str, dict[str, Any]]:
        """Space fingerprint -> the last calibration that was made for it, with its date."""
        return dict(self._calibrations)

    @property
    def content_hash(self) -> str:
        """sha256 over target, entries and calibrations: equal hashes predict equal latencies."""
        content = {
            "target": [self.header[k] for k in ("target", "runtime", "precision", "batch", "threads", "source")],
            "entries": {s: e.to_json() for s, e in self._entries.items()},
            "calibrations": self._calibrations,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def lookup(self, signature: str) -> Entry:
        """The entry of a signature.

        Raises:
            MissingEntry: there is none.
        """
        if signature not in self._entries:
            raise MissingEntry(signature, self.target, f"run `hwnas profile --target {self.target}`")
        return self._entries[signature]

    def require(self, signatures: Iterable[str]) -> None:
        """Check that every signature has an entry.

        Raises:
            MissingEntry: names the first that has none and counts the others.
        """
        absent = self.missing(signatures)
        if absent:
            way_out = f"run `hwnas profile --target {self.target}`"
            raise MissingEntry(absent[0], self.target, way_out, len(absent) - 1)

    def missing(self, signatures: Iterable[str], min_runs: int = 1) -> list[str]:
        """Those of `signatures` without an entry of at least `min_runs` timed runs, in their order."""
        return [
            s for s in dict.fromkeys(signatures)
            if s not in self._entries or self._entries[s].runs < min_runs
        ]

    def differs_from(self, fingerprint: Mapping[str, Any]) -> list[str]:
        """Why the numbers are not this device's, as 'field: table / device'; empty if they are.

        Args:
            fingerprint: of the device, as `Fingerprint.to_json` gives it. Fields that only one side has say nothing.
        """
        made = [] if self.source == "measured" else [f"source: {self.source} / measured"]
        merged = (f"merged in, {difference}" for part in self.header.get("merged_from", [])
                  for difference in headers.device_differences(part["device"], fingerprint))
        return [*made, *headers.device_differences(self.device, fingerprint), *merged]

    def add(self, entries: Iterable[Entry]) -> None:
        """Append entries, all in one write; each replaces the one that its signature had.

        Once this returns they are on the disk; if the process dies before, some or none of them are.

        Raises:
            InputError: an entry is malformed, or the file cannot be written; then none is added.
        """
        lines = [entry.to_json() for entry in entries]
        added = [Entry.from_json(line) for line in lines]
        with table_file.locked(self.path):
            table_file.append(self.path, lines)
        self._entries |= {entry.signature: entry for entry in added}

    def calibration(self, space_fingerprint: str) -> Calibration | None:
        """The last calibration that was made for a space, if any."""
        stored = self._calibrations.get(space_fingerprint)
        return Calibration.from_json(stored) if stored is not None else None

    def add_calibration(self, space_fingerprint: str, calibration: Calibration) -> None:
        """Append the calibration of a space; it replaces the one that the space had.

        Raises:
            InputError: the file cannot be written.
        """
        record = {**calibration.to_json(), "space": space_fingerprint, "when": now()}
        with table_file.locked(self.path):
            table_file.append(self.path, [{"calibration": record}])
        self._calibrations[space_fingerprint] = record

    def _take(self, line: Any, number: int) -> None:
        try:
            if isinstance(line, dict) and isinstance(line.get("calibration"), dict):
                record = line["calibration"]
                Calibration.from_json(record)
                self._calibrations[checked(RecordSchema, record, "the calibration").space] = record
            elif isinstance(line, dict):
                entry = Entry.from_json(line)
                self._entries[entry.signature] = entry
            else:
                raise InputError(f"expected an object, got {brief(line)}")
        except InputError as err:
            raise TableError(f"{self.path}, line {number}: {err}: repair or delete that line") from err

    def _check_target(self, target: Target) -> None:
        differing = headers.differences(self.header, headers.of_target(target, ""))
        if differing:
            raise TableError(
                f"{self.path} is not the table of {target} ({', '.join(differing)}): "
                "give the table of that target, or another path"
            )
