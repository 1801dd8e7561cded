"""How much memory a process needs for a network, measured: its high-water mark less what an empty runtime takes.

A process of its own loads the runtime and runs a network of one convolution; then it forgets its high-water mark, loads
the network and runs it. What the mark has risen by is the network's: weights, what the runtime makes of them while it
loads, activations, work space. Five networks of 1 to 6 MB gave the same twice to 0.3 MB; of the counted activations it
is 5 to 20 times as much on ONNX Runtime, which keeps the weights more than once.

Memory of the processor alone: what a network takes of an accelerator's is not in it.

This file also runs on the device itself, under Python 3.8 and with numpy alone.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hwnas.errors import InputError
from hwnas.runtime.pinning import pinned
from hwnas.runtime.runtime import open_runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hwnas.runtime.runtime import Runtime

SMALLEST = base64.b64decode(
    "CAgSADpxCg8KAXgKAXcSAWMiBENvbnYKDAoBYxIBeSIEUmVsdRIBZyoTCAEIAQgBCAEQAUIBd0oEAACAP1obCgF4EhYKFAgBEhAKAggBCgIIAQoC"
    "CAgKAggIYhsKAXkSFgoUCAESEAoCCAEKAggBCgIICAoCCAhCBAoAEA0=")
"""An ONNX model of a convolution and a ReLU of 8x8 numbers, opset 13."""
RUNS, PROCESSES, TIMEOUT = 3, 2, 300.0
_STATUS, _FORGET = "/proc/self/status", "/proc/self/clear_refs"


def measurable() -> bool:
    """Whether this system tells how much memory a process had at most."""
    return bool(_now())


def peak_memory(model: bytes, runtime: Runtime, cores: Sequence[int] | None = None, processes: int = PROCESSES) -> int:
    """Bytes that a process needs for a network beyond what the empty runtime takes: the most of some processes.

    Args:
        model: in the runtime's form.
        runtime: as it is set up here.
        cores: logical cores that the process is pinned to; None leaves it to the system.

    Raises:
        InputError: the process failed, or this system does not tell (`measurable`).
    """
    root = Path(__file__).resolve().parents[len(__name__.split(".")) - 1]
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    with tempfile.TemporaryDirectory(prefix="hwnas-memory-") as folder:
        file = Path(folder) / "model.onnx"
        file.write_bytes(model)
        asked = {"model": str(file), "runtime": runtime.name, "threads": runtime.threads,
                 "precision": runtime.precision, "batch": runtime.batch, "cores": list(cores or ())}
        return max(_asked(asked, {**os.environ, "PYTHONPATH": path}) for _ in range(processes))


def _asked(asked: dict[str, object], environment: dict[str, str]) -> int:
    code = f"from {__name__} import tell; tell()"
    try:
        done = subprocess.run([sys.executable, "-c", code], input=json.dumps(asked), capture_output=True, text=True,
                              env=environment, timeout=TIMEOUT)
        return int(done.stdout.split()[-1])
    except (OSError, subprocess.TimeoutExpired) as err:
        raise InputError(f"the process whose memory is measured did not run: {err}") from err
    except (ValueError, IndexError) as err:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:300]
        raise InputError(f"the process whose memory is measured failed: {why}") from err


def tell() -> None:
    """In the process: measure what standard input asks for, and print the bytes."""
    asked = json.loads(sys.stdin.read())
    model = Path(asked["model"]).read_bytes()
    runtime = open_runtime(asked["runtime"], asked["threads"], precision=asked["precision"], batch=asked["batch"])
    with pinned(tuple(asked["cores"]) or None):
        _run(runtime, SMALLEST)
        mark = _forgotten()
        before = _now()
        _run(runtime, model)
        most = _most()
        print(max(most if most > mark else 0, _now()) - before)


def _run(runtime: Runtime, model: bytes) -> None:
    session = runtime.load(model)
    feed = session.example(runtime.batch)
    for _ in range(RUNS):
        session.run(feed)
    _KEPT.append(session)


_KEPT: list[object] = []
"""Sessions that stay loaded until the process ends: freed memory would be taken again and not be counted."""


def _forgotten() -> int:
    """The high-water mark after it was set back to what is used now, where the system does that; in bytes."""
    with contextlib.suppress(OSError):
        Path(_FORGET).write_text("5", encoding="ascii")  # proc(5): 5 resets the peak resident set size
    return _most()


def _now() -> int:
    """Bytes of this process that are in memory now; where the system does not tell, the most there were; else 0."""
    return _status("VmRSS") or _most()


def _most() -> int:
    """The most there were since the process began, or since it forgot."""
    if found := _status("VmHWM"):
        return found
    try:
        import resource
    except ImportError:  # Windows
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def _status(key: str) -> int:
    try:
        lines = Path(_STATUS).read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key + ":")), 0)
