"""What a runtime is, and which ones there are.

A runtime turns ONNX bytes into a session; a session runs one batch. One file per runtime, imported on use,
so that a missing library is a one-line error and never an import error at start.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hwnas.errors import MissingDependency, UnknownName, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwnas.target import Target

    Array = NDArray[np.generic]
    Inputs = Mapping[str, Array]
else:  # numpy of Ubuntu 20.04 has no numpy.typing, and Mapping takes no subscript before Python 3.9
    Array, Inputs = np.ndarray, Mapping


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
        """All outputs for one batch; the arrays are the caller's.

        Raises:
            InputError: the inputs do not fit the model.
        """

    def time_ms(self, inputs: Inputs) -> float | None:
        """Run once and tell how long it took, on the clock of the device that ran it, in ms.

        What is timed begins with the inputs where the device reads them and ends with the outputs where it wrote
        them: copies to and from a GPU are not in it. A session gives a number always or never, from its first call.

        Returns:
            None, and nothing was run, if the caller is to time `run` on the clock that is right for `threads`.

        Raises:
            InputError: the inputs do not fit the model.
        """
        return None

    def example(self, batch: int = 1, seed: int = 0) -> dict[str, Array]:
        """Random inputs in 0..1 of the model's own shape; open dimensions become `batch`."""
        shape = tuple(batch if d is None else d for d in self.input_shape)
        values = np.random.default_rng(seed).random(shape, dtype=np.float32)
        return {self.input_name: values.astype(self.input_dtype)}


class Runtime(ABC):
    """A library that executes ONNX models on one kind of device, set up for threads, precision and batch.

    Args:
        threads: threads that one run may use, on a CPU.
        precision: number format it computes in: 'fp32', 'fp16', 'bf16' or 'int8'; 'mixed': every node of a graph in the
            format that the graph gives it, one of `together`.
        batch: what a dimension that a model leaves open is compiled for, where that matters. Other sizes run too.

    Raises:
        UsageError: it does not compute in this precision here.
        MissingDependency: a plug-in, driver or device that it needs is not here.
    """

    name: str
    cpu = True
    """Whether it runs on the processor, so that cores, pinning and the governor matter."""

    def __init__(self, threads: int = 1, precision: str = "fp32", batch: int = 1) -> None:
        self.threads, self.precision, self.batch = threads, precision, batch
        if precision == "mixed" and len(self.together) > 1:
            return
        if precision not in self.precisions:
            *others, last = self.precisions
            known = f"{', '.join(others)} or {last}" if others else last
            raise UsageError(f"{self.name} computes in {known} on this device, not in {precision}: choose one of them")

    @property
    @abstractmethod
    def version(self) -> str:
        """Version of the library."""

    @property
    @abstractmethod
    def provider(self) -> str:
        """What inside the library executes, in the library's own word, e.g. 'CPUExecutionProvider'."""

    @property
    def accelerator(self) -> str | None:
        """Name of the GPU or NPU that it uses; None for a runtime on the processor."""
        return None

    @property
    def driver(self) -> str | None:
        """Version of the accelerator's driver, where it is known."""
        return None

    @property
    @abstractmethod
    def precisions(self) -> tuple[str, ...]:
        """All precisions that it can compute in on this device, the exact one first."""

    @property
    def together(self) -> tuple[str, ...]:
        """The precisions that nodes of one graph may have beside each other, the exact one first.

        A graph says which node has which: in int8 are those between QuantizeLinear and DequantizeLinear nodes, in half
        precision those that read and make halves.
        """
        return tuple(p for p in self.precisions if p in ("fp32", "int8"))

    @property
    def graph_form(self) -> str:
        """Which form of ONNX graph `load` wants for the precision.

        'fp32': the graph as it is exported, the precision is a setting of the runtime. 'fp16': a graph of half
        floats. 'int8': a graph with QuantizeLinear and DequantizeLinear nodes. 'mixed': a graph that has been given its
        precisions node by node.
        """
        return self.precision if self.precision in ("int8", "mixed") else "fp32"

    @abstractmethod
    def load(self, model: bytes) -> Session:
        """Compile a serialised ONNX model of `graph_form`.

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
    "onnxruntime-cuda": Provider(
        "hwnas.runtime.onnxruntime_gpu", "OnnxRuntimeCuda", "onnxruntime", "pip install onnxruntime-gpu"
    ),
    "onnxruntime-tensorrt": Provider(
        "hwnas.runtime.onnxruntime_gpu", "OnnxRuntimeTensorRt", "onnxruntime", "pip install onnxruntime-gpu tensorrt"
    ),
    "openvino": Provider("hwnas.runtime.openvino", "OpenVino", "openvino", "pip install openvino"),
    "openvino-gpu": Provider("hwnas.runtime.openvino", "OpenVinoGpu", "openvino", "pip install openvino"),
    "openvino-npu": Provider("hwnas.runtime.openvino", "OpenVinoNpu", "openvino", "pip install openvino"),
    "tensorrt": Provider(
        "hwnas.runtime.tensorrt", "TensorRt", "tensorrt", "pip install tensorrt; on a Jetson it comes with JetPack"
    ),
}


def runtime_for(target: Target) -> Runtime:
    """The runtime of a target; raises as `open_runtime`."""
    return open_runtime(target.runtime, target.threads, target.precision, target.batch)


def open_runtime(name: str, threads: int = 1, precision: str = "fp32", batch: int = 1) -> Runtime:
    """A runtime by name, ready to load models.

    Args:
        name: a key of `RUNTIMES`.
        threads, precision, batch: see `Runtime`.

    Raises:
        UnknownName: no such runtime.
        MissingDependency: its library, or the device it is for, is not here.
        UsageError: it does not compute in this precision on this device.
    """
    if name not in RUNTIMES:
        raise UnknownName("runtime", name, RUNTIMES)
    provider = RUNTIMES[name]
    try:
        importlib.import_module(provider.library)
    except (ImportError, OSError) as err:  # OSError: a shared library inside the package does not load
        raise MissingDependency(provider.library, f"runtime {name}", provider.install) from err
    module: Any = importlib.import_module(provider.module)
    runtime: Runtime = getattr(module, provider.cls)(threads, precision, batch)
    return runtime
