"""Measures on the device itself: behind a connection (`serve`), or a folder that was carried there by hand (`main`).

This file, everything in `hwnas/runtime/` and the rooms below it travel in one zipapp (`hwnas.device.bundle`) and run
under Python 3.8 with numpy and the runtime alone.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from hwnas.documents import read_json
from hwnas.errors import HwnasError, InputError
from hwnas.runtime.agent_job import Job, Part
from hwnas.runtime.agent_server import Server
from hwnas.runtime.agent_store import RESULTS, Store
from hwnas.runtime.fingerprint import Fingerprint
from hwnas.runtime.local import Sampler
from hwnas.runtime.pinning import pinned
from hwnas.runtime.runtime import Runtime

JOB = "job.json"


def serve(folder: str) -> None:
    """Serve the connection on standard input and output until the end of the process."""
    outgoing = os.dup(1)
    os.dup2(2, 1)  # libraries that print must not print between the answers
    Server(Path(folder), 0, outgoing).run()


def main(arguments: list[str]) -> int:
    """`python3 hwnas-agent.pyz [FOLDER]`: measure the job in the folder, by default the one that the file lies in.

    Returns:
        Exit code.
    """
    folder = Path(arguments[0]) if arguments else Path(sys.argv[0]).resolve().parent
    try:
        measure(folder)
    except HwnasError as err:
        _tell(f"error: {err}\n")
        return err.exit_code
    except KeyboardInterrupt:
        _tell(f"\nstopped; what was measured is in {RESULTS}, and the same command goes on from there\n")
        return 130
    return 0


def measure(folder: Path) -> None:
    """Measure what the job of a folder still lacks, into its results.jsonl.

    Raises:
        InputError: there is no job, or a model is missing or broken.
        MissingDependency: the runtime is not installed.
    """
    job = read_job(folder)
    runtime, store = job.setup.open(), Store(folder)
    known = store.begin(job, Fingerprint.of(runtime))
    for index, part in enumerate(job.parts):
        made = [line for line in known if line.get("part") == index]
        with pinned(job.setup.cores):
            _measure_part(store, runtime, part, index, made, f"part {index + 1} of {len(job.parts)}")
    _tell(f"done: copy {folder / RESULTS} back\n")


def read_job(folder: Path) -> Job:
    """The job of an exported folder.

    Raises:
        InputError: there is none, or it is not of this version.
    """
    if not (folder / JOB).exists():
        raise InputError(f"no {JOB} in {folder}: give the folder that `hwnas agent export` made")
    try:
        return Job.from_json(read_json(folder / JOB))
    except InputError as err:
        raise InputError(f"{folder / JOB}: {err}: copy it again") from err


def _measure_part(
    store: Store, runtime: Runtime, part: Part, index: int, made: list[dict[str, Any]], name: str
) -> None:
    spent = sum(sum(line["seconds"].values()) for line in made)
    first = len(made)
    if part.plan.over(first, spent):
        return
    sampler = Sampler(runtime, part.plan)
    for done, (model, sha256) in enumerate(part.models.items(), 1):
        sampler.load(model, store.model(sha256))
        _tell(f"\r{name}: loading {done} of {len(part.models)} models ")
    begin = time.monotonic() - spent
    for sweep in sampler.sweeps(first):
        store.append({"part": index, **sweep.to_json()})
        seconds = time.monotonic() - begin
        _tell(f"\r{name}: sweep {sweep.number + 1}, {seconds:.0f} of at most {part.plan.max_seconds:.0f} s   ")
        if part.plan.over(sweep.number + 1, seconds):
            break
    _tell("\n")


def _tell(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
