"""One line of a latency table: what one signature costs: an op or a unit in a precision, or a change between two.

A unit is some nodes of a user's own network (`hwnas.surgery.unit`). Its time is that of its graph alone, floats in and
out; that of an op is what it adds inside a network.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from hwnas.errors import InputError
from hwnas.space import Change, Op
from hwnas.space.change import is_change
from hwnas.target import Precision
from hwnas.validation import MOST_MS, Count, Milliseconds, Name, Schema, checked

UNIT = re.compile(r"unit [\dx]{1,80}>[\dx]{1,80} [0-9a-f]{12}")
LEAST_MS = 1e-6  # a nanosecond, the last digit that is written; 0 is an op that a runtime fuses into another
_TOLERANCE = 1e-3  # of a time: percentiles are rounded, and taken of other samples than the median


# what a block costs is a difference of two times: tables of 0.1.0 hold quantiles below 0
Quantile = Annotated[float, Field(ge=-MOST_MS, le=MOST_MS)]


class EntrySchema(Schema):
    """The keys of an entry's line."""

    signature: Annotated[str, Field(max_length=200)]
    median_ms: Milliseconds
    p10_ms: Quantile
    p90_ms: Quantile
    runs: Count
    when: Name
    precision: Precision | None = None


def now() -> str:
    """UTC, to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Entry:
    """What one signature costs: milliseconds, from how many timed runs, and when (ISO 8601, or '').

    Args:
        precision: '' where it is that of the table, and of a change between two.
    """

    signature: str
    median_ms: float
    p10_ms: float
    p90_ms: float
    runs: int
    when: str
    precision: str = ""

    @property
    def is_change(self) -> bool:
        """Whether it is of a change of precision, not of an op."""
        return is_change(self.signature)

    @property
    def is_unit(self) -> bool:
        """Whether it is of a unit of a user's own network."""
        return UNIT.fullmatch(self.signature) is not None

    @property
    def is_op(self) -> bool:
        """Whether it is of an op of a space."""
        return not self.is_change and not self.is_unit

    def moved(self, before: str, after: str) -> Entry:
        """The same in a table of another precision than the one it comes from; it says its own where it differs."""
        own = self.precision or before
        return self if self.is_change else replace(self, precision="" if own == after else own)

    def to_json(self) -> dict[str, Any]:
        """One line of the table; times rounded to a nanosecond, a precision only where it is not the table's."""
        line = {k: round(v, 6) if k.endswith("_ms") else v for k, v in asdict(self).items()}
        return line if self.precision else {k: v for k, v in line.items() if k != "precision"}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Entry:
        """Read one line.

        Raises:
            InputError: a field is missing, of the wrong type or out of range, the percentiles are not in order, the
                signature is none, or a change says a precision.
        """
        found = checked(EntrySchema, data, "the entry")
        entry = cls(found.signature, found.median_ms, found.p10_ms, found.p90_ms, found.runs, found.when,
                    found.precision or "")
        low, high = entry.median_ms * (1 - _TOLERANCE) - LEAST_MS, entry.median_ms * (1 + _TOLERANCE) + LEAST_MS
        if not (entry.p10_ms <= high and low <= entry.p90_ms):
            raise InputError(f"p10_ms <= median_ms <= p90_ms is needed, not {entry.p10_ms:g}, {entry.median_ms:g}, "
                             f"{entry.p90_ms:g}")
        if 0 < entry.median_ms < LEAST_MS:
            raise InputError(f"median_ms must be 0 or at least a nanosecond (1e-6), not {entry.median_ms:g}")
        if entry.is_unit:
            return entry
        if not entry.is_change:
            Op.parse(entry.signature)
            return entry
        Change.parse(entry.signature)
        if entry.precision:
            raise InputError(f"a change is between two precisions and of neither; leave out precision "
                             f"{entry.precision!r} of {entry.signature!r}")
        return entry
