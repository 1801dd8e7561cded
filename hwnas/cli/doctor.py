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
    from hwnas.pipeline.doctor import diagnose

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
        yield "cpu", f"{device['cpu']}, {found['cores']} cores, {' '.join(device['flags'])}"
    yield "libraries", ", ".join(f"{name} {version or 'absent'}" for name, version in found["libraries"].items())
    for name, runtime in found["runtimes"].items():
        yield name, f"{runtime['version']}, runs a model" if runtime["runs"] else f"FAILED: {runtime['problem']}"
    yield "training", ", ".join(f"{name} {version or 'absent'}" for name, version in found["training"].items())
    if found["training_advice"]:
        yield "", f"search and training need them: {found['training_advice']}"
    yield "disk", f"{size(found['disk_free_bytes'])} free here"
    writable = "" if found["tables_writable"] else ", NOT writable: set HWNAS_TABLES"
    yield "tables", f"{found['tables']} in {found['tables_folder']}{writable}"
    yield "verdict", "ready" if found["ok"] else "no runtime works: pip install onnxruntime"
