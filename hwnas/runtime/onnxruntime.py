"""ONNX Runtime on the CPU."""

from __future__ import annotations

import platform

import numpy as np
import onnxruntime

from hwnas.errors import InputError
from hwnas.runtime.onnx_file import check_onnx
from hwnas.runtime.runtime import Array, Inputs, Runtime, Session

_DTYPES = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(int64)": np.int64, "tensor(int32)": np.int32,
}


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Full graph optimisation, operators one after the other."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    if threads > 1:
        # threads spin inside a run, as by default (30 % faster on small networks), and stop with it: hundreds of
        # sessions are resident while a table is measured, and idle pools that spin would steal the cores
        options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


class OnnxRuntimeSession(Session):
    """A model compiled by ONNX Runtime at full optimisation."""

    def __init__(self, session: onnxruntime.InferenceSession, threads: int) -> None:
        self.session = session
        self.threads = threads
        first = session.get_inputs()[0]
        self.input_name = first.name
        self.input_shape = tuple(d if isinstance(d, int) else None for d in first.shape)
        self.input_dtype = np.dtype(_DTYPES.get(first.type, np.float32))

    def run(self, inputs: Inputs) -> list[Array]:
        try:
            outputs: list[Array] = self.session.run(None, inputs)
        except Exception as err:  # the library's errors share no base class of their own
            raise InputError(f"the model does not take these inputs: {first_line(err)}") from err
        return outputs


class OnnxRuntime(Runtime):
    """ONNX Runtime, CPU execution provider, full graph optimisation, sequential execution."""

    name = "onnxruntime"

    @property
    def version(self) -> str:
        return str(onnxruntime.__version__)

    @property
    def provider(self) -> str:
        return "CPUExecutionProvider"

    @property
    def precisions(self) -> tuple[str, ...]:
        # x86 has no half-float kernels: there every node of such a graph is computed in fp32 between two casts
        return ("fp32", "int8", "fp16") if platform.machine() in ("aarch64", "arm64") else ("fp32", "int8")

    @property
    def together(self) -> tuple[str, ...]:
        return self.precisions  # precisions are of graphs

    @property
    def graph_form(self) -> str:
        return self.precision

    def load(self, model: bytes) -> Session:
        return OnnxRuntimeSession(self.compile(model, session_options(self.threads)), self.threads)

    def compile(
        self, model: bytes, options: onnxruntime.SessionOptions, settings: dict[str, str] | None = None
    ) -> onnxruntime.InferenceSession:
        """A session on this provider and on no other."""
        check_onnx(model)
        try:
            session = onnxruntime.InferenceSession(
                model, options, providers=[(self.provider, settings or {})], enable_fallback=0
            )
        except Exception as err:  # the library's errors share no base class of their own
            raise InputError(f"not a model that ONNX Runtime {self.version} can run: {first_line(err)}") from err
        if not session.get_inputs() or not session.get_outputs():
            raise InputError("the model has no input, or no output")
        return session


def first_line(err: Exception) -> str:
    """What a library's error says, in one line."""
    return (str(err).strip().splitlines() or [type(err).__name__])[0]
