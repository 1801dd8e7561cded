"""Is this machine ready? Versions, runtimes that really run, disk, and what to type where something lacks."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from hwnas.errors import HwnasError
from hwnas.pipeline.inventory import tables
from hwnas.pipeline.tables import default_folder
from hwnas.profile import network_model
from hwnas.runtime import RUNTIMES, Fingerprint, open_runtime
from hwnas.space import SpaceConfig, build

CORE = ("hwnas", "numpy", "onnx", "networkx", "pydantic")
TRAIN = ("torch", "onnxscript", "scikit-learn", "pyarrow")


def diagnose() -> dict[str, Any]:
    """Facts about this machine; `ok` is whether a runtime ran a model."""
    runtimes = {name: _try_runtime(name) for name in RUNTIMES}
    absent = [name for name in TRAIN if _version(name) is None]
    folder = default_folder()
    free = shutil.disk_usage(Path.cwd()).free
    return {
        "ok": any(found["runs"] for found in runtimes.values()),
        "python": platform.python_version(), "platform": platform.platform(), "cores": os.cpu_count(),
        "device": _device(), "libraries": {name: _version(name) for name in CORE}, "runtimes": runtimes,
        "training": {name: _version(name) for name in TRAIN},
        "training_advice": 'pip install "hwnas[train]"' if absent else None,
        "disk_free_bytes": free, "tables_folder": str(folder), "tables_writable": _writable(folder),
        "tables": len(tables(folder)),
    }


def _try_runtime(name: str) -> dict[str, Any]:
    """Whether a tiny network goes through a runtime."""
    tiny = build(SpaceConfig("mobile", 8, 1, 2, 0.5, 1)).smallest()
    try:
        runtime = open_runtime(name)
        session = runtime.load(network_model(tiny))
        session.run(session.example())
    except HwnasError as err:
        return {"version": None, "runs": False, "problem": str(err)}
    return {"version": runtime.version, "runs": True, "problem": None}


def _device() -> dict[str, Any] | None:
    with contextlib.suppress(HwnasError):
        return Fingerprint.of(open_runtime("onnxruntime")).to_json()
    return None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _writable(folder: Path) -> bool:
    """Whether the folder, or the first of its parents that exists, can be written."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)
