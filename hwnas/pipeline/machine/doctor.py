"""Is this machine ready? Versions, runtimes that really run, disk, and what to type where something lacks."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from hwnas.errors import HwnasError, UsageError
from hwnas.pipeline.latencies.tables import default_folder
from hwnas.pipeline.machine.inventory import tables
from hwnas.pipeline.machine.machine_checks import warnings
from hwnas.profile import network_model
from hwnas.quantize import to_form, variant_for
from hwnas.runtime import RUNTIMES, Fingerprint, open_runtime
from hwnas.runtime.energy import meter_of, why_not
from hwnas.space import SpaceConfig, build
from hwnas.target import PRECISIONS
from hwnas.tracking.registry import missing

CORE = ("hwnas", "numpy", "onnx", "networkx", "pydantic")
TRAIN = ("torch", "onnxscript", "scikit-learn", "pyarrow")


def diagnose() -> dict[str, Any]:
    """Facts about this machine; `ok` is whether a runtime ran a model."""
    model = network_model(build(SpaceConfig("mobile", 8, 1, 2, 0.5, 1)).smallest())
    runtimes = {name: _try_runtime(name, model) for name in RUNTIMES}
    absent = [name for name in TRAIN if _version(name) is None]
    folder = default_folder()
    free = shutil.disk_usage(Path.cwd()).free
    return {
        "ok": any(found["runs"] for found in runtimes.values()),
        "python": platform.python_version(), "platform": platform.platform(), "cores": os.cpu_count(),
        "device": _device(runtimes), "libraries": {name: _version(name) for name in CORE}, "runtimes": runtimes,
        "warnings": warnings(), "energy": _energy(),
        "training": {name: _version(name) for name in TRAIN},
        "training_advice": 'pip install "hwnas[train]"' if absent else None,
        "accelerators": _accelerators(),
        "trackers": dict(missing()),
        "disk_free_bytes": free, "tables_folder": str(folder), "tables_writable": _writable(folder),
        "tables": len(tables(folder)),
    }


def _try_runtime(name: str, model: bytes) -> dict[str, Any]:
    """Whether a tiny network goes through a runtime, per precision."""
    tried = {precision: _try_precision(name, precision, model) for precision in PRECISIONS}
    running = [precision for precision, found in tried.items() if found["runs"]]
    found: dict[str, Any] = {"version": None, "provider": None, "accelerator": None, "problem": None}
    if running:
        runtime = open_runtime(name, precision=running[0])
        found = {"version": runtime.version, "provider": runtime.provider, "accelerator": runtime.accelerator,
                 "problem": None}
    else:
        found["problem"] = next((case["problem"] for case in tried.values() if case["offered"]), "no precision works")
    return {**found, "runs": bool(running), "precisions": tried}


def _try_precision(name: str, precision: str, model: bytes) -> dict[str, Any]:
    """Whether the network really ran; `offered` is False where the runtime has no such precision here."""
    try:
        runtime = open_runtime(name, precision=precision)
    except UsageError as err:
        return {"offered": False, "runs": False, "problem": str(err)}
    except HwnasError as err:
        return {"offered": True, "runs": False, "problem": str(err)}
    try:
        session = runtime.load(to_form(model, runtime.graph_form, variant=variant_for(name)))
        session.run(session.example())
    except HwnasError as err:
        return {"offered": True, "runs": False, "problem": str(err)}
    return {"offered": True, "runs": True, "problem": None}


def _device(runtimes: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """The fingerprint with the first runtime that works."""
    for name, found in runtimes.items():
        precisions = [precision for precision, case in found["precisions"].items() if case["runs"]]
        with contextlib.suppress(HwnasError):
            if precisions:
                return Fingerprint.of(open_runtime(name, precision=precisions[0])).to_json()
    return None


def _energy() -> dict[str, str | None]:
    """The meter that tells what networks take from the supply, or why there is none."""
    meter = meter_of()
    return {"meter": meter.told if meter else None, "problem": None if meter else why_not()}


def _accelerators() -> list[str]:
    """What networks can be trained on here, as `--accelerator` calls it, the one of `auto` first."""
    if _version("torch") is None:
        return []
    import torch

    cuda = [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, f"cpu ({torch.get_num_threads()} threads)"]


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
