"""An adapted prior on disk: the model of one space, what it was made of, and the networks that adapted it.

One JSON file a space, beside the table of its target: `<folder>/<target>/<key>.adapted/<space>.json`. It is no table,
since no op of it was measured on the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from hwnas.documents import brief, read_json
from hwnas.errors import InputError, TableError
from hwnas.files import write_json
from hwnas.latency.entry import now
from hwnas.latency.estimate.model import SOURCE
from hwnas.latency.header import Device, device_differences, differences, of_target, tool_version
from hwnas.latency.model import LatencyModel
from hwnas.latency.prior import useless
from hwnas.latency.table import table_path
from hwnas.space import Architecture, Space
from hwnas.target import Precision, Target
from hwnas.validation import Count, Milliseconds, Name, Schema, checked

SCHEMA = 1
_WAY_OUT = "move the file away and run `hwnas profile --adapt 20` again"
Percent = Annotated[float, Field(ge=0, le=1e9)]


class RuntimeSchema(Schema):
    """The runtime that timed the networks."""

    name: Name
    version: Name = ""


class PriorSchema(Schema):
    """What was adapted: a source and, in words, whose numbers they are."""

    source: Name
    told: Name
    content_hash: Name = ""


class NetworkSchema(Schema):
    """A network that was timed."""

    choice: Annotated[list[Count], Field(max_length=10_000)]
    latency_ms: Milliseconds


class AdaptedSchema(Schema):
    """The keys of the file; the model's are checked by `LatencyModel.from_json`."""

    target: Name
    runtime: RuntimeSchema
    precision: Precision
    batch: Annotated[int, Field(ge=1, le=1024)]
    threads: Annotated[int, Field(ge=1, le=256)]
    cores: Annotated[list[Count], Field(max_length=4096)] | None = None
    device: Device
    space: Name
    prior: PriorSchema
    networks: Annotated[list[NetworkSchema], Field(min_length=1, max_length=1000)]
    error: Percent
    line_error: Percent
    kernel_ms: Milliseconds = 0.0
    created: Name = ""
    tool_version: Name = ""
    model: dict[str, Any]


@dataclass(frozen=True)
class AdaptedModel:
    """A model that a few networks made a device's own.

    Args:
        model: predicts any network of the space.
        device: fingerprint of what was measured.
        prior: whose numbers were adapted, in words.
        error: of every network predicted from the others, percent; `line_error` of a line in FLOPs.
        networks: how many were timed.
        kernel_ms: of the reference kernel meanwhile; 0 where that was not kept.
        created: when, UTC, ISO 8601.
    """

    model: LatencyModel
    device: Mapping[str, Any]
    prior: str
    error: float
    line_error: float
    networks: int
    kernel_ms: float = 0.0
    created: str = field(default_factory=now)

    @property
    def told(self) -> str:
        """Where it is from and what it is worth, for people."""
        return (f"adapted from {self.prior} by {self.networks} networks that were timed: each is predicted from the "
                f"others with an error of {self.error:.1f} %, by FLOPs alone with {self.line_error:.1f} %")

    @property
    def useless(self) -> str:
        """Why it must not be used; empty where it may be."""
        return useless(self.error, self.line_error)


def adapted_path(folder: Path, target: Target, space: Space) -> Path:
    """Where the adapted model of a target and a space lies."""
    return table_path(folder, target).with_suffix(".adapted") / f"{space.fingerprint}.json"


def write_adapted(path: Path, found: AdaptedModel, target: Target, space: Space, *, content_hash: str, source: str,
                  networks: Sequence[Architecture], networks_ms: Sequence[float]) -> None:
    """Keep an adapted model, in place of the one there may be.

    Args:
        content_hash, source: of the prior.
        networks: with their latencies: the evidence.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        raise InputError(f"cannot write {path}: {err.strerror or err}") from err
    write_json(path, {
        "hwnas_adapted": SCHEMA, **of_target(target, str(found.device.get("runtime_version", ""))),
        "device": dict(found.device), "space": space.fingerprint,
        "prior": {"source": source, "told": found.prior, "content_hash": content_hash},
        "networks": [{"choice": list(arch.choice), "latency_ms": round(ms, 6)}
                     for arch, ms in zip(networks, networks_ms, strict=True)],
        "error": found.error, "line_error": found.line_error, "kernel_ms": round(found.kernel_ms, 6),
        "created": found.created, "tool_version": tool_version(),
        "model": found.model.to_json(),
    })


def read_adapted(path: Path, target: Target, space: Space) -> AdaptedModel:
    """Read `write_adapted` back.

    Raises:
        TableError: another schema, target or space, or a number that cannot be; names the file.
        MissingEntry: the model lacks an op of the space.
    """
    data = read_json(path, error=TableError)
    if not isinstance(data, dict) or data.get("hwnas_adapted") != SCHEMA:
        raise TableError(f"{path}: not an adapted model of schema {SCHEMA} ({brief(data)}): {_WAY_OUT}")
    found = checked(AdaptedSchema, data, str(path), TableError, _WAY_OUT)
    if differing := differences(data, of_target(target, "")):
        raise TableError(f"{path} is not of {target} ({', '.join(differing)}): {_WAY_OUT}")
    if found.space != space.fingerprint:
        raise TableError(f"{path} is of another space than {space.name}: {_WAY_OUT}")
    try:
        model = LatencyModel.from_json(found.model).check(space)
    except InputError as err:
        raise TableError(f"{path}: {err}") from err
    if model.source != SOURCE or model.precision != target.precision:
        raise TableError(f"{path}: its model says {model.source} in {model.precision}, and must say {SOURCE} in "
                         f"{target.precision}: {_WAY_OUT}")
    return AdaptedModel(model, found.device, found.prior.told, found.error, found.line_error, len(found.networks),
                        found.kernel_ms, found.created)


def adapted_kernel_ms(path: Path, target: Target, device: Mapping[str, Any]) -> float:
    """What the reference kernel took when the networks of an adapted model were timed, of any precision and space.

    Args:
        device: fingerprint of the device that is asked about.

    Returns:
        ms; 0 where the file does not say, is broken, or is of another device, or of other cores of it.
    """
    try:
        found = checked(AdaptedSchema, read_json(path, error=TableError), str(path), TableError, _WAY_OUT)
    except TableError:  # who wants the model is told
        return 0.0
    wanted = of_target(target, "")
    same = found.threads == wanted["threads"] and found.cores == wanted["cores"]
    return found.kernel_ms if same and not device_differences(found.device, device) else 0.0


def of_device(found: AdaptedModel, device: Mapping[str, Any] | None) -> list[str]:
    """Why the networks were not timed on this device, as 'field: this / that'; empty if they were."""
    return device_differences(found.device, device) if device is not None else []
