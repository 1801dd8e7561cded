"""Where latencies come from, in one statement: the source of a table, the device that was measured, the target.

A table that was measured on another processor must not pass for one of the target; and one that was measured on the
target must not be blamed for being no table of this machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwnas.target import Target

UNKNOWN = "an unknown device"


def misfit(target: Target, device: Mapping[str, Any]) -> str | None:
    """Why a device that was measured cannot be the target, in words; None where it may be.

    Args:
        target: what it says of its hardware decides; one that says nothing is any machine.
        device: fingerprint, as `Fingerprint.to_json` gives it; what it does not know is no reason.
    """
    hardware, runtime = target.hardware, device.get("runtime")
    if runtime and runtime != target.runtime:
        return f"it ran {runtime}, the target is {target.runtime}"
    if hardware is None:
        return None
    machine = str(device.get("machine") or "").lower()
    if machine and hardware.machines and machine not in hardware.machines:
        return f"its processor is of type {machine}, that of {target.name} is {hardware.machines[0]}"
    if hardware.processor == "cpu" and device.get("gpu"):
        return f"{device['gpu']} computed, {target.name} computes on its processor"
    return None


def origin(source: str, target: Target, device: Mapping[str, Any] | None, *, here: bool) -> str:
    """Where a run's latencies come from.

    Args:
        source: 'measured', 'imported' or 'estimated'.
        device: fingerprint of the device that was measured.
        here: whether that is this machine.
    """
    if source == "estimated":
        return (f"estimated from what was measured on {device_name(device)}" if device else
                f"estimated from the public figures of {target.name}")
    cpu = device_name(device)
    if source == "measured" and here:
        return f"measured on this machine ({cpu})"
    made = "that was measured on" if source == "measured" else f"that was {source}, of"
    why = misfit(target, device or {})
    return f"predicted from a table {made} {cpu}{f', which is no {target.name}: {why}' if why else ''}"


def device_name(device: Mapping[str, Any] | None) -> str:
    """The name of a device that was measured: its GPU, or else its processor."""
    found = device or {}
    return str(found.get("gpu") or found.get("cpu") or UNKNOWN)
