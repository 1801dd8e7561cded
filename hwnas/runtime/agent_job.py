"""What an agent is asked to measure: the setting, and one or several parts of models that are swept together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.errors import InputError
from hwnas.runtime.runtime import Runtime, open_runtime
from hwnas.runtime.sweeping import SweepPlan

SCHEMA = 1
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


def digest(data: bytes) -> str:
    """sha256 in hex: the name that a model has on its way and on the device."""
    return hashlib.sha256(data).hexdigest()


def check_digest(value: Any) -> str:
    """A hash, and nothing that could be a path.

    Raises:
        InputError: it is none.
    """
    if not isinstance(value, str) or not _DIGEST.match(value):
        raise InputError(f"a model is named by the sha256 of its bytes, 64 hex digits; got {value!r}")
    return value


@dataclass(frozen=True)
class Setup:
    """The setting of a measurement.

    Args:
        runtime: a key of `RUNTIMES`.
        threads: threads that the runtime may use.
        precision: number format of weights and activations.
        batch: what a dimension that a model leaves open becomes.
        cores: logical cores that the agent is pinned to; None leaves it to the system.
    """

    runtime: str
    threads: int = 1
    precision: str = "fp32"
    batch: int = 1
    cores: tuple[int, ...] | None = None

    def open(self) -> Runtime:
        """The runtime.

        Raises:
            UnknownName: no such runtime.
            MissingDependency: its library, or the device it is for, is not here.
            UsageError: it does not compute in this precision on this device.
        """
        return open_runtime(self.runtime, self.threads, self.precision, self.batch)

    def to_json(self) -> dict[str, Any]:
        """The fields; cores as a list."""
        return {**asdict(self), "cores": None if self.cores is None else list(self.cores)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Setup:
        """Read `to_json` back.

        Raises:
            InputError: a field is missing or of the wrong kind.
        """
        try:
            cores = data["cores"]
            return cls(str(data["runtime"]), int(data["threads"]), str(data["precision"]), int(data["batch"]),
                       None if cores is None else tuple(int(core) for core in cores))
        except (KeyError, TypeError, ValueError) as err:
            raise InputError(f"not the setting of a measurement: {err!r}") from err


@dataclass(frozen=True)
class Part:
    """Models that are swept together: name -> sha256, and how they are visited."""

    models: Mapping[str, str]
    plan: SweepPlan

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return {"models": dict(self.models), "plan": self.plan.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Part:
        """Read `to_json` back.

        Raises:
            InputError: a field is missing or of the wrong kind, or a hash is none.
        """
        try:
            models = {str(name): check_digest(value) for name, value in data["models"].items()}
            return cls(models, SweepPlan.from_json(data["plan"]))
        except (KeyError, TypeError, AttributeError) as err:
            raise InputError(f"not a part of a job: {err!r}") from err


@dataclass(frozen=True)
class Job:
    """All that one agent measures, part after part."""

    setup: Setup
    parts: tuple[Part, ...]

    def to_json(self) -> dict[str, Any]:
        """What job.json holds."""
        return {"hwnas_job": SCHEMA, "setup": self.setup.to_json(), "parts": [part.to_json() for part in self.parts]}

    @classmethod
    def from_json(cls, data: Any) -> Job:
        """Read `to_json` back.

        Raises:
            InputError: another schema, or a field is missing or of the wrong kind.
        """
        if not isinstance(data, dict) or data.get("hwnas_job") != SCHEMA:
            found = data.get("hwnas_job") if isinstance(data, dict) else None
            raise InputError(f"not a job of schema {SCHEMA} (found {found!r}): export it again with this version")
        try:
            return cls(Setup.from_json(data["setup"]), tuple(Part.from_json(part) for part in data["parts"]))
        except (KeyError, TypeError) as err:
            raise InputError(f"not a job: {err!r}") from err
