"""What a table holds: the last entry of every signature in every precision, and the last calibration of every space.

Units of users' own networks stand among the entries and take no part in what is said of ops.

A table says one precision in its header, its own. A line of an op or a calibration in another one says so; a line that
says none, or the table's own, is of that. A change between two precisions belongs to none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field

from hwnas.documents import brief
from hwnas.errors import InputError
from hwnas.latency.calibrate import Calibration
from hwnas.latency.entry import Entry
from hwnas.target import PRECISIONS, Precision
from hwnas.validation import Name, Schema, checked

UNITS = "units of own networks"
"""Stands for the space in the record that says at what speed of the device units were timed."""
CALM = "the device when it is calm"
"""Stands for the space in the record of what the reference kernel took when a campaign found it fastest."""


class RecordSchema(Schema):
    """What a line with a calibration says beside the coefficients."""

    space: Annotated[str, Field(max_length=200)]
    when: Name = ""
    precision: Precision | None = None


class Content:
    """Entries and calibrations, by what they are of; iteration is in the order in which they were first taken.

    Args:
        precision: the table's own.

    Attributes:
        entries: (signature, precision) -> entry; '' for the table's own precision and for changes.
        calibrations: (space fingerprint, precision) -> record, '' likewise.
    """

    def __init__(self, precision: str) -> None:
        self.precision = precision
        self.entries: dict[tuple[str, str], Entry] = {}
        self.calibrations: dict[tuple[str, str], dict[str, Any]] = {}

    def take(self, line: Any) -> None:
        """Read a line of the file.

        Raises:
            InputError: it is neither an entry nor a calibration that can be.
        """
        if isinstance(line, dict) and isinstance(line.get("calibration"), dict):
            Calibration.from_json(line["calibration"])
            self.take_calibration(line["calibration"])
        elif isinstance(line, dict):
            self.take_entry(Entry.from_json(line))
        else:
            raise InputError(f"expected an object, got {brief(line)}")

    def take_entry(self, entry: Entry) -> None:
        """Add or replace an entry."""
        entry = entry.moved(self.precision, self.precision)
        self.entries[entry.signature, entry.precision] = entry

    def take_calibration(self, record: Mapping[str, Any]) -> None:
        """Add or replace a calibration.

        Raises:
            InputError: the record says no space.
        """
        said = checked(RecordSchema, record, "the calibration")
        own = said.precision in (None, self.precision)
        kept = {key: value for key, value in record.items() if key != "precision" or not own}
        self.calibrations[said.space, "" if own else str(said.precision)] = kept

    @property
    def of_spaces(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The calibrations without what is kept of units and of the device."""
        return {key: record for key, record in self.calibrations.items() if key[0] not in (UNITS, CALM)}

    def key(self, precision: str | None) -> str:
        """How a precision stands in the keys of this content; None for the table's own."""
        return "" if precision in (None, self.precision) else str(precision)

    def of(self, precision: str | None) -> dict[str, Entry]:
        """Signature -> entry of every op in one precision."""
        wanted = self.key(precision)
        return {s: e for (s, said), e in self.entries.items() if said == wanted and e.is_op}

    @property
    def precisions(self) -> tuple[str, ...]:
        """The table's own precision, then the others that ops have entries in."""
        others = {said for (_, said), entry in self.entries.items() if said and entry.is_op}
        return self.precision, *(p for p in PRECISIONS if p in others)

    @property
    def several(self) -> bool:
        """Whether there is more than ops and calibrations of the table's own precision."""
        return any(said for _, said in (*self.entries, *self.calibrations)) or any(
            not entry.is_op for entry in self.entries.values())

    @property
    def labelled(self) -> dict[str, Entry]:
        """Text that names signature and precision -> entry: the bare signature where the precision is the table's."""
        return dict(zip(_labels(self.entries), self.entries.values(), strict=True))

    def lines(self) -> list[dict[str, Any]]:
        """Entries and calibrations, as lines of a file."""
        calibrations = ({"calibration": record} for record in self.calibrations.values())
        return [*(entry.to_json() for entry in self.entries.values()), *calibrations]

    def digest(self, target: list[Any]) -> str:
        """sha256 over a target, the entries of ops and changes, and the calibrations."""
        content = {
            "target": target,
            "entries": {label: entry.to_json() for label, entry in self.labelled.items() if not entry.is_unit},
            "calibrations": dict(zip(_labels(self.of_spaces), self.of_spaces.values(), strict=True)),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _labels(keys: Iterable[tuple[str, str]]) -> list[str]:
    return [f"{name} in {precision}" if precision else name for name, precision in keys]
