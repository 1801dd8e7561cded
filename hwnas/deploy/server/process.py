"""The worker's process: it loads a model and answers one message after the other until its pipe ends.

    python -c "import sys; sys.path[:] = [...]; from hwnas.deploy.server.process import main; main()"

It is a process of its own so that a picture that takes too long, or that breaks a decoder, can be ended without the
server, and so that nothing that it computes holds up the event loop.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, BinaryIO

from hwnas.deploy.server import wire
from hwnas.errors import HwnasError

SERVES = "from hwnas.deploy.server.process import main; main()"


def main() -> None:
    """Read how to load, say what was loaded; then a job in, an answer out."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the server ends it, when everything that was accepted is answered
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it warns of whatever a client sends
    source, sink = sys.stdin.buffer, _answers_only()
    with contextlib.suppress(wire.Ended, BrokenPipeError):
        _serve(source, sink, wire.read(source)[0])
    sys.stdout.flush()


def _answers_only() -> BinaryIO:
    """The pipe to the server; what libraries print goes to standard error."""
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return sink


def _serve(source: BinaryIO, sink: BinaryIO, how: dict[str, Any]) -> None:
    from hwnas.deploy.server.answering import answer, loaded  # imports what computes, after the signals are set
    from hwnas.deploy.server.job import Job

    try:
        predictor = loaded(Path(how["path"]), how["overrides"], how["threshold"])
    except HwnasError as err:
        _say(sink, {"error": str(err), "kind": type(err).__name__})
        return
    _say(sink, {"task": predictor.task, "classes": len(predictor.classes), "pictures": list(predictor.pictures),
                "stands_in_for": predictor.stands_in_for})
    while True:
        facts, body = wire.read(source)
        begin = time.perf_counter()
        found = answer(predictor, Job(**facts), body)
        seconds = time.perf_counter() - begin
        _say(sink, {**dataclasses.asdict(dataclasses.replace(found, content=b"")), "content": None, "seconds": seconds},
             found.content)


def _say(sink: BinaryIO, facts: dict[str, Any], content: bytes = b"") -> None:
    for piece in wire.packed(facts, content):
        view = memoryview(piece)
        while view:
            view = view[sink.write(view) or 0 :]
