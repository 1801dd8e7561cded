"""The agent behind a connection: commands come in on one pipe, answers and sweeps go out on another, a JSON line each.

    {"do": "open", "setup": .., "lease_s": .., "previous": ..}   -> {"say": "opened", "device": .., "folder": ..,
                                                                    "stored": [sha256, ..]}
    {"do": "put", "sha256": .., "size": n} and n bytes           -> nothing; an error if it fails
    {"do": "load", "part": ..}                                   -> {"say": "loaded", "done": i, "total": n} ..,
                                                                    {"say": "ready"}
    {"do": "go", "first": n}                                     -> {"say": "sweep", "sweep": ..} without end
    {"do": "beat"}                                               -> nothing
    {"do": "bye"}                                                -> {"say": "bye"}; the folder is gone, the agent ends

There are no others: nothing is executed, no path is taken from outside. Anything wrong is {"say": "error", "message":
..}, and the agent ends. Sweeps are streamed, not asked for one by one: a processor that waits for an answer slows down.

A connection that closes without 'bye', or is silent for `lease_s`, counts as lost: the agent stops measuring, waits
`lease_s` for another agent to take its job over (models and sweeps are moved away under it), and then removes its
folder and ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import select
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hwnas.documents import MOST_BYTES, brief, json_value
from hwnas.errors import HwnasError, InputError
from hwnas.runtime.agent_job import Job, Part, Setup, check_digest
from hwnas.runtime.agent_store import Store
from hwnas.runtime.fingerprint import Fingerprint
from hwnas.runtime.local import Sampler
from hwnas.runtime.pinning import pinned
from hwnas.runtime.runtime import Runtime

PREFIX = "hwnas-agent-"
_FOLDER = re.compile(PREFIX + r"[A-Za-z0-9_]+\Z")
_STALE_SECONDS = 3600.0  # a folder that nobody touched for so long belongs to an agent that was killed
_LARGEST = 2**32
_BLOCK = 1 << 16
_IDLE_SECONDS = 0.5


class Lost(Exception):
    """The other end is gone."""


class Incoming:
    """Lines and blocks of bytes from a pipe, with a limit on silence."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self._kept = pipe, b""
        self.patience_s = 60.0

    def line(self) -> bytes:
        """The next line without its end."""
        while b"\n" not in self._kept:
            if len(self._kept) > MOST_BYTES:
                raise InputError(f"a command is at most {MOST_BYTES} bytes long")
            self._kept += self._read()
        line, _, self._kept = self._kept.partition(b"\n")
        return line

    def blocks(self, size: int) -> Iterator[bytes]:
        """The next `size` bytes."""
        while size:
            block = self._kept[:size] or self._read()
            self._kept = self._kept[size:] if self._kept else block[size:]
            yield block[:size]
            size -= len(block[:size])

    def _read(self) -> bytes:
        ready, _, _ = select.select([self._pipe], [], [], self.patience_s)
        block = os.read(self._pipe, _BLOCK) if ready else b""
        if not block:
            raise Lost
        return block


class Server:
    """One agent on one connection.

    Args:
        folder: its own folder, made for it and empty but for the agent itself.
        incoming, outgoing: the pipes.
    """

    def __init__(self, folder: Path, incoming: int, outgoing: int) -> None:
        self._folder, self._store = folder, Store(folder / "job")
        self._incoming, self._outgoing = Incoming(incoming), outgoing
        self._commands: queue.Queue[dict[str, Any]] = queue.Queue()
        self._lost = threading.Event()
        self._pin = contextlib.ExitStack()  # until the process ends
        self._setup: Setup | None = None
        self._runtime: Runtime | None = None
        self._sampler: Sampler | None = None
        self._part: Part | None = None

    def run(self) -> None:
        """Serve until the end of the process."""
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        signal.signal(signal.SIGHUP, lambda *_: self._end())
        remove_stale(self._folder)
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            while not self._lost.is_set():
                # a signal that comes just before a wait without end would be handled after it
                with contextlib.suppress(queue.Empty):
                    self._obey(self._commands.get(timeout=_IDLE_SECONDS))
        except Lost:
            self._lost.set()
        except (HwnasError, MemoryError) as err:
            self._fail(str(err) or "out of memory")
        except Exception as err:  # a defect of the agent: tell it, rather than a broken pipe without a word
            self._fail(f"the agent failed: {type(err).__name__}: {err}")
        self._sampler = self._runtime = None
        while True:  # the listener ends the process
            time.sleep(_IDLE_SECONDS)

    def _obey(self, command: dict[str, Any]) -> None:
        actions = {"open": self._open, "load": self._load, "go": self._go}
        name = str(command.get("do"))
        if name not in actions:
            raise InputError(f"unknown command {brief(name)}; known: {', '.join([*actions, 'put', 'beat', 'bye'])}")
        actions[name](command)

    def _open(self, command: dict[str, Any]) -> None:
        self._setup = Setup.from_json(command.get("setup", {}))
        if command.get("previous") is not None:
            take_over(self._folder, command["previous"])
        self._pin.enter_context(pinned(self._setup.cores))
        self._runtime = self._setup.open()
        self._say({"say": "opened", "device": Fingerprint.of(self._runtime).to_json(), "folder": self._folder.name,
                   "stored": self._store.stored()})

    def _load(self, command: dict[str, Any]) -> None:
        if self._setup is None or self._runtime is None:
            raise InputError("'load' comes after 'open'")
        self._part = part = Part.from_json(command.get("part", {}))
        self._sampler = Sampler(self._runtime, part.plan, self._setup.cores)
        for done, (name, model) in enumerate(part.models.items(), 1):
            if self._lost.is_set():
                raise Lost
            self._sampler.load(name, self._store.model(model))
            self._say({"say": "loaded", "done": done, "total": len(part.models)})
        self._say({"say": "ready"})

    def _go(self, command: dict[str, Any]) -> None:
        if self._setup is None or self._runtime is None or self._sampler is None or self._part is None:
            raise InputError("'go' comes after 'load'")
        device = Fingerprint.of(self._runtime)
        first = int(number(command, "first"))
        for sweep in self._store.begin(Job(self._setup, (self._part,)), device):
            if sweep["number"] >= first:
                self._say({"say": "sweep", "sweep": sweep})
                first = sweep["number"] + 1
        for made in self._sampler.sweeps(first):
            if self._lost.is_set():
                raise Lost
            self._store.append(made.to_json())
            self._say({"say": "sweep", "sweep": made.to_json()})

    def _listen(self) -> None:
        """Take commands in; runs beside the measuring and sleeps nearly always."""
        try:
            while True:
                command = json_value(self._incoming.line(), "the agent did not understand: the command")
                if not isinstance(command, dict):
                    raise InputError(f"a command is a JSON object; got {brief(command)}")
                (self._folder / "alive").touch()
                name = command.get("do")
                if name == "open":
                    self._incoming.patience_s = number(command, "lease_s")
                if name == "bye":
                    self._end(b'{"say": "bye"}\n')
                elif name == "put":
                    self._put(command)
                elif name != "beat":
                    self._commands.put(command)
        except Lost:
            self._wait_for_heir()
        except (HwnasError, OSError, ValueError) as err:
            self._fail(str(err) if isinstance(err, HwnasError) else f"the agent did not understand: {err}")

    def _put(self, command: dict[str, Any]) -> None:
        name, size = check_digest(command.get("sha256")), int(number(command, "size"))
        self._store.put(name, self._incoming.blocks(size))

    def _wait_for_heir(self) -> None:
        self._lost.set()
        until = time.monotonic() + self._incoming.patience_s
        while time.monotonic() < until and self._store.folder.exists():
            time.sleep(0.2)
        self._end()

    def _say(self, answer: dict[str, Any]) -> None:
        data = (json.dumps(answer) + "\n").encode()
        try:
            while data:
                data = data[os.write(self._outgoing, data):]
        except OSError as err:
            raise Lost from err

    def _fail(self, message: str) -> None:
        self._end((json.dumps({"say": "error", "message": message}) + "\n").encode())

    def _end(self, last_words: bytes = b"") -> None:
        """Remove the folder and end the process at once, whatever the other thread is doing."""
        for _ in range(3):  # the other thread may be writing there
            remove(self._folder)
        with contextlib.suppress(OSError):
            os.write(self._outgoing, last_words)
        os._exit(0)


def number(command: dict[str, Any], name: str) -> float:
    """A number from 0 to `_LARGEST` in a command.

    Raises:
        InputError: it is not there or is something else.
    """
    value = command.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _LARGEST:
        raise InputError(f"{name!r} of {command.get('do')!r} must be a number from 0 to {_LARGEST}; got {brief(value)}")
    return value


def take_over(folder: Path, previous: Any) -> None:
    """Move the job of an agent that lost its connection into `folder`; the rename is what tells it.

    Raises:
        InputError: `previous` is no name of an agent's folder.
    """
    if not isinstance(previous, str) or not _FOLDER.match(previous):
        raise InputError(f"not the folder of an agent: {brief(previous)}")
    try:
        os.rename(folder.parent / previous / "job", folder / "job")
    except OSError:
        return  # it is gone: its lease ran out, or the device was started anew
    remove(folder.parent / previous)


def remove(folder: Path) -> None:
    """Remove an agent's folder, and the parent that was made for it once that is empty."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.parent.name == "hwnas":
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def remove_stale(own: Path) -> None:
    """Remove what agents of this user left behind that were killed before they could."""
    for folder in own.parent.glob(PREFIX + "*"):
        try:
            sign = folder / "alive"
            status = (sign if sign.exists() else folder).stat()
            mine = not folder.is_symlink() and status.st_uid == os.getuid()
            if mine and folder != own and time.time() - status.st_mtime > _STALE_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue
