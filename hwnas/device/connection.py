"""One ssh process: JSON lines to the agent and back."""

from __future__ import annotations

import contextlib
import hashlib
import json
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from hwnas.device import bootstrap
from hwnas.device.address import Address
from hwnas.device.bundle import bundle
from hwnas.device.reasons import explain
from hwnas.documents import MOST_BYTES, json_value
from hwnas.errors import InputError, MissingDependency

OPTIONS = (
    "-T", "-x", "-a", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=10",
    "-o", "ServerAliveCountMax=3", "-o", "ClearAllForwardings=yes",
)
# the first bytes of standard input are a length and as many bytes of Python; nothing is imported from the home folder
_START = ('import sys;sys.path[:]=[p for p in sys.path if p];f=open(0,"rb",0);'
          'exec(b"".join(f.read(1)for _ in range(int(f.readline()))))')
_CLOSE_SECONDS = 5.0


class Dropped(Exception):
    """The connection broke off; the message says what ssh said last."""


class Unreachable(Dropped):
    """There was no connection to begin with, or no interpreter at its other end."""


class Connection:
    """The agent, started on the device.

    Args:
        ssh: the command that ssh is called by, e.g. ('ssh',).
        address: the device.
        python: name or path of the interpreter there.
        beat_s: seconds between two signs of life.

    Raises:
        Unreachable: the device cannot be reached.
        MissingDependency: no ssh here.
    """

    def __init__(self, ssh: Sequence[str], address: Address, python: str, beat_s: float) -> None:
        self._address, self._lock, self._closed = address, threading.Lock(), threading.Event()
        # no pipe: a master connection in the background would hold it open
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115, closed in close()
        command = [*ssh, *OPTIONS, *address.arguments, f"{python} -c '{_START}'"]
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True,
            )
        except FileNotFoundError as err:
            self._errors.close()
            raise MissingDependency(ssh[0], f"--device ssh://{address}", "install OpenSSH's client") from err
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        threading.Thread(target=self._beat, args=(beat_s,), daemon=True).start()

    def send(self, command: Mapping[str, Any], payload: bytes = b"") -> None:
        """Send one command, and the bytes that belong to it.

        Raises:
            Dropped: the connection broke off.
            InputError: the agent had ended, and said why.
        """
        try:
            self._write((json.dumps(command) + "\n").encode(), payload)
        except (OSError, ValueError):
            while True:  # the agent's last words, or the end of the stream
                self.receive()

    def receive(self) -> dict[str, Any]:
        """The agent's next answer.

        Raises:
            Dropped: the connection broke off.
            InputError: the agent says that something is wrong.
        """
        try:
            line = self._out.readline(MOST_BYTES)
            answer = json_value(line, "the answer") if line.endswith(b"\n") else None
        except (OSError, ValueError, InputError):
            answer = None
        if not isinstance(answer, dict):
            raise Dropped(self._reason(""))
        if answer.get("say") == "error":
            raise InputError(f"on {self._address}: {' '.join(str(answer.get('message')).split())[:1000]}")
        return answer

    def close(self, farewell: bool = False) -> None:
        """End the connection.

        Args:
            farewell: tell the agent to remove its folder and wait until it did.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        timer = threading.Timer(_CLOSE_SECONDS, self._process.kill)  # a dead line must not hold anybody up
        timer.start()
        if farewell:
            with contextlib.suppress(OSError, ValueError):
                self._write(b'{"do": "bye"}\n')
                while self._out.readline().strip() not in (b"", b'{"say": "bye"}'):
                    pass
        with contextlib.suppress(OSError):
            self._in.close()
        self._process.kill()
        self._process.wait()
        timer.cancel()
        self._out.close()
        self._errors.close()

    @property
    def pid(self) -> int:
        """Process id of the ssh client."""
        return self._process.pid

    @property
    def _in(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _out(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _start(self) -> None:
        """Send the first lines and the agent; skip what the login prints until it answers."""
        source = Path(bootstrap.__file__).read_bytes() + b"\nmain(f)\n"
        agent = bundle()
        header = json.dumps({"sha256": hashlib.sha256(agent).hexdigest(), "size": len(agent)})
        with contextlib.suppress(OSError):  # what ssh or the shell there said is read below
            self._write(f"{len(source)}\n".encode() + source + f"{header}\n".encode(), agent)
        printed = ""
        while True:
            line = self._out.readline()
            if not line:
                raise Unreachable(self._reason(printed))
            text = line.decode(errors="replace").strip()
            if text == bootstrap.MARK:
                return
            printed = text or printed

    def _write(self, *blocks: bytes) -> None:
        with self._lock:
            for block in blocks:
                self._in.write(block)
            self._in.flush()

    def _beat(self, seconds: float) -> None:
        while not self._closed.wait(seconds):
            try:
                self._write(b'{"do": "beat"}\n')
            except (OSError, ValueError):
                return

    def _reason(self, printed: str) -> str:
        """Why there is no more to read, from what ssh said; one line with a way out."""
        try:
            code = self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._errors.seek(0)
        said = [line.strip() for line in self._errors.read().decode(errors="replace").splitlines() if line.strip()]
        return explain(self._address, code, said or [printed])
