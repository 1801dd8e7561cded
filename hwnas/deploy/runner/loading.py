"""The model of a bundle on its runtime, as it was measured; compiled once and kept (`cache`)."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwnas.deploy.runner.bundle import IR, MODEL, Bundle
from hwnas.deploy.runner.cache import NONE, Cache, folder_of
from hwnas.errors import InputError
from hwnas.files import sha256
from hwnas.runtime.fingerprint import Fingerprint
from hwnas.runtime.runtime import RUNTIMES, Runtime, Session, open_runtime

if TYPE_CHECKING:
    from pathlib import Path

ENGINES = "HWNAS_ENGINES"  # where the TensorRT runtimes keep their engines
COMPILES = ("openvino", "tensorrt", "onnxruntime-tensorrt")  # what leads the names of runtimes worth keeping


@dataclass(frozen=True)
class Loaded:
    """A session and where it came from.

    Args:
        session: ready to run.
        runtime: what executes it.
        cache: 'kept' if it was compiled at an earlier start, 'built', 'rebuilt', or 'none' where nothing is kept.
        own: whether it runs on the bundle's own runtime.
        reference: what is timed beside the session; None where that was not asked for, or does not travel with it.
    """

    session: Session
    runtime: Runtime
    cache: str
    own: bool
    reference: Session | None = None


def load(bundle: Bundle, runtime: str | None = None, *, keep: bool = True, reference: bool = False) -> Loaded:
    """Load a bundle's model.

    Args:
        runtime: another than the bundle's, to look at the answers only.
        keep: whether what is compiled is kept on disk.
        reference: whether the reference that travels with the bundle is loaded, too.

    Raises:
        MissingDependency: the runtime is not installed here.
        UsageError: no such runtime, or it does not compute in this precision here.
        InputError: the runtime cannot execute the model.
    """
    target = bundle.facts["target"]
    name = str(runtime or target["runtime"])
    own = name == target["runtime"]
    opened = open_runtime(name, int(target["threads"]), target["precision"] if own else "fp32", int(target["batch"]))
    beside = bundle.reference if reference and own else None
    if not (keep and name.startswith(COMPILES)):
        return Loaded(_session(bundle, opened, None), opened, NONE, own, _beside(beside, opened, None))
    with Cache(folder_of(bundle.folder)).place(made_for(bundle, opened)) as (place, state):
        return Loaded(_session(bundle, opened, place), opened, state, own, _beside(beside, opened, place))


def made_for(bundle: Bundle, runtime: Runtime) -> dict[str, Any]:
    """All that the compiled form of a model depends on."""
    device = Fingerprint.of(runtime)
    return {
        "model": sha256(bundle.folder / MODEL), "runtime": runtime.name, "version": runtime.version,
        "device": [device.cpu, *device.flags, device.gpu, device.gpu_driver], "precision": runtime.precision,
        "batch": runtime.batch, "threads": runtime.threads,
    }


def _session(bundle: Bundle, runtime: Runtime, place: Path | None) -> Session:
    with _engines_in(place):
        if runtime.name.startswith("openvino"):
            runtime = _keeping(runtime, place, bundle.folder / IR)
        try:
            return runtime.load(bundle.model)
        except InputError as err:
            raise InputError(f"{bundle.folder / MODEL}: {err}") from err


def _beside(model: bytes | None, runtime: Runtime, place: Path | None) -> Session | None:
    """The reference, compiled as the model is."""
    if model is None:
        return None
    with _engines_in(place):
        return runtime.load(model)


def _keeping(runtime: Runtime, place: Path | None, ir: Path) -> Runtime:
    """OpenVINO that reads its own form of the model, where that is there, and keeps what it compiles."""
    base: Any = getattr(importlib.import_module(RUNTIMES[runtime.name].module), RUNTIMES[runtime.name].cls)

    class Keeping(base):  # type: ignore[misc]
        def settings(self) -> dict[str, Any]:
            settings: dict[str, Any] = super().settings()
            return dict(settings, CACHE_DIR=str(place)) if place else settings

        def read(self, model: bytes) -> Any:
            return self.core.read_model(str(ir)) if ir.is_file() else super().read(model)

    made: Runtime = Keeping(runtime.threads, runtime.precision, runtime.batch)
    return made


@contextlib.contextmanager
def _engines_in(place: Path | None) -> Iterator[None]:
    """TensorRT's engines in this folder, unless the user named one."""
    if place is None or ENGINES in os.environ:
        yield
        return
    os.environ[ENGINES] = str(place)
    try:
        yield
    finally:
        del os.environ[ENGINES]
