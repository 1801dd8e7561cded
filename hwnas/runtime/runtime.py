"""What a runtime is, and which ones there are.

A runtime turns ONNX bytes into a session; a session runs one batch. One file per runtime, imported on use,
so that a missing library is a one-line error and never an import error at start.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwnas.errors import MissingDependency, UnknownName
from hwnas.target import Target

Array = NDArray[np.generic]
Inputs = Mapping[str, Array]


class Session(ABC):
    """A model loaded for one device. Not safe for use from two threads at once.

    Attributes:
        threads: threads that one run may use; decides which clock is right (`hwnas.runtime.timing`).
        input_name: name of the first input.
        input_shape: its shape; None where the model leaves a dimension open.
        input_dtype: its numpy type.
    """

    threads: int
    input_name: str
    input_shape: tuple[int | None, ...]
    input_dtype: np.dtype[np.generic]

    @abstractmethod
    def run(self, inputs: Inputs) -> list[Array]:
        """All outputs for one batch.

        Raises:
            InputError: the inputs do not fit the model.
        """

    def example(self, batch: int = 1, seed: int = 0) -> dict[str, Array]:
        """Random inputs in 0..1 of the model's own shape; open dimensions become `batch`."""
        shape = tuple(batch if d is None else d for d in self.input_shape)
        values = np.random.default_rng(seed).random(shape, dtype=np.float32)
        return {self.input_name: values.astype(self.input_dtype)}


class Runtime(ABC):
    """A library that executes ONNX models, set up for a number of threads."""

    name: str

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    @property
    @abstractmethod
    def version(self) -> str:
        """Version of the library."""

    @abstractmethod
    def load(self, model: bytes) -> Session:
        """Compile a serialised ONNX model.

        Raises:
            InputError: the bytes are no model, or not one that this runtime can execute.
        """


@dataclass(frozen=True)
class Provider:
    """Where a runtime lives and what to install for it."""

    module: str
    cls: str
    library: str
    install: str


RUNTIMES: dict[str, Provider] = {
    "onnxruntime": Provider(
        "hwnas.runtime.onnxruntime", "OnnxRuntime", "onnxruntime", "pip install onnxruntime"
    ),
}


def runtime_for(target: Target) -> Runtime:
    """The runtime of a target.

    Raises:
        UnknownName: no such runtime.
        MissingDependency: its library is not installed.
    """
    return open_runtime(target.runtime, target.threads)


def open_runtime(name: str, threads: int = 1) -> Runtime:
    """A runtime by name.

    Raises:
        UnknownName: no such runtime.
        MissingDependency: its library is not installed.
    """
    if name not in RUNTIMES:
        raise UnknownName("runtime", name, RUNTIMES)
    provider = RUNTIMES[name]
    try:
        importlib.import_module(provider.library)
    except ImportError as err:
        raise MissingDependency(provider.library, f"runtime {name}", provider.install) from err
    runtime: Runtime = getattr(importlib.import_module(provider.module), provider.cls)(threads)
    return runtime
