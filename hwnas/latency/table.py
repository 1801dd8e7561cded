"""Latency tables: JSON Lines, one file per target and what makes its numbers differ.

The first line is the header, every other line an entry of one signature or a calibration of one space, in the
precision that the header says or in one of its own. Lines are appended and the last one wins, so a killed run keeps
what it had; a torn last line is left out. How the lines reach the disk is in `table_file`, what the header says in
`header`, what is kept of the lines in `table_content`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hwnas.documents import MOST_BYTES
from hwnas.errors import InputError, MissingEntry, TableError
from hwnas.files import read_lines
from hwnas.latency import header as headers
from hwnas.latency import table_file
from hwnas.latency.calibrate import Calibration
from hwnas.latency.entry import Entry, now
from hwnas.latency.table_content import CALM, UNITS, Content
from hwnas.target import Target


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
        self._content = Content(str(header["precision"]))

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
        calibrations: Iterable[Mapping[str, Any]] = (),
    ) -> Table:
        """A table in memory; `to_lines` says what its file would hold.

        Args:
            entries: those that say no precision are of the header's.
            calibrations: records, as `every_calibration` gives them.
        """
        table = cls(path, header)
        for entry in entries:
            table._content.take_entry(entry)
        for record in calibrations:
            table._content.take_calibration(record)
        return table

    def to_lines(self) -> list[dict[str, Any]]:
        """Header, entries and calibrations: the lines of a file that holds this table and no history."""
        header = {**self.header, "hwnas_table": headers.SEVERAL} if self._content.several else self.header
        return [header, *self._content.lines()]

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
        """Signature -> its last entry, of ops in the table's own precision."""
        return self._content.of(None)

    def entries_in(self, precision: str) -> dict[str, Entry]:
        """Signature -> its last entry, of ops in one precision."""
        return self._content.of(precision)

    @property
    def changes(self) -> dict[str, Entry]:
        """Signature of a `hwnas.space.Change` -> its last entry."""
        return {signature: entry for (signature, _), entry in self._content.entries.items() if entry.is_change}

    def units_in(self, precision: str | None = None) -> dict[str, Entry]:
        """Signature of a unit of a user's own network -> its last entry; None for the table's own precision."""
        wanted = self._content.key(precision)
        return {s: entry for (s, said), entry in self._content.entries.items() if said == wanted and entry.is_unit}

    @property
    def units_kernel_ms(self) -> float:
        """What the reference kernel took at the speed that units are given at; 0 where nothing says."""
        kept = self.calibration(UNITS)
        return kept.kernel_ms if kept else 0.0

    def keep_units_kernel(self, kernel_ms: float) -> None:
        """Append what the reference kernel took at the speed that units are given at.

        Raises:
            InputError: the file cannot be written.
        """
        self.add_calibration(UNITS, Calibration(kernel_ms=kernel_ms))

    @property
    def calm_kernel_ms(self) -> float:
        """The least that the reference kernel took while ops or units of this table were timed; 0 where nothing says.

        That is no speed that entries are given at: a campaign that met a calmer machine is tied to the entries before.
        """
        kept = self.calibration(CALM)
        return min(filter(None, (kept.kernel_ms if kept else 0.0, self.units_kernel_ms)), default=0.0)

    def keep_calm_kernel(self, kernel_ms: float) -> None:
        """Append what the reference kernel took, if that is less than ever before.

        Raises:
            InputError: the file cannot be written.
        """
        if not 0 < self.calm_kernel_ms <= kernel_ms:
            self.add_calibration(CALM, Calibration(kernel_ms=round(kernel_ms, 6)))

    @property
    def every_entry(self) -> dict[str, Entry]:
        """Signature, with the precision behind it where it is not the table's own -> entry; changes as well."""
        return self._content.labelled

    @property
    def precisions(self) -> tuple[str, ...]:
        """The table's own precision, then the others that ops have entries in."""
        return self._content.precisions

    @property
    def calibration_records(self) -> dict[str, dict[str, Any]]:
        """Space fingerprint -> the last calibration made for it in the table's own precision, with its date."""
        return {space: record for (space, precision), record in self._content.of_spaces.items() if not precision}

    @property
    def every_calibration(self) -> tuple[dict[str, Any], ...]:
        """The last calibration of every space in every precision; a record says its precision where it is another."""
        return tuple(self._content.of_spaces.values())

    @property
    def content_hash(self) -> str:
        """sha256 over target, entries and calibrations: equal hashes predict equal latencies."""
        return self._content.digest(
            [self.header[k] for k in ("target", "runtime", "precision", "batch", "threads", "source")])

    def lookup(self, signature: str, precision: str | None = None) -> Entry:
        """The entry of a signature.

        Args:
            precision: None for the table's own, and for a change.

        Raises:
            MissingEntry: there is none.
        """
        self.require([signature], precision)
        return self._content.entries[signature, self._content.key(precision)]

    def require(self, signatures: Iterable[str], precision: str | None = None) -> None:
        """Check that every signature has an entry.

        Raises:
            MissingEntry: names the first that has none and counts the others.
        """
        absent = self.missing(signatures, precision=precision)
        if absent:
            asked = f" --precision {precision}" if precision is not None and self._content.key(precision) else ""
            way_out = f"run `hwnas profile --target {self.target}{asked}`"
            raise MissingEntry(absent[0], self.target, way_out, len(absent) - 1)

    def missing(self, signatures: Iterable[str], min_runs: int = 1, precision: str | None = None) -> list[str]:
        """Those of `signatures` without an entry of at least `min_runs` timed runs, in their order."""
        held, wanted = self._content.entries, self._content.key(precision)
        return [s for s in dict.fromkeys(signatures) if (s, wanted) not in held or held[s, wanted].runs < min_runs]

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
        """Append entries, all in one write; each replaces the one that its signature had in its precision.

        The first of another precision than the table's own, or of a change, makes the file one of schema 2.

        Once this returns they are on the disk; if the process dies before, some or none of them are.

        Raises:
            InputError: an entry is malformed, or the file cannot be written; then none is added.
        """
        added = Content(self._content.precision)
        for entry in entries:
            added.take_entry(Entry.from_json(entry.to_json()))
        self._append(added)

    def calibration(self, space_fingerprint: str, precision: str | None = None) -> Calibration | None:
        """The last calibration that was made for a space in a precision, if any; None for the table's own."""
        stored = self._content.calibrations.get((space_fingerprint, self._content.key(precision)))
        return Calibration.from_json(stored) if stored is not None else None

    def add_calibration(
        self, space_fingerprint: str, calibration: Calibration, precision: str | None = None
    ) -> None:
        """Append the calibration of a space in a precision; it replaces the one that the space had in it.

        Raises:
            InputError: the file cannot be written.
        """
        record = {**calibration.to_json(), "space": space_fingerprint, "when": now()}
        added = Content(self._content.precision)
        added.take_calibration(record if precision is None else {**record, "precision": precision})
        self._append(added)

    def _append(self, added: Content) -> None:
        schema = max(headers.SEVERAL if added.several else headers.SCHEMA, self.header["hwnas_table"])
        with table_file.locked(self.path):
            if schema > self.header["hwnas_table"]:
                table_file.append_to(self.path, added.lines(), schema)
            else:
                table_file.append(self.path, added.lines())
        self.header["hwnas_table"] = schema
        self._content.entries |= added.entries
        self._content.calibrations |= added.calibrations

    def _take(self, line: Any, number: int) -> None:
        try:
            self._content.take(line)
        except InputError as err:
            raise TableError(f"{self.path}, line {number}: {err}: repair or delete that line") from err

    def _check_target(self, target: Target) -> None:
        differing = headers.differences(self.header, headers.of_target(target, ""))
        if differing:
            raise TableError(
                f"{self.path} is not the table of {target} ({', '.join(differing)}): "
                "give the table of that target, or another path"
            )
