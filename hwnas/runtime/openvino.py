"""OpenVINO on the processor, on an Intel GPU or on an Intel NPU.

Three settings decide whether its times mean what they say. `INFERENCE_PRECISION_HINT` is always given: left alone,
the plug-in computes in bf16 on processors with AMX and in f16 on ARM, and 'fp32' would be a word. With one thread the
number of streams is 0, which runs a model in the calling thread; every stream would keep two idle threads per loaded
model, twelve hundred for a table. Pinning by the plug-in is off: `hwnas.runtime.pinning` does it for all alike.
"""

from __future__ import annotations

import importlib
import time
from typing import Any

import numpy as np

from hwnas.errors import InputError, MissingDependency
from hwnas.runtime.inputs import check
from hwnas.runtime.onnx_file import check_onnx
from hwnas.runtime.runtime import Array, Inputs, Runtime, Session
from hwnas.runtime.timing import Timer

_HINTS = {"fp32": "f32", "fp16": "f16", "bf16": "bf16", "mixed": "dynamic"}
_CAPABILITIES = {"FP32": "fp32", "FP16": "fp16", "BF16": "bf16", "INT8": "int8"}  # exact one first
_HINT_KEY = "INFERENCE_PRECISION_HINT"


class OpenVinoSession(Session):
    """A model compiled by OpenVINO, with one infer request.

    A model with open dimensions is compiled for one shape at a time, the last that was asked for: compiled for any
    shape it is slower, and that is not how it would be deployed.
    """

    def __init__(self, runtime: OpenVino, model: Any) -> None:
        self._runtime = runtime
        self.threads = runtime.threads
        self._wanted = {
            port.get_any_name(): (np.dtype(port.get_element_type().to_dtype()), _shape(port)) for port in model.inputs
        }
        self.input_name, (self.input_dtype, self.input_shape) = next(iter(self._wanted.items()))
        self._model: Any = model if model.is_dynamic() else None  # what is compiled once is not kept
        self._compiled_for: dict[str, list[int]] = {}
        self._request: Any = None
        if self._model is None:
            self._request = runtime.compile(model).create_infer_request()
        else:
            shapes = {name: shape for name, (_, shape) in self._wanted.items()}
            self._prepare({name: [size or runtime.batch for size in shape] for name, shape in shapes.items()})

    def run(self, inputs: Inputs) -> list[Array]:
        outputs: list[Array] = list(self._bind(inputs).infer(share_outputs=False).to_tuple())
        return outputs

    def time_ms(self, inputs: Inputs) -> float:
        request = self._bind(inputs)
        clock = Timer(self.threads).clock if self._runtime.cpu else time.perf_counter_ns
        start = clock()
        request.infer(share_outputs=True)  # without a copy of the outputs
        return (clock() - start) / 1e6

    def _bind(self, inputs: Inputs) -> Any:
        """The request, reading from these arrays."""
        check(inputs, self._wanted)
        if self._model is not None:
            try:
                self._prepare({name: list(array.shape) for name, array in inputs.items()})
            except RuntimeError as err:
                raise InputError(f"the model does not take these inputs: {_cause(err)}") from err
        tensor = self._runtime.library.Tensor
        for name, array in inputs.items():
            self._request.set_tensor(name, tensor(np.ascontiguousarray(array), shared_memory=True))
        return self._request

    def _prepare(self, shapes: dict[str, list[int]]) -> None:
        """Compile the open model for these shapes, unless it is."""
        if shapes == self._compiled_for:
            return
        self._request, self._compiled_for = None, {}  # the old one goes first, so that only one is alive
        self._model.reshape(shapes)
        self._request = self._runtime.compile(self._model).create_infer_request()
        self._compiled_for = shapes


class OpenVino(Runtime):
    """OpenVINO's CPU plug-in."""

    name = "openvino"
    device = "CPU"
    way_out = "this build of OpenVINO has no CPU plug-in for this processor: pip install --force-reinstall openvino"

    def __init__(self, threads: int = 1, precision: str = "fp32", batch: int = 1) -> None:
        self.library: Any = importlib.import_module("openvino")
        self.core = self.library.Core()
        seen = self.core.available_devices
        if not any(name.split(".")[0] == self.device for name in seen):
            raise MissingDependency(
                f"a device {self.device} (OpenVINO sees {', '.join(seen) or 'none'})", f"runtime {self.name}",
                self.way_out,
            )
        super().__init__(threads, precision, batch)

    @property
    def version(self) -> str:
        return str(self.library.__version__).split("-")[0]

    @property
    def provider(self) -> str:
        return self.device

    @property
    def precisions(self) -> tuple[str, ...]:
        able = self.core.get_property(self.device, "OPTIMIZATION_CAPABILITIES")
        return tuple(precision for capability, precision in _CAPABILITIES.items() if capability in able)

    @property
    def together(self) -> tuple[str, ...]:
        return self.precisions  # with `dynamic` for a hint every node has the type that the graph gives it

    @property
    def hint(self) -> str:
        """What is not quantised is computed in this type; `dynamic`: in that of the graph."""
        return _HINTS.get(self.precision, "f32" if self.cpu else "f16")

    def load(self, model: bytes) -> Session:
        check_onnx(model)
        try:
            return OpenVinoSession(self, self.read(model))
        except RuntimeError as err:
            where = f"OpenVINO {self.version} can run on {self.device}"
            raise InputError(f"not a model that {where}: {_cause(err)}") from err

    def compile(self, model: Any) -> Any:
        """Compile with all settings that decide what is measured.

        Raises:
            InputError: the plug-in computes in another precision than the one asked for.
        """
        compiled = self.core.compile_model(model, self.device, self.settings())
        if _HINT_KEY in compiled.get_property("SUPPORTED_PROPERTIES"):
            got = compiled.get_property(_HINT_KEY)
            if got != getattr(self.library.Type, self.hint):
                raise InputError(f"{self.name} was asked to compute in {self.hint} and chose {got.get_type_name()}")
        return compiled

    def settings(self) -> dict[str, Any]:
        """What the plug-in is told when it compiles."""
        return {
            _HINT_KEY: self.hint, "PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False,
            "NUM_STREAMS": 0 if self.threads == 1 else 1, "INFERENCE_NUM_THREADS": self.threads,
        }

    def read(self, model: bytes) -> Any:
        """The graph of an ONNX model as OpenVINO's own."""
        if not model:
            raise InputError("not a model: it has no bytes")
        read = self.core.read_model(model)
        if not read.inputs:
            raise InputError("the model has no input")
        return read


class OpenVinoGpu(OpenVino):
    """OpenVINO's GPU plug-in: Intel graphics."""

    name, device, cpu = "openvino-gpu", "GPU", False
    way_out = "install the compute runtime of Intel graphics (Debian and Ubuntu: apt install intel-opencl-icd)"

    @property
    def together(self) -> tuple[str, ...]:
        return tuple(p for p in self.precisions if p in ("fp32", "int8"))  # of floats it knows one type a model

    @property
    def hint(self) -> str:
        return "f32" if self.precision == "mixed" else super().hint

    @property
    def accelerator(self) -> str | None:
        return str(self.core.get_property(self.device, "FULL_DEVICE_NAME"))

    def settings(self) -> dict[str, Any]:
        return {_HINT_KEY: self.hint, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}


class OpenVinoNpu(OpenVinoGpu):
    """OpenVINO's NPU plug-in: the neural unit of Intel Core Ultra. It knows no fp32."""

    name, device = "openvino-npu", "NPU"
    way_out = "install the driver of the Intel NPU (intel-driver-compiler-npu); only a Core Ultra has one"

    def settings(self) -> dict[str, Any]:
        return {_HINT_KEY: self.hint, "PERFORMANCE_HINT": "LATENCY"}


def _shape(port: Any) -> tuple[int | None, ...]:
    return tuple(d.get_length() if d.is_static else None for d in port.partial_shape)


def _cause(err: Exception) -> str:
    """The last line that is not a source position: OpenVINO puts the reason there."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    return (told or lines or [type(err).__name__])[-1]
