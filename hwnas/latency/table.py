"""Latency tables: JSON Lines, one file per target and what makes its numbers differ.

The first line is the header, every other line an entry of one signature or a calibration of one space. Lines are
only ever appended and the last one wins, so a killed run keeps what it had; a torn last line is left out.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import filelock

from hwnas.errors import InputError, MissingEntry, TableError
from hwnas.files import append_line, read_lines
from hwnas.latency.calibrate import Calibration
from hwnas.space import Op
from hwnas.target import Target

SCHEMA = 1
SOURCES = ("measured", "estimated", "imported")
_LOCK_SECONDS = 30


def table_path(folder: Path, target: Target) -> Path:
    """Where a target's table lies: <folder>/<target name>/<target key>.jsonl."""
    return folder / target.name / f"{target.key}.jsonl"


def now() -> str:
    """UTC, to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Entry:
    """What one signature costs inside a network: milliseconds, and from how many timed runs."""

    signature: str
    median_ms: float
    p10_ms: float
    p90_ms: float
    runs: int
    when: str

    def to_json(self) -> dict[str, Any]:
        """One line of the table; times rounded to a nanosecond."""
        return {k: round(v, 6) if k.endswith("_ms") else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Entry:
        """Read one line.

        Raises:
            InputError: a field is missing, of the wrong type or negative, or the signature is none.
        """
        try:
            entry = cls(str(data["signature"]), float(data["median_ms"]), float(data["p10_ms"]),
                        float(data["p90_ms"]), int(data["runs"]), str(data["when"]))
        except (KeyError, TypeError, ValueError) as err:
            raise InputError(f"incomplete entry ({err!r})") from err
        if not 0 <= entry.median_ms < float("inf"):
            raise InputError(f"median_ms must be a number of milliseconds, 0 or more; got {entry.median_ms}")
        Op.parse(entry.signature)
        return entry


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
        """Read the table of `target`, or create it. Whether a table that exists is of this device is for the caller.

        Args:
            fingerprint: the device, as `Fingerprint.to_json` gives it; for a new table.
            source: 'measured', 'estimated' or 'imported', for a new table.

        Raises:
            TableError: the file is broken, of another schema or of another target.
            InputError: the folder is not writable.
        """
        with _locked(path):
            if not path.is_file() or not path.stat().st_size:
                append_line(path, _header(target, fingerprint, source))
        return cls.read(path, target)

    @classmethod
    def read(cls, path: Path, target: Target | None = None) -> Table:
        """Read a table without writing anything, e.g. one that ships.

        Raises:
            TableError: no such file, a broken line, another schema, or not the table of `target`.
        """
        try:
            lines = read_lines(path)
        except InputError as err:
            raise TableError(f"{err}. Fill a new table with {_way_out(target)}") from err
        if not lines or not isinstance(lines[0], dict) or lines[0].get("hwnas_table") != SCHEMA:
            found = lines[0].get("hwnas_table") if lines and isinstance(lines[0], dict) else None
            raise TableError(
                f"{path}, line 1: not a latency table of schema {SCHEMA} (found {found!r}): "
                f"move the file away and run {_way_out(target)}"
            )
        table = cls(path, lines[0])
        if target is not None:
            table._check_target(target)
        for number, line in enumerate(lines[1:], 2):
            table._take(line, number)
        return table

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

    def add(self, entries: Iterable[Entry]) -> None:
        """Append entries; each replaces the one that its signature had.

        Raises:
            InputError: the file cannot be written.
        """
        with _locked(self.path):
            for entry in entries:
                append_line(self.path, entry.to_json())
                self._entries[entry.signature] = Entry.from_json(entry.to_json())

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
        with _locked(self.path):
            append_line(self.path, {"calibration": record})
        self._calibrations[space_fingerprint] = record

    def _take(self, line: Any, number: int) -> None:
        try:
            if isinstance(line, dict) and isinstance(line.get("calibration"), dict):
                record = line["calibration"]
                Calibration.from_json(record)
                self._calibrations[str(record["space"])] = record
            elif isinstance(line, dict):
                entry = Entry.from_json(line)
                self._entries[entry.signature] = entry
            else:
                raise InputError(f"expected an object, got {type(line).__name__}")
        except (InputError, KeyError) as err:
            raise TableError(f"{self.path}, line {number}: {err}: repair or delete that line") from err

    def _check_target(self, target: Target) -> None:
        runtime = self.header.get("runtime")
        found = {
            "target": self.header.get("target"),
            "runtime": runtime.get("name") if isinstance(runtime, dict) else runtime,
            **{k: self.header.get(k) for k in ("precision", "batch", "threads")},
        }
        wanted = {"target": target.name, "runtime": target.runtime, "precision": target.precision,
                  "batch": target.batch, "threads": target.threads}
        differing = [f"{k}: {found[k]!r} / {v!r}" for k, v in wanted.items() if found[k] != v]
        if differing:
            raise TableError(
                f"{self.path} is not the table of {target} ({', '.join(differing)}): "
                "give the table of that target, or another path"
            )


def _header(target: Target, fingerprint: Mapping[str, Any], source: str) -> dict[str, Any]:
    if source not in SOURCES:
        raise TableError(f"source of a table must be one of {', '.join(SOURCES)}; got {source!r}")
    return {
        "hwnas_table": SCHEMA,
        "target": target.name,
        "runtime": {"name": target.runtime, "version": fingerprint.get("runtime_version", "")},
        "precision": target.precision,
        "batch": target.batch,
        "threads": target.threads,
        "device": dict(fingerprint),
        "source": source,
        "created": now(),
        "tool_version": _tool_version(),
    }


def _tool_version() -> str:
    try:
        return version("hwnas")
    except PackageNotFoundError:  # a checkout on the path, not installed
        return "unknown"


def _way_out(target: Target | None) -> str:
    return f"`hwnas profile --target {target.name}`" if target else "`hwnas profile`"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one process writes at a time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=_LOCK_SECONDS):
            yield
    except filelock.Timeout as err:
        raise TableError(f"{path} is being written by another process for {_LOCK_SECONDS} s: try again later") from err
    except OSError as err:
        raise InputError(f"cannot write {path}: {err.strerror or err}") from err
