"""What an agent is asked to measure: the setting, and one or several parts of models that are swept together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hwnas.documents import Record, brief
from hwnas.errors import InputError
from hwnas.runtime.device import SweepPlan
from hwnas.runtime.runtime import Runtime, open_runtime

SCHEMA = 1
MOST_MODELS = 100_000
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
        raise InputError(f"a model is named by the sha256 of its bytes, 64 hex digits; got {brief(value)}")
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
    def from_json(cls, data: object) -> Setup:
        """Read `to_json` back.

        Raises:
            InputError: a field is missing or of the wrong kind.
        """
        told = Record(data, "not the setting of a measurement")
        cores = told.items("cores", lambda core, place: told.integer_of(core, place, 0, 65_535), 0, 4096, default=None)
        return cls(told.text("runtime", most=100), told.integer("threads", 1, 256), told.text("precision", most=10),
                   told.integer("batch", 1, 1024), None if cores is None else tuple(cores))


@dataclass(frozen=True)
class Part:
    """Models that are swept together: name -> sha256, and how they are visited."""

    models: Mapping[str, str]
    plan: SweepPlan

    def to_json(self) -> dict[str, Any]:
        """The fields."""
        return {"models": dict(self.models), "plan": self.plan.to_json()}

    @classmethod
    def from_json(cls, data: object) -> Part:
        """Read `to_json` back.

        Raises:
            InputError: a field is missing or of the wrong kind, or a hash is none.
        """
        told = Record(data, "not a part of a job")
        models = told.pairs("models", lambda value, place: check_digest(value), MOST_MODELS)
        return cls(models, SweepPlan.from_json(told.get("plan")))


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
            raise InputError(f"not a job of schema {SCHEMA} (found {brief(found)}): export it again with this version")
        told = Record(data, "not a job")
        return cls(Setup.from_json(told.get("setup")),
                   tuple(told.items("parts", lambda part, place: Part.from_json(part), 1, 10_000)))
