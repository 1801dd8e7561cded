"""How long work is shown: bars with the time left on a terminal, a line now and then in a pipe. On standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hwnas.documents import printable

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

WAITING = "waiting for "  # how work begins that another process does
BESIDE = "beside: "  # how work begins that is done at the same time as other work
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
    """One bar, whatever is being done now, and one of what is done beside it."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars
        self._now: dict[bool, tuple[str, TaskID]] = {}  # whether it is done beside -> work, bar

    def progress(self, what: str, done: int, total: int) -> None:
        """Move a bar, or begin another."""
        aside = what.startswith(BESIDE)
        if aside not in self._now or what != self._now[aside][0]:
            self._clear(aside)
            self._now[aside] = what, self._bars.add_task(printable(what), total=total or None)
        self._bars.update(self._now[aside][1], completed=done)

    def say(self, text: str) -> None:
        """A line above the bars, which are done with."""
        from rich.text import Text

        for aside in list(self._now):
            self._clear(aside)
        self._bars.console.print(Text(printable(text)), soft_wrap=True)

    def _clear(self, aside: bool) -> None:
        if aside in self._now:
            self._bars.remove_task(self._now.pop(aside)[1])


@dataclass
class _Work:
    """What is being done, since when, and when it was last spoken of; `first` was done at the beginning."""

    what: str
    began: float
    last: float
    first: int


class Lines:
    """At most a line every ten seconds, with an estimate of the time left."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, every: float = EVERY_SECONDS) -> None:
        self._clock, self._every = clock, every
        self._now: dict[bool, _Work] = {}  # whether it is done beside other work

    def progress(self, what: str, done: int, total: int) -> None:
        """Say how far it is, if the last word on it is old enough."""
        now, aside = self._clock(), what.startswith(BESIDE)
        work = self._now.get(aside)
        if work is None or what != work.what:
            self._now[aside] = _Work(what, now, now, done)
            if what.startswith(WAITING):  # said at once: nothing is being done that could be seen otherwise
                self.note(f"  {what}", aside)
        elif now - work.last >= self._every and done < total:
            work.last = now
            rate = (done - work.first) / (now - work.began)
            left = f", about {duration((total - done) / rate)} left" if rate > 0 else ""
            self.note(f"  {what}: {done} of {total}{left}", aside)

    def note(self, text: str, aside: bool) -> None:
        """How far it is; `aside`: what is done beside other work."""
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
