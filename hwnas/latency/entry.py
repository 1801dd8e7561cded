"""One line of a latency table: what one signature costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from hwnas.errors import InputError
from hwnas.space import Op


def now() -> str:
    """UTC, to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Entry:
    """What one signature costs inside a network: milliseconds, from how many timed runs, and when (ISO 8601, or '')."""

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
        except (KeyError, TypeError, ValueError, OverflowError) as err:
            raise InputError(f"incomplete entry ({err!r})") from err
        if not 0 <= entry.median_ms < float("inf"):
            raise InputError(f"median_ms must be a number of milliseconds, 0 or more; got {entry.median_ms}")
        Op.parse(entry.signature)
        return entry
