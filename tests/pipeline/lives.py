"""Processes that are killed: one that has imported everything forks the others, so that each begins at once to work.

The seconds after which one is killed are of its processor time, so that a busy machine neither kills it before it did
anything nor after it is done. They are read from outside: a timer of the process' own would make its clock coarse.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import TracebackType
from typing import Any, Self

RETARGETED = """
import os, signal
import hwnas
from hwnas.pipeline import retarget
seen = []
def hook(stage, event, seconds):
    if event != "kept":
        seen.append(stage + " " + event)
    if seen[-1:] == [{stop!r}] and seen.count({stop!r}) == {times}:
        os.kill(os.getpid(), signal.SIGKILL)
{do}
"""
"""A life that retargets a run, or goes on with one, and is killed when an event of a stage comes for the n-th time."""

OWN_NETWORK = """
import os, signal
from hwnas.pipeline import compress, resume
from hwnas.pipeline.own_network import units
units.SECONDS = 0.3
left = {after}
def hook(stage, event, seconds):
    global left
    left -= event != "kept"
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
if os.path.exists({out!r} + "/run.json"):
    resume({out!r}, hook=hook)
else:
    compress({out!r}, hook=hook, **{asked!r})
"""
"""A life that compresses a user's own network, or goes on with that, and is killed at the n-th event of a stage."""

NURSERY = """
import json, os, signal, sys, time, traceback
import psutil
import torch
torch.set_num_threads(1)
import hwnas
import hwnas.pipeline.job, hwnas.pipeline.stages.table
from hwnas.export.onnx_export import onnx_graph

onnx_graph(torch.nn.Conv2d(1, 1, 1), (1, 2, 2), ["y"], {})  # imports more than everything else
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if not child:
        try:
            exec(compile(asked["code"], "life", "exec"), {})
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    while asked["seconds"] and os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if sum(psutil.Process(child).cpu_times()[:2]) >= asked["seconds"]:
            os.kill(child, signal.SIGKILL)
            break
        time.sleep(0.01)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Lives:
    """Runs code in processes of their own, one after the other."""

    def __enter__(self) -> Self:
        self._nursery = subprocess.Popen([sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self._nursery.communicate(timeout=240)

    def live(self, code: str, seconds: float = 0.0) -> int:
        """The exit code of a process that runs `code`, which is killed after `seconds` if it still lives.

        Args:
            seconds: of processor time; 0 lets it live.
        """
        pipes: Any = self._nursery
        pipes.stdin.write(json.dumps({"code": code, "seconds": seconds}) + "\n")
        pipes.stdin.flush()
        return int(pipes.stdout.readline())
