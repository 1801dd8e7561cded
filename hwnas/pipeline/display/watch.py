"""How long work is shown: bars with the time left on a terminal, a line now and then in a pipe. On standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from hwnas.documents import printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

WAITING = "waiting for "  # how work begins that another process does
EVERY_SECONDS = 10.0  # between two lines about the same work in a pipe


class Watch(Protocol):
    """Told what is going on; see `hwnas.progress` and `StageHook`."""

    def progress(self, what: str, done: int, total: int) -> None: ...

    def say(self, text: str) -> None: ...


@contextmanager
def watching(lines: bool) -> Iterator[Watch]:
    """Bars if both outputs are a terminal, lines otherwise or if `lines` asks for them."""
    if lines or not (sys.stdout.isatty() and sys.stderr.isatty()):
        yield Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("  {task.description:<20}", markup=False), BarColumn(bar_width=30),
               TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
    console = Console(stderr=True, highlight=False, markup=False, emoji=False)
    with Progress(*columns, console=console, transient=True) as bars:
        yield Bars(bars)


class Bars:
    """One bar: whatever is being done now."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._what = ""

    def progress(self, what: str, done: int, total: int) -> None:
        """Move the bar, or begin another."""
        if self._task is None or what != self._what:
            self._clear()
            self._task, self._what = self._bars.add_task(printable(what), total=total or None), what
        self._bars.update(self._task, completed=done)

    def say(self, text: str) -> None:
        """A line above the bar, which is done with."""
        from rich.text import Text

        self._clear()
        self._bars.console.print(Text(printable(text)), soft_wrap=True)

    def _clear(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._task = None


class Lines:
    """At most a line every ten seconds, with an estimate of the time left."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, every: float = EVERY_SECONDS) -> None:
        self._clock, self._every = clock, every
        self._what = ""
        self._began = self._last = clock()
        self._first = 0

    def progress(self, what: str, done: int, total: int) -> None:
        """Say how far it is, if the last word on it is old enough."""
        now = self._clock()
        if what != self._what:
            self._what, self._began, self._last, self._first = what, now, now, done
            if what.startswith(WAITING):  # said at once: nothing is being done that could be seen otherwise
                self.note(f"  {what}")
        elif now - self._last >= self._every and done < total:
            self._last = now
            rate = (done - self._first) / (now - self._began)
            left = f", about {duration((total - done) / rate)} left" if rate > 0 else ""
            self.note(f"  {what}: {done} of {total}{left}")

    def note(self, text: str) -> None:
        """How far it is."""
        self.say(text)

    def say(self, text: str) -> None:
        """A line."""
        print(printable(text), file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """'8 s', '2 min 5 s', '1 h 20 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
