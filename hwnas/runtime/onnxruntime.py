"""ONNX Runtime on the CPU."""

from __future__ import annotations

import numpy as np
import onnxruntime

from hwnas.errors import InputError
from hwnas.runtime.runtime import Array, Inputs, Runtime, Session

_DTYPES = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8, "tensor(int8)": np.int8, "tensor(int64)": np.int64, "tensor(int32)": np.int32,
}


def _options(threads: int) -> onnxruntime.SessionOptions:
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
        self._session = session
        self.threads = threads
        first = session.get_inputs()[0]
        self.input_name = first.name
        self.input_shape = tuple(d if isinstance(d, int) else None for d in first.shape)
        self.input_dtype = np.dtype(_DTYPES.get(first.type, np.float32))

    def run(self, inputs: Inputs) -> list[Array]:
        try:
            outputs: list[Array] = self._session.run(None, inputs)
        except Exception as err:  # the library's errors share no base class of their own
            raise InputError(f"the model does not take these inputs: {_first_line(err)}") from err
        return outputs


class OnnxRuntime(Runtime):
    """ONNX Runtime, CPU execution provider, full graph optimisation, sequential execution."""

    name = "onnxruntime"

    @property
    def version(self) -> str:
        return str(onnxruntime.__version__)

    def load(self, model: bytes) -> Session:
        try:
            session = onnxruntime.InferenceSession(
                model, _options(self.threads), providers=["CPUExecutionProvider"]
            )
        except Exception as err:  # the library's errors share no base class of their own
            raise InputError(f"not a model that ONNX Runtime {self.version} can run: {_first_line(err)}") from err
        if not session.get_inputs():
            raise InputError("the model has no input")
        return OnnxRuntimeSession(session, self.threads)


def _first_line(err: Exception) -> str:
    return (str(err).strip().splitlines() or [type(err).__name__])[0]
