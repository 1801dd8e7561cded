"""The device of a target where that is another machine, behind ssh."""

from __future__ import annotations

import os
import shlex

from hwnas.device import SshDevice
from hwnas.errors import UsageError
from hwnas.pipeline.latencies.tables import HERE
from hwnas.progress import Progress, silent
from hwnas.target import Target


def ssh_device(target: Target, address: str, *, python: str = "python3", progress: Progress = silent) -> SshDevice:
    """The device of a target behind ssh, which $HWNAS_SSH names if it is not `ssh`.

    Raises:
        UsageError: the address is none, or the target is this machine.
    """
    check_elsewhere(target)
    ssh = shlex.split(os.environ.get("HWNAS_SSH", "")) or ["ssh"]
    return SshDevice(address, target.runtime, target.threads, target.precision, batch=target.batch, cores=target.cores,
                     python=python, ssh=ssh, progress=progress)


def check_elsewhere(target: Target) -> None:
    """Raises UsageError where the target is this machine."""
    if target.name == HERE:
        raise UsageError(f"the target {HERE!r} is this machine: give the other device a target, by --target NAME "
                         "(hwnas targets) or a .yaml of your own")
