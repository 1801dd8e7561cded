"""What a device is, as far as its timings depend on it. Never who or where: no host name, no user."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwnas.errors import InputError
from hwnas.runtime.runtime import Runtime

# instruction sets for which runtimes keep separate kernels
_FLAGS = (
    "sse4_1", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16",
    "amx_tile", "amx_int8", "amx_bf16", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve",
)


@dataclass(frozen=True)
class Fingerprint:
    """The device, its software and the runtime.

    Args:
        cpu: model name as the system gives it.
        flags: instruction sets that change which kernels run.
        cores: logical cores this process sees.
        system, machine: e.g. 'Linux', 'x86_64'.
        python: version of the interpreter.
        runtime, runtime_version: the library that executes.
    """

    cpu: str
    flags: tuple[str, ...]
    cores: int
    system: str
    machine: str
    python: str
    runtime: str
    runtime_version: str

    @classmethod
    def of(cls, runtime: Runtime) -> Fingerprint:
        """Of this machine with `runtime`."""
        info = _cpuinfo()
        present = set(info.get("flags", info.get("Features", "")).split())
        return cls(
            cpu=_cpu_name(info),
            flags=tuple(flag for flag in _FLAGS if flag in present),
            cores=os.cpu_count() or 1,
            system=platform.system(),
            machine=platform.machine(),
            python=platform.python_version(),
            runtime=runtime.name,
            runtime_version=runtime.version,
        )

    def same_device(self, other: Fingerprint) -> list[str]:
        """Differences that make timings incomparable, as 'field: this / that'; empty if there are none.

        The interpreter is left out: it costs the same microseconds in every version.
        """
        return [
            f"{name}: {mine} / {theirs}"
            for name, mine in asdict(self).items()
            if name != "python" and mine != (theirs := getattr(other, name))
        ]

    def to_json(self) -> dict[str, Any]:
        """The fields; flags as a list."""
        return {**asdict(self), "flags": list(self.flags)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Fingerprint:
        """Read `to_json` back.

        Raises:
            InputError: a field is missing or unknown.
        """
        try:
            return cls(**{**data, "flags": tuple(data["flags"])})
        except (KeyError, TypeError) as err:
            raise InputError(f"not a device fingerprint: {err}") from err


def _cpuinfo() -> dict[str, str]:
    """Fields of the first processor; empty where the system has no such file."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.split("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def _cpu_name(info: Mapping[str, str]) -> str:
    if "model name" in info:
        return info["model name"]
    board = Path("/proc/device-tree/model")  # ARM boards name themselves here, not in cpuinfo
    if board.is_file():
        return board.read_text(encoding="utf-8", errors="replace").strip("\x00\n ")
    if platform.system() == "Darwin":
        asked = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        if asked.returncode == 0:
            return asked.stdout.strip()
    return platform.processor() or platform.machine()
