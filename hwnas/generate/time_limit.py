"""A deadline: how much work still fits before it, and the end of work that does not."""

from __future__ import annotations

import time

_FEWEST = 64  # labels that are always kept
_FIRST_RATE = 2e6  # labels per second, before anything was measured
_MEASURED = 10_000  # labels after which the rate is believed
_PER_ELEMENT = 1.5e-7  # seconds that one pass of sorting and filtering takes per element, rather more than less
GRACE = 0.12  # seconds beyond the deadline that a search without an answer may take
_AFTERWARDS = 0.03  # seconds kept for putting the answer together


class TimeIsUp(Exception):
    """The deadline has passed, or what comes next would pass it."""


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

    def part(self, share: float) -> TimeLimit:
        """A deadline after a share of the time that is left."""
        left = self.left
        return TimeLimit(None if left is None else share * left)

    def check(self, elements: int = 0, grace: float = 0.0) -> None:
        """Go on only if an array of so many elements can be made, sorted and filtered in time.

        Args:
            grace: seconds allowed beyond the deadline, for what is needed to have an answer at all.

        Raises:
            TimeIsUp: it cannot.
        """
        if self._end is not None and time.monotonic() + elements * _PER_ELEMENT + _AFTERWARDS >= self._end + grace:
            raise TimeIsUp

    def made(self, labels: int) -> None:
        """Count the labels made since the last call."""
        now = time.monotonic()
        self._made, self._spent, self._last = self._made + labels, self._spent + now - self._last, now

    def affordable(self, most: int, layers: int, width: int, fewest: int = _FEWEST) -> int:
        """Labels to keep, at most `most`, at least `fewest`, when `layers` layers of `width` operations are to come."""
        left = self.left
        if left is None:
            return most
        rate = self._made / self._spent if self._made > _MEASURED else _FIRST_RATE
        return min(most, max(int(left * rate / max(layers * width, 1)), fewest))
