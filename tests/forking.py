"""Commands in processes that are forked from one which has imported everything: to start anew takes seconds each.

A command has its own arguments, environment, folder, input and output, and ends as if it had been started by itself;
that commands start is asked elsewhere (`tests/cli`). As a script this file is what a shell starts in place of Python:

    forking.py SOCKET hwnas compress --resume run
    forking.py SOCKET python block.py
"""

from __future__ import annotations

import atexit
import contextlib
import json
import multiprocessing.process
import os
import select
import shlex
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

LONGEST = 1 << 20  # bytes that are read at once


class Forks:
    """The process that others are forked from; it is started when it is first asked for, and ends with the tests.

    Args:
        folder: that its socket lies in; the name of a socket may have 100 letters.
    """

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "forks"
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._server is not None:
            self._server.communicate()

    @property
    def command(self) -> str:
        """What a shell starts; `hwnas` and its words stand behind it, or `python`, a script and its words."""
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "tests.forking", "serve", str(self._socket)], cwd=Path(__file__).parents[1],
                env={**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert self._server.stdout is not None
            assert self._server.stdout.readline() == "ready\n"
        return shlex.join([sys.executable, "-I", "-S", __file__, str(self._socket)])


def ask(address: str, words: list[str]) -> int:
    """The exit code of a command, as shells count."""
    told = json.dumps({"words": words, "folder": os.getcwd(), "environment": dict(os.environ)}).encode()
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(address)
        socket.send_fds(line, [told[:1]], [0, 1, 2])
        line.sendall(told[1:])
        line.shutdown(socket.SHUT_WR)
        code = int(line.recv(64) or b"1")
    return code if code >= 0 else 128 - code


def serve(address: str) -> None:
    """Fork a process for every command that is asked for, until whoever started this has ended."""
    _import_everything()
    known = sys.path[1:]
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen()
        print("ready", flush=True)
        while True:
            if sys.stdin in select.select([door, sys.stdin], [], [])[0]:
                os._exit(0)
            line = door.accept()[0]
            if not os.fork():
                break
            line.close()
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
    told, streams, *_ = socket.recv_fds(line, LONGEST, 3)
    while more := line.recv(LONGEST):
        told += more
    child = os.fork()
    if child:  # waits, so that commands may overlap
        for stream in (*streams, *range(3)):
            os.close(stream)
        line.sendall(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
        os._exit(0)
    line.close()
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
        os.close(stream)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os._exit(_ended(lambda: _carry_out(**json.loads(told), known=known)))


def _ended(work: Callable[[], None]) -> int:
    """The exit code of some work, as of a script; what libraries do at the end of C would wait for threads that the
    process it was forked from had."""
    code = 0
    try:
        work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return code


def _import_everything() -> None:
    import sklearn.datasets  # noqa: F401
    import torch

    import hwnas.cli.app
    import hwnas.pipeline.job
    import hwnas.pipeline.stages.table  # noqa: F401
    from hwnas.export.onnx_export import onnx_graph

    torch.set_num_threads(1)
    onnx_graph(torch.nn.Conv2d(1, 1, 1), (1, 2, 2), ["y"], {})  # imports more than everything else


def _carry_out(words: list[str], folder: str, environment: dict[str, str], known: list[str]) -> None:
    import runpy

    os.chdir(folder)
    multiprocessing.process.ORIGINAL_DIR = folder  # where a process that the command starts looks for its script
    os.environ.clear()
    os.environ.update(environment)
    program, *sys.argv = words
    first = folder if program == "hwnas" else os.path.dirname(os.path.abspath(sys.argv[0]))
    named = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.path[:] = [first, *named, *(part for part in known if part not in named)]
    if program == "hwnas":
        sys.argv.insert(0, "hwnas")
        runpy.run_module("hwnas", run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
