"""hwnas doctor"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from hwnas.cli.options import Json

if TYPE_CHECKING:
    from collections.abc import Iterator

EPILOG = "Example: hwnas doctor --json"


def command(json: Json = False) -> None:
    """Look whether this machine is ready.

    Exit code 1 if no runtime runs a model.
    """
    from hwnas.cli.console import say_facts, say_json
    from hwnas.pipeline.machine.doctor import diagnose

    found = diagnose()
    if json:
        say_json(found)
    else:
        say_facts(_lines(found))
    if not found["ok"]:
        raise typer.Exit(1)


def _lines(found: dict[str, Any]) -> Iterator[tuple[str, object]]:
    from hwnas.cli.result import size

    yield "python", f"{found['python']} on {found['platform']}"
    if device := found["device"]:
        yield "device", f"{device['cpu']}, {found['cores']} cores, {' '.join(device['flags'])}"
    yield "libraries", ", ".join(f"{name} {version or 'absent'}" for name, version in found["libraries"].items())
    for name, runtime in found["runtimes"].items():
        yield name, _runtime(runtime)
    for warning in found["warnings"]:
        yield "warning", warning
    energy = found["energy"]
    yield "energy", energy["meter"] or f"no: {energy['problem']}"
    yield "training", ", ".join(f"{name} {version or 'absent'}" for name, version in found["training"].items())
    if found["training_advice"]:
        yield "", f"search and training need them: {found['training_advice']}"
    if found["accelerators"]:
        yield "trains on", ", ".join(found["accelerators"])
    yield "tracks with", ", ".join(name if way is None else f"{name} after {way}"
                                   for name, way in found["trackers"].items())
    yield "disk", f"{size(found['disk_free_bytes'])} free here"
    writable = "" if found["tables_writable"] else ", NOT writable: set HWNAS_TABLES"
    yield "tables", f"{found['tables']} in {found['tables_folder']}{writable}"
    yield "verdict", "ready" if found["ok"] else "no runtime works: pip install onnxruntime"


def _runtime(found: dict[str, Any]) -> str:
    """One runtime in a line: what ran, what failed, what to type."""
    if not found["runs"]:
        return f"no: {found['problem']}"
    precisions = found["precisions"]
    ran = ", ".join(name for name, case in precisions.items() if case["runs"])
    failed = "".join(f"; {name} FAILED: {case['problem']}" for name, case in precisions.items()
                     if case["offered"] and not case["runs"])
    where = found["accelerator"] or found["provider"]
    return f"{found['version']} on {where}, ran {ran}{failed}"
