"""How many labels a run can afford before its time is up."""

from __future__ import annotations

import time

_FEWEST = 64
_FIRST_RATE = 200_000.0  # labels per second, before anything was measured


class TimeLimit:
    """A deadline, and the rate at which labels were made so far.

    Args:
        seconds: until the deadline, from now; None for none.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self._start = self._last = time.monotonic()
        self._end = None if seconds is None else self._start + seconds
        self._made, self._spent = 0, 0.0

    @property
    def over(self) -> bool:
        """Whether the deadline has passed."""
        return self._end is not None and time.monotonic() >= self._end

    @property
    def left(self) -> float | None:
        """Seconds until the deadline; None for no deadline."""
        return None if self._end is None else max(self._end - time.monotonic(), 0.0)

    def made(self, labels: int) -> None:
        """Count the labels made since the last call."""
        now = time.monotonic()
        self._made, self._spent, self._last = self._made + labels, self._spent + now - self._last, now

    def affordable(self, most: int, layers: int, width: int) -> int:
        """Labels to keep, `most` of them or fewer, when `layers` layers of `width` operations are to come."""
        left = self.left
        if left is None:
            return most
        rate = self._made / self._spent if self._made > 1000 else _FIRST_RATE
        return min(most, max(int(left * rate / max(layers * width, 1)), _FEWEST))
