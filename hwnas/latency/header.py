"""The first line of a table: what was measured, where, with what, and by whom it is called what it is.

Its first key is the schema: 1 where all entries are ops in the precision that the header says, 2 where a line may be of
another precision or of a change between two, which a reader of schema 1 would take for the header's.

Always there: target, runtime (name, version), precision, batch, threads, device, source, created, tool_version; and
cores, the logical cores that timing was pinned to or None, which tables of 0.1.0 lack.
There where it says something: provenance (of imported numbers), based_on (the shipped table that a table was started
from), merged_from, fetched (where a shared table comes from).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal

from pydantic import Field

from hwnas.documents import brief, printable
from hwnas.errors import TableError
from hwnas.latency.entry import now
from hwnas.target import MIXED, Precision, Target
from hwnas.validation import Count, Name, Scalar, Schema, Sha256, checked

SCHEMA, SEVERAL = 1, 2
SOURCES = ("measured", "estimated", "imported")
# Fields of a fingerprint in which two comparable tables may differ, as `Fingerprint.same_device` has them; this room
# and the runtime's are side by side, and tests/latency/test_table.py holds the two to one rule.
NOT_SPEED = frozenset({"python", "mhz", "os_release"})


Device = Annotated[dict[Name, Scalar | list[Scalar]], Field(max_length=100)]


class RuntimeSchema(Schema):
    """The runtime of a header."""

    name: Name
    version: Name = ""


class ProvenanceSchema(Schema):
    """Where imported numbers come from."""

    file: Name
    sha256: Sha256
    format: Name
    device: Name = ""
    unit: Name = ""
    statistic: Name = ""
    assumed: Name = ""  # what the header says though the file does not


class OriginSchema(Schema):
    """A table that this one was merged from or begun with."""

    file: Name = ""
    target: Name
    device: Device = Field(default_factory=dict)
    content_hash: Name = ""


class FetchedSchema(Schema):
    """Where a shared table was fetched from: a path or an address, and the hash of the file there."""

    source: Name
    sha256: Sha256
    when: Name = ""


class HeaderSchema(Schema):
    """The keys of a table's first line."""

    target: Name
    runtime: Name | RuntimeSchema
    precision: Precision
    batch: Annotated[int, Field(ge=1, le=1024)]
    threads: Annotated[int, Field(ge=1, le=256)]
    cores: Annotated[list[Count], Field(max_length=4096)] | None = None
    device: Device
    source: Literal["measured", "estimated", "imported"]
    created: Name = ""
    tool_version: Name = ""
    provenance: list[ProvenanceSchema] = Field(default_factory=list)
    based_on: OriginSchema | None = None
    merged_from: list[OriginSchema] = Field(default_factory=list)
    fetched: FetchedSchema | None = None


def make_header(
    target: Target, fingerprint: Mapping[str, Any], source: str, facts: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The header of a new table.

    Args:
        fingerprint: the device, as `Fingerprint.to_json` gives it, or what an imported file says of it.
        facts: further keys, e.g. `provenance`.

    Raises:
        TableError: no such source, or a target of several precisions.
    """
    if target.precision == MIXED:
        raise TableError("a table has one precision, and the target is of several: measure each, e.g. --precision fp32 "
                         "and --precision int8; changes between them are timed by a run with --precision mixed")
    if source not in SOURCES:
        raise TableError(f"source of a table must be one of {', '.join(SOURCES)}; got {source!r}")
    return {
        "hwnas_table": SCHEMA,
        **of_target(target, str(fingerprint.get("runtime_version", ""))),
        "device": dict(fingerprint),
        "source": source,
        "created": now(),
        "tool_version": tool_version(),
        **(facts or {}),
    }


def of_target(target: Target, runtime_version: str) -> dict[str, Any]:
    """The keys of a header that follow from the target."""
    return {
        "target": target.name,
        "runtime": {"name": target.runtime, "version": runtime_version},
        "precision": target.precision,
        "batch": target.batch,
        "threads": target.threads,
        "cores": None if target.cores is None else list(target.cores),
    }


def check(header: Any, where: str, way_out: str) -> dict[str, Any]:
    """A header that was read, if it is one.

    Raises:
        TableError: it is none, or of another schema.
    """
    found = header.get("hwnas_table") if isinstance(header, dict) else None
    if not isinstance(header, dict) or type(found) is not int or found not in (SCHEMA, SEVERAL):
        raise TableError(f"{where}: not a latency table of schema {SCHEMA} or {SEVERAL} (found {brief(found)}): "
                         f"move the file away and run {way_out}")
    checked(HeaderSchema, header, f"{where}: header", TableError,
            f"repair the line, or move the file away and run {way_out}")
    return header


def as_own(header: Mapping[str, Any], target: str) -> dict[str, Any]:
    """The header of a copy that belongs to another target: without where the table was fetched from."""
    return {**{key: value for key, value in header.items() if key != "fetched"}, "target": target}


def runtime_name(header: Mapping[str, Any]) -> str:
    """The runtime's name; older tables have the bare name where newer ones have name and version."""
    runtime = header["runtime"]
    return str(runtime.get("name")) if isinstance(runtime, dict) else str(runtime)


def differences(header: Mapping[str, Any], other: Mapping[str, Any],
                names: Sequence[str] = ("target", "precision", "batch", "threads")) -> list[str]:
    """What makes the numbers of two headers' targets differ, as 'field: this / that'. The device is not compared.

    Args:
        names: the fields that are compared beside runtime and cores.
    """
    pairs = {name: (header[name], other[name]) for name in names}
    pairs["runtime"] = (runtime_name(header), runtime_name(other))
    if "cores" in header and "cores" in other:  # older tables do not say
        pairs["cores"] = (header["cores"], other["cores"])
    return [f"{name}: {mine!r} / {theirs!r}" for name, (mine, theirs) in pairs.items() if mine != theirs]


def device_differences(device: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What makes two fingerprints' timings incomparable, as 'field: this / that'.

    What only one of them knows says nothing: older tables have fewer fields, imported ones hardly any.
    """
    known = [n for n, mine in device.items() if n not in NOT_SPEED and None not in (mine, other.get(n))]
    return [printable(f"{n}: {device[n]} / {other[n]}")[:400] for n in known if _plain(device[n]) != _plain(other[n])]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def tool_version() -> str:
    """The version of hwnas, as a header keeps it."""
    try:
        return version("hwnas")
    except PackageNotFoundError:  # a checkout on the path, not installed
        return "unknown"
