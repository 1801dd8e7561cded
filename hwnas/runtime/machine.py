"""What a machine says of its own state while it is timed: clock, heat, throttling, other work. Linux; else nothing.

Nothing here needs rights or libraries; what the system does not tell is left out, never guessed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_ROOT = Path("/")


class Machine:
    """Reads the state again and again; what counts up is given since the last reading.

    Args:
        cores: logical cores that are timed; None means all.
        root: where 'proc' and 'sys' lie.
    """

    def __init__(self, cores: tuple[int, ...] | None = None, root: Path = _ROOT) -> None:
        self._cores, self._root = cores, root
        self._counts = self._throttle_counts()
        self._ticks, self._own = self._busy_ticks(), os.times()

    def state(self) -> dict[str, Any]:
        """The state now.

        Returns:
            Those of these keys that the system tells: 'load' (average of the last minute), 'mhz' (the fastest of the
            timed cores), 'celsius' (the hottest thermal zone), 'throttled' (whether heat or power held the processor
            back since the last call), 'others' (cores that other work kept busy since the last call) and 'stolen'
            (cores that a hypervisor withheld).
        """
        load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
        found = {"load": load, "mhz": self._mhz(), "celsius": self._celsius(), "throttled": self._throttled()}
        return {key: value for key, value in {**found, **self._other_work()}.items() if value is not None}

    def _mhz(self) -> float | None:
        cpus = [f"cpu{i}" for i in self._cores] if self._cores else ["cpu[0-9]*"]
        folder = self._root / "sys/devices/system/cpu"
        paths = [path for cpu in cpus for path in folder.glob(cpu + "/cpufreq/scaling_cur_freq")]
        khz = list(_numbers(paths))
        if khz:
            return round(max(khz) / 1e3, 1)
        lines = _text(self._root / "proc/cpuinfo").splitlines()
        listed = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
        timed = [listed[i] for i in self._cores or () if i < len(listed)] or listed
        return round(max(timed), 1) if timed else None

    def _celsius(self) -> float | None:
        zones = list(_numbers((self._root / "sys/class/thermal").glob("thermal_zone*/temp")))
        return round(max(zones) / 1e3, 1) if zones else None

    def _throttle_counts(self) -> float | None:
        """Throttle events since the machine started, on processors that count them."""
        pattern = "cpu[0-9]*/thermal_throttle/*_throttle_count"
        counts = list(_numbers((self._root / "sys/devices/system/cpu").glob(pattern)))
        return sum(counts) if counts else None

    def _throttled(self) -> bool | None:
        signs = []
        counts, before = self._throttle_counts(), self._counts
        self._counts = counts
        if counts is not None and before is not None:
            signs.append(counts > before)
        flags = _text(self._root / "sys/devices/platform/soc/soc:firmware/get_throttled").strip()
        if flags:  # Raspberry Pi: bits 0 to 3 are under-voltage, capped clock, throttled, soft limit, all of now
            signs.append(bool(int(flags, 16) & 0xF))
        for device in (self._root / "sys/class/thermal").glob("cooling_device*"):
            if "cpufreq" in _text(device / "type") or "Processor" in _text(device / "type"):
                signs += [level > 0 for level in _numbers([device / "cur_state"])]
        return any(signs) if signs else None

    def _busy_ticks(self) -> tuple[float, float, float] | None:
        """(busy, stolen, all) processor time of the machine since it started, in seconds."""
        fields = _text(self._root / "proc/stat").split("\n", 1)[0].split()
        if len(fields) < 9 or fields[0] != "cpu":
            return None
        ticks = [int(field) / os.sysconf("SC_CLK_TCK") for field in fields[1:9]]
        idle, stolen = ticks[3] + ticks[4], ticks[7]
        return sum(ticks) - idle - stolen, stolen, sum(ticks)

    def _other_work(self) -> dict[str, float]:
        ticks, own, before, own_before = self._busy_ticks(), os.times(), self._ticks, self._own
        if ticks is None or before is None or own.elapsed - own_before.elapsed < 0.05:  # the ticks are 10 ms long
            return {}
        self._ticks, self._own = ticks, own
        seconds = own.elapsed - own_before.elapsed
        mine = own.user + own.system - own_before.user - own_before.system
        others = (ticks[0] - before[0] - mine) / seconds
        return {"others": round(max(0.0, others), 2), "stolen": round(max(0.0, ticks[1] - before[1]) / seconds, 2)}


def _text(path: Path) -> str:
    """Content of a small file; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _numbers(paths: Iterable[Path]) -> Iterable[float]:
    """The number in each of the files that hold one."""
    for path in paths:
        try:
            yield float(_text(path).strip())
        except ValueError:
            continue
