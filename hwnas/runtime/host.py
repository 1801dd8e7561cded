"""What a machine is: processor, governor, power mode, driver, system. Read from files and two tools; never guessed.

What changes while one measures (clock, heat, load) is in `hwnas.runtime.machine`.
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

_ROOT = Path("/")
_SECONDS = 5.0  # for a tool of the vendor's


def cpuinfo(root: Path = _ROOT) -> dict[str, str]:
    """Fields of the first processor in /proc/cpuinfo; empty where the system has no such file."""
    pairs = (line.partition(":") for line in _text(root / "proc/cpuinfo").split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def cpu_name(info: Mapping[str, str], root: Path = _ROOT) -> str:
    """Model of the processor; on ARM boards the board, which says more than 'ARMv8 Processor'."""
    board = _text(root / "proc/device-tree/model").strip("\x00\n ")
    if board:
        return board
    if "model name" in info:
        return info["model name"]
    if platform.system() == "Darwin":
        return _ask(["sysctl", "-n", "machdep.cpu.brand_string"]) or platform.machine()
    return platform.processor() or platform.machine()


def max_mhz(root: Path = _ROOT) -> float | None:
    """The highest clock that any core may take, MHz."""
    khz = [value for path in _cpufreq(root, "scaling_max_freq") if (value := _text(path).strip()).isdigit()]
    return round(max(map(int, khz)) / 1e3, 1) if khz else None


def mhz(info: Mapping[str, str], root: Path = _ROOT) -> float | None:
    """The clock of the first core at this moment, MHz."""
    first = next((_text(path).strip() for path in _cpufreq(root, "scaling_cur_freq")), "")
    if first.isdigit():
        return round(int(first) / 1e3, 1)
    told = info.get("cpu MHz", "")
    return round(float(told), 1) if told.replace(".", "", 1).isdigit() else None


def governor(root: Path = _ROOT) -> str | None:
    """What chooses the clock, e.g. 'performance'; all of them joined by '+' where cores differ."""
    found = {_text(path).strip() for path in _cpufreq(root, "scaling_governor")} - {""}
    return "+".join(sorted(found)) or None


def power_mode(root: Path = _ROOT) -> str | None:
    """The power mode of a Jetson as `nvpmodel -q` names it; None on other machines."""
    for line in _ask(["nvpmodel", "-q"]).splitlines():
        key, _, value = line.partition(":")
        if key.strip().endswith("Power Mode") and value.strip():
            return value.strip()
    return _text(root / "var/lib/nvpmodel/status").strip() or None  # asking the tool may need rights


def nvidia_gpu(root: Path = _ROOT) -> str | None:
    """Name of the first NVIDIA GPU, from its driver; on a Jetson the board."""
    named = _ask(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]).strip().splitlines()
    if named and "N/A" not in named[0]:
        return named[0].strip()
    for card in sorted((root / "proc/driver/nvidia/gpus").glob("*/information")):
        for line in _text(card).splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "Model":
                return value.strip()
    tegra = _text(root / "etc/nv_tegra_release").strip()
    return _text(root / "proc/device-tree/model").strip("\x00\n ") or None if tegra else None


def nvidia_driver(root: Path = _ROOT) -> str | None:
    """Version of the NVIDIA driver; on a Jetson the release of its system."""
    words = _text(root / "proc/driver/nvidia/version").split("\n", 1)[0].split()
    numbers = [word for word in words if word[0].isdigit() and "." in word]
    if numbers:
        return numbers[0]
    asked = _ask(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]).strip().splitlines()
    if asked:
        return asked[0].strip()
    release = _text(root / "etc/nv_tegra_release").split(",")
    return ",".join(release[:2]).lstrip("# ").strip() or None


def os_release(root: Path = _ROOT) -> str | None:
    """The system's own name for itself, e.g. 'Ubuntu 22.04.4 LTS'."""
    for line in _text(root / "etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip().strip('"')
    return f"{platform.system()} {platform.release()}".strip() or None


def _cpufreq(root: Path, name: str) -> list[Path]:
    return sorted((root / "sys/devices/system/cpu").glob(f"cpu[0-9]*/cpufreq/{name}"))


def _text(path: Path) -> str:
    """Content of a small file; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _ask(command: Sequence[str]) -> str:
    """What a tool prints; empty if it is not there, fails or hangs."""
    try:
        done = subprocess.run(
            list(command), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
