"""What the process beside another does (`hwnas.pipeline.beside`): the orders that it gets, until the other is gone.

An order is a line of JSON on standard input: what is to be done, in which run, by how many threads. Answers go to what
was standard output when the process began; whatever else prints there is sent to standard error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch

from hwnas.data.reading import read_by
from hwnas.pipeline.beside import told_of
from hwnas.pipeline.context import RunContext
from hwnas.pipeline.following import context_of
from hwnas.pipeline.selection.trials import done_beside
from hwnas.pipeline.stages.table import TABLE
from hwnas.tracking.record import Tracking
from hwnas.tracking.tracker import TrackedRun, Value

Say = Callable[[Mapping[str, Any]], None]
EVERY_SECONDS = 0.1  # between two words on the same work


class Relay(Tracking):
    """Sends what trackers are to be told to the process that tells them."""

    def __init__(self, say: Say) -> None:
        super().__init__(Path(), {}, lambda _: TrackedRun("", "", Path(), {}))
        self._say = say

    def metrics(self, stage: str, step: int, values: Mapping[str, Value]) -> None:
        self._say({"point": [stage, step, dict(values)]})


class Progressing:
    """Says how far the work is, not more often than anybody looks."""

    def __init__(self, say: Say) -> None:
        self._say, self._what, self._said = say, "", 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what or done == total or now - self._said >= EVERY_SECONDS:
            self._what, self._said = what, now
            self._say({"progress": [what, done, total]})


def main() -> None:
    """Do what standard input orders; never returns."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the other's to speak of

    def say(told: Mapping[str, Any]) -> None:
        out.write(json.dumps(told, default=float) + "\n")
        out.flush()

    orders: SimpleQueue[dict[str, Any]] = SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    contexts: dict[Path, RunContext] = {}
    while True:
        order = orders.get()
        try:
            found = _done(order, say, contexts)
        except Exception as err:
            if os.environ.get("HWNAS_DEBUG"):
                traceback.print_exc()
            say({"error": told_of(err)})
        else:
            say({"found": found})


def _listen(orders: SimpleQueue[dict[str, Any]]) -> None:
    for line in sys.stdin.buffer:
        orders.put(json.loads(line))
    os._exit(1)  # the other is gone, and so is who wants to know


def _done(order: Mapping[str, Any], say: Say, contexts: dict[Path, RunContext]) -> dict[str, Any]:
    """What a stage found; of trials nothing, whose checkpoints say it."""
    path, parent = Path(order["run"]), Path(order["parent"]) if order["parent"] else None
    context = context_of(path, parent, contexts, Progressing(say), Relay(say))
    torch.set_num_threads(order["threads"])
    with read_by(replace(context.reading, workers=order["workers"])):
        if "trials" in order:
            done_beside(context, order["trials"], order["count"])
            return {}
        return next(stage for stage in TABLE if stage.name == order["stage"]).run(context).to_json()  # type: ignore[no-any-return]
