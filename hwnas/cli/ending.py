"""Being told to end: Ctrl-C, SIGTERM and SIGHUP stop the work, wherever it is, as an exception that a command explains.

An exception that a signal raises can be lost: the start of a module written in Cython clears whatever a call of its own
raised (the import of numpy.random does, seen when one of thirty campaigns that were told to end went on for ten
minutes). So an exception that is gone while the work goes on is raised again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import weakref
from collections.abc import Iterator
from types import FrameType

AGAIN_SECONDS = 0.05


class Interrupted(KeyboardInterrupt):
    """Ctrl-C."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__()


class Terminated(Interrupted):
    """The process was told to end: what works on something stops as at Ctrl-C, and says how to go on."""


@contextlib.contextmanager
def told_to_end() -> Iterator[None]:
    """SIGINT, SIGTERM, and SIGHUP unless nohup ignores it, raise Interrupted meanwhile, and again if that is lost."""
    working = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        err = Interrupted(number) if number == signal.SIGINT else Terminated(number)
        weakref.finalize(err, again, number).atexit = False
        try:
            raise err
        finally:
            del err  # this frame is in its traceback: with the name it would hold itself

    def again(number: int) -> None:
        if working.is_set():
            timer = threading.Timer(AGAIN_SECONDS, send, [number])  # not from here, where it would be lost as well
            timer.daemon = True
            timer.start()

    def send(number: int) -> None:
        if working.is_set():
            os.kill(os.getpid(), number)

    before = {}
    if threading.current_thread() is threading.main_thread():
        usual = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_DFL}
        for name, handler in usual.items():
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is handler:
                before[number] = signal.signal(number, end)
    working.set()
    try:
        yield
    finally:
        working.clear()
        for number, handler in before.items():
            signal.signal(number, handler)
