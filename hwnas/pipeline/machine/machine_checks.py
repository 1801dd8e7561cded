"""What about this machine, now, would spoil a measurement. Each finding says what to do about it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from hwnas.runtime import host
from hwnas.runtime.machine import Machine

_WATCH_SECONDS = 0.3
_BUSY_CORES = 0.25  # of other work on all cores together: more was seen to move times by 3 %
_HOT_CELSIUS = 85.0


def warnings(root: Path = Path("/")) -> list[str]:
    """One sentence each; empty where nothing that can be read speaks against measuring.

    Takes a third of a second, in which other work is watched.

    Args:
        root: where 'proc' and 'sys' lie.
    """
    machine = Machine(root=root)
    time.sleep(_WATCH_SECONDS)
    state = machine.state()
    return [*_governor(root), *_turbo(root), *_power_mode(root), *_other_work(state), *_heat(state), *_cores(root)]


def _governor(root: Path) -> list[str]:
    found = host.governor(root)
    if found in (None, "performance"):
        return []
    how = "sudo jetson_clocks" if _is_jetson(root) else "sudo cpupower frequency-set -g performance"
    return [f"the governor is {found}, so the clock follows the load: {how}"]


def _turbo(root: Path) -> list[str]:
    """Whether the clock may rise for seconds and falls back by temperature: of Intel's driver and of the others'."""
    cpu = root / "sys/devices/system/cpu"
    for file, off in ((cpu / "intel_pstate/no_turbo", "1"), (cpu / "cpufreq/boost", "0")):
        found = _text(file)
        if found and found != off:
            return [f"turbo is on, so the clock rises for seconds and falls back by temperature: for steady times "
                    f"echo {off} | sudo tee /{file.relative_to(root)}, and measure as it will serve"]
    return []


def _power_mode(root: Path) -> list[str]:
    """A Jetson that is held to less than it can; which mode is right is the user's to say."""
    mode = host.power_mode(root) if _is_jetson(root) else None
    if mode is None or mode.upper().startswith("MAXN"):
        return []
    return [f"the power mode is {mode}: measure in the mode that will serve, or take the fastest with sudo nvpmodel -m "
            "0, then sudo jetson_clocks"]


def _is_jetson(root: Path) -> bool:
    return (root / "etc/nv_tegra_release").is_file()


def _other_work(state: dict[str, float]) -> list[str]:
    found = []
    if (busy := state.get("others", 0.0)) > _BUSY_CORES:
        found.append(f"other work keeps {busy:.1f} cores busy (load {state.get('load', 0.0):.1f}): stop it, or tables "
                     "take longer and wall times (threads above 1) are too long")
    if (stolen := state.get("stolen", 0.0)) > _BUSY_CORES:
        found.append(f"the hypervisor withholds {stolen:.1f} cores: other tenants are busy, measure later")
    return found


def _heat(state: dict[str, float]) -> list[str]:
    if state.get("throttled"):
        return ["the processor is being held back by heat or power: let it cool, check supply and fan"]
    if (celsius := state.get("celsius", 0.0)) >= _HOT_CELSIUS:
        return [f"the hottest sensor is at {celsius:.0f} degrees: the clock may soon be held back"]
    return []


def _cores(root: Path) -> list[str]:
    """Whether this process may use fewer cores than there are."""
    found, present = [], os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else present
    if allowed < present:
        found.append(f"this process may use {allowed} of {present} cores: keep `threads` at {allowed} or less")
    quota = _quota(root)
    if quota is not None and quota < allowed:
        found.append(f"the container may use {quota:g} cores' worth of time and is stopped when it has used it: "
                     "wall times (threads above 1) and 99th percentiles then hold pauses. Give it whole cores: "
                     "--cpuset-cpus in place of --cpus")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _quota(root: Path) -> float | None:
    """Processor time per second that the container may use, version 2 of control groups; None without a limit."""
    try:
        used, period = (root / "sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return int(used) / int(period)
    except (OSError, ValueError):  # no such file, or 'max'
        return None
