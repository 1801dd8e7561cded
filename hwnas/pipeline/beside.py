"""A process beside this one, which does another stage of the same run at the same time.

Threads make the training of a small network hardly faster: two such trainings at once, each with half of the threads,
are done in little more than the time of one. So what does not need the other's result is done side by side where that
pays (`hwnas.pipeline.shares`). With how many threads a stage computes is kept in the run, and does not depend on
whether another was done beside it: the weights are the same bit for bit.

The process is told what to do by lines of JSON, and answers with such lines how far it is, what trackers are to be
told, and what it found. It reads the run folder and writes the files of its stage; run.json is written here alone. It
is heard whenever this process tells its own progress, so that hooks and trackers are called in one thread. It ends
with this process, however that ends; if it ends itself, this process stops with an error, and the run can be resumed.
`hwnas.pipeline.helping` is what it does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import IO, Any

from hwnas import errors
from hwnas.errors import HwnasError
from hwnas.pipeline.display.watch import BESIDE
from hwnas.progress import Progress, silent
from hwnas.tracking.tracker import Track, untracked

START = "import sys; sys.path[:] = sys.argv[1:]; from hwnas.pipeline.helping import main; main()"
_Heard = tuple[float, dict[str, Any] | None]  # when, and what; None at the end
_EVERY_SECONDS = 0.5  # between two looks whether Ctrl-C was pressed, where that does not wake a thread that waits


class Beside:
    """One process, started when there is something for it to do.

    Args:
        progress: told how far this process is, and how far the other is, under names that begin with `BESIDE`.

    Attributes:
        working: what is done beside this process now; empty for nothing.
    """

    def __init__(self, progress: Progress = silent) -> None:
        self._progress = progress
        self._process: subprocess.Popen[bytes] | None = None
        self._heard: SimpleQueue[_Heard] = SimpleQueue()
        self._told: Track = untracked
        self._found: tuple[dict[str, Any], float] | None = None
        self._began = 0.0
        self.working = ""

    def progress(self, what: str, done: int, total: int) -> None:
        """How far this process is; what the other has said since is passed on first.

        Raises:
            HwnasError: what ended the other, or that it is gone.
        """
        self._hear()
        self._progress(what, done, total)

    def begin(self, work: str, order: Mapping[str, Any], told: Track) -> None:
        """Have something done at the same time.

        Args:
            work: its name, for people.
            order: what `hwnas.pipeline.helping` does, as JSON.
            told: called with the points that trackers are to be told.

        Raises:
            HwnasError: no process can be started.
        """
        assert not self.working, f"{self.working} is being done"
        if self._process is None:
            self._process = self._started()
        self.working, self._began, self._told, self._found = work, time.monotonic(), told, None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it is gone, which is heard soon
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def found(self) -> tuple[dict[str, Any], float]:
        """What was found beside this process, and the seconds that it took; waits until that is done.

        Raises:
            HwnasError: as `progress`.
        """
        while self._found is None:
            self._hear(wait=True)
        self.working = ""
        return self._found

    def end(self) -> None:
        """Leave off whatever is done beside this process."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
        self._process, self.working, self._heard = None, "", SimpleQueue()

    def _started(self) -> subprocess.Popen[bytes]:
        options = [f"-W{option}" for option in sys.warnoptions]
        try:  # not by multiprocessing, which would run the script again that called this
            process = subprocess.Popen([sys.executable, "-P", *options, "-c", START, *sys.path],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        except OSError as err:
            raise HwnasError(f"no process can be started beside this one ({err}): take --one-by-one") from err
        assert process.stdout is not None
        threading.Thread(target=_listen, args=(process.stdout, self._heard), daemon=True).start()
        return process

    def _hear(self, wait: bool = False) -> None:
        """Take in what was said; with `wait` at least one thing."""
        while self.working and self._found is None:
            try:
                said = self._heard.get(wait, _EVERY_SECONDS)
            except Empty:
                if wait:
                    continue
                return
            self._take(*said)
            wait = False

    def _take(self, at: float, said: Mapping[str, Any] | None) -> None:
        if said is None:
            raise self._gone()
        if "progress" in said:
            what, done, total = said["progress"]
            self._progress(BESIDE + what, done, total)
        elif "point" in said:
            self._told(*said["point"])
        elif "error" in said:
            raise error_of(said["error"])
        else:
            self._found = dict(said["found"]), at - self._began

    def _gone(self) -> HwnasError:
        assert self._process is not None
        code = self._process.wait()
        how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with status {code}"
        return HwnasError(f"the process that did {self.working} beside this one {how}: go on with the run, it loses "
                          "nothing; --one-by-one does without such a process and takes less memory")


@contextlib.contextmanager
def beside(progress: Progress) -> Iterator[Beside]:
    """Inside the block things can be done beside this process; what is not done at its end is left off."""
    found = Beside(progress)
    try:
        yield found
    finally:
        found.end()


def _listen(pipe: IO[bytes], heard: SimpleQueue[_Heard]) -> None:
    """A thread: the other never waits for this process to listen."""
    with contextlib.suppress(ValueError, OSError):  # the pipe was closed here
        for line in pipe:
            heard.put((time.monotonic(), json.loads(line)))
    heard.put((time.monotonic(), None))


def told_of(err: Exception) -> dict[str, Any]:
    """An error as JSON, for `error_of`."""
    found = {"kind": type(err).__name__, "text": str(err), "notes": list(getattr(err, "__notes__", ()))}
    if isinstance(err, HwnasError):
        return {**found, "code": err.exit_code}
    return {**found, "errno": err.errno, "file": err.filename} if isinstance(err, OSError) else found


def error_of(told: Mapping[str, Any]) -> Exception:
    """The error that another process told of: of its class, or the nearest one that is made of a message alone."""
    known = getattr(errors, told["kind"], None)
    error: Exception
    if isinstance(known, type) and issubclass(known, HwnasError):
        plain = next(each for each in known.__mro__ if "__init__" not in vars(each))
        error = plain(told["text"])
        error.exit_code = told["code"]  # type: ignore[attr-defined]
    elif told.get("errno") is not None:
        error = OSError(told["errno"], os.strerror(told["errno"]), told["file"])
    else:
        error = RuntimeError(f"{told['kind']}: {told['text']}")
    for note in told["notes"]:
        error.add_note(note)
    return error
