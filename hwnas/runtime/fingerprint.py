"""What a device is, as far as its timings depend on it. Never who or where: no host name, no user."""

from __future__ import annotations

import os
import platform
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.documents import Record, brief
from hwnas.errors import InputError
from hwnas.runtime import host
from hwnas.runtime.runtime import Runtime

# instruction sets for which runtimes keep separate kernels
_FLAGS = (
    "sse4_1", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx_vnni", "avx512_bf16",
    "amx_tile", "amx_int8", "amx_bf16", "asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve",
)
# known, and shown, but two tables that differ in these alone can be compared
_HARMLESS = {"python", "mhz", "os_release"}


_TEXTS = ("cpu", "system", "machine", "python", "runtime", "runtime_version")
_KNOWN = ("provider", "governor", "power_mode", "gpu", "gpu_driver", "os_release")  # or not


@dataclass(frozen=True)
class Fingerprint:
    """The device, its software and the runtime. None is unknown, as in tables older than the field.

    Args:
        cpu: model name as the system gives it.
        flags: instruction sets that change which kernels run.
        cores: logical cores this process sees.
        system, machine: e.g. 'Linux', 'x86_64'.
        python: version of the interpreter.
        runtime, runtime_version: the library that executes.
        provider: what inside the library executes, e.g. 'CPUExecutionProvider'.
        max_mhz, mhz: the highest clock that a core may take, and the clock when this was read.
        governor: what chooses the clock.
        power_mode: of a Jetson, as `nvpmodel` names it.
        gpu, gpu_driver: the GPU or NPU that the runtime uses, and its driver.
        os_release: name and version of the system.
    """

    cpu: str
    flags: tuple[str, ...]
    cores: int
    system: str
    machine: str
    python: str
    runtime: str
    runtime_version: str
    provider: str | None = None
    max_mhz: float | None = None
    mhz: float | None = None
    governor: str | None = None
    power_mode: str | None = None
    gpu: str | None = None
    gpu_driver: str | None = None
    os_release: str | None = None

    @classmethod
    def of(cls, runtime: Runtime) -> Fingerprint:
        """Of this machine with `runtime`."""
        info = host.cpuinfo()
        present = set(info.get("flags", info.get("Features", "")).split())
        return cls(
            cpu=host.cpu_name(info),
            flags=tuple(flag for flag in _FLAGS if flag in present),
            cores=os.cpu_count() or 1,
            system=platform.system(),
            machine=platform.machine(),
            python=platform.python_version(),
            runtime=runtime.name,
            runtime_version=runtime.version,
            provider=runtime.provider,
            max_mhz=host.max_mhz(),
            mhz=host.mhz(info),
            governor=host.governor(),
            power_mode=host.power_mode(),
            gpu=runtime.accelerator,
            gpu_driver=runtime.driver,
            os_release=host.os_release(),
        )

    def same_device(self, other: Fingerprint) -> list[str]:
        """Differences that make timings incomparable, as 'field: this / that'; empty if there are none.

        The interpreter is left out (it costs the same microseconds in every version), so are the clock of the moment
        and the system's release; what one of the two does not know is no difference.
        """
        found = []
        for name, mine in asdict(self).items():
            theirs = getattr(other, name)
            if name not in _HARMLESS and None not in (mine, theirs) and mine != theirs:
                found.append(f"{name}: {mine} / {theirs}")
        return found

    def to_json(self) -> dict[str, Any]:
        """The fields; flags as a list."""
        return {**asdict(self), "flags": list(self.flags)}

    @classmethod
    def from_json(cls, data: object) -> Fingerprint:
        """Read `to_json` back, or what an older version wrote.

        Raises:
            InputError: a field is missing or unknown.
        """
        told = Record(data, "not a device fingerprint")
        if unknown := [key for key in told.keys() if key not in cls.__dataclass_fields__]:  # noqa: SIM118 - no dict
            raise InputError(f"not a device fingerprint: {brief(unknown[0])} is no field of it")
        texts = {name: told.text(name, most=1000) for name in _TEXTS}
        known = {name: told.text(name, None, most=1000) for name in _KNOWN}
        clocks = {name: told.number(name, 0, 1e7, None) for name in ("max_mhz", "mhz")}
        flags = tuple(told.items("flags", told.text_of, 0, 1000))
        return cls(flags=flags, cores=told.integer("cores", 1, 1_000_000), **texts, **known, **clocks)
