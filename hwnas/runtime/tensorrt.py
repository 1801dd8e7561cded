"""TensorRT 10 and 11: ONNX to an engine for one GPU.

The two differ in how a precision is asked for. TensorRT 10 takes the fp32 graph and a builder flag. TensorRT 11 has
no such flags: networks are strongly typed, so the graph itself has to be in half floats. int8 comes from the
QuantizeLinear and DequantizeLinear nodes of the graph in both. A graph of several precisions is strongly typed in
both. TF32 is off, so that fp32 is fp32.
"""

from __future__ import annotations

import importlib
from functools import cached_property
from pathlib import Path
from typing import Any

from hwnas.errors import InputError, MissingDependency
from hwnas.runtime import host
from hwnas.runtime.cuda import Cuda
from hwnas.runtime.engine_cache import EngineCache, default_folder
from hwnas.runtime.onnx_file import check_onnx
from hwnas.runtime.runtime import Runtime, Session
from hwnas.runtime.tensorrt_session import TensorRtSession

_WORKSPACE_BYTES = 1 << 30
_LARGEST_BATCH = 64  # of a model with an open batch; larger ones run in parts
_FLAGS_10 = {"fp16": "FP16", "bf16": "BF16", "int8": "INT8"}


class TensorRt(Runtime):
    """NVIDIA TensorRT on the first GPU.

    Args:
        threads, precision, batch: see `Runtime`; threads do not matter to a GPU.
        folder: for engines; None takes `engine_cache.default_folder()`.
    """

    name = "tensorrt"
    cpu = False

    def __init__(
        self, threads: int = 1, precision: str = "fp32", batch: int = 1, folder: Path | None = None
    ) -> None:
        self._trt: Any = importlib.import_module("tensorrt")
        self._cache = EngineCache(folder or default_folder())
        if self.major < 10:
            raise MissingDependency(
                f"TensorRT 10 or 11 (this is {self.version})", f"runtime {self.name}",
                "pip install tensorrt; on a Jetson update to JetPack 6 or newer",
            )
        super().__init__(threads, precision, batch)

    @property
    def version(self) -> str:
        return str(self._trt.__version__)

    @property
    def major(self) -> int:
        """The first number of the version."""
        return int(self.version.split(".")[0])

    @property
    def provider(self) -> str:
        return "TensorRT"

    @property
    def accelerator(self) -> str | None:
        return self.cuda.device_name()

    @property
    def driver(self) -> str | None:
        return host.nvidia_driver()

    @property
    def precisions(self) -> tuple[str, ...]:
        return ("fp32", "fp16", "bf16", "int8") if self.major == 10 else ("fp32", "fp16", "int8")

    @property
    def together(self) -> tuple[str, ...]:
        return ("fp32", "fp16", "bf16", "int8")  # of strongly typed networks

    @property
    def graph_form(self) -> str:
        if self.precision in ("int8", "mixed"):
            return self.precision
        return "fp32" if self.major == 10 else self.precision

    @cached_property
    def cuda(self) -> Cuda:
        """The CUDA runtime beside it."""
        return Cuda()

    def load(self, model: bytes) -> Session:
        check_onnx(model)
        log = _collector(self._trt)
        path = self._cache.path(model, self._made_for())
        kept = self._cache.read(path)
        engine = self._engine(kept, log) if kept else None
        if engine is None:  # never built, or by a version that only looks the same
            built = build(self._trt, model, self._flag(), self.batch, log, typed=self.precision == "mixed")
            engine = self._engine(built, log)
            if engine is None:
                raise InputError(f"TensorRT {self.version} cannot load the engine it built: {log.told}")
            self._cache.write(path, built)
        return TensorRtSession(self._trt, engine, self.cuda)

    def _engine(self, plan: bytes, log: Any) -> Any:
        runtime = self._trt.Runtime(log)
        return runtime.deserialize_cuda_engine(plan)

    def _flag(self) -> str | None:
        return _FLAGS_10.get(self.precision) if self.major == 10 else None

    def _made_for(self) -> dict[str, str | int]:
        return {
            "tensorrt": self.version, "gpu": str(self.accelerator), "driver": str(self.driver),
            "precision": self.precision, "batch": self.batch,
        }


def build(trt: Any, model: bytes, flag: str | None, batch: int, log: Any, typed: bool = False) -> bytes:
    """Parse ONNX and build a serialised engine for the GPU of this machine.

    Args:
        trt: the library.
        model: ONNX bytes.
        flag: the builder flag of the precision, on TensorRT 10.
        batch: what a dimension that the model leaves open is optimised for.
        log: collects what the library says.
        typed: whether every layer computes in the type that the graph gives it; in TensorRT 11 it always does.

    Raises:
        InputError: the model cannot be parsed, or no engine can be built; says what the library says.
    """
    builder = trt.Builder(log)
    kind = trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED if typed else None  # 11 has no other kind
    network = builder.create_network(0 if kind is None else 1 << int(kind))  # explicit batch in both versions
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model):
        raise InputError(f"not a model that TensorRT {trt.__version__} can run: {_errors(parser) or log.told}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    config.clear_flag(trt.BuilderFlag.TF32)
    if flag:
        config.set_flag(getattr(trt.BuilderFlag, flag))
    _open_dimensions(builder, network, config, batch)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise InputError(f"TensorRT {trt.__version__} cannot build an engine of this model: {log.told}")
    return bytes(plan)


def _open_dimensions(builder: Any, network: Any, config: Any, batch: int) -> None:
    """Say for which sizes the dimensions that the model leaves open are optimised."""
    profile = builder.create_optimization_profile()
    needed = False
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        shape = tuple(tensor.shape)
        if any(size < 0 for size in shape):
            least, best, most = (
                tuple(size if size >= 0 else opened for size in shape)
                for opened in (1, batch, max(batch, _LARGEST_BATCH))
            )
            profile.set_shape(tensor.name, least, best, most)
            needed = True
    if needed:
        config.add_optimization_profile(profile)


def _errors(parser: Any) -> str:
    """What the ONNX parser objects to, one clause each."""
    found = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        found.append(f"node {error.node()}: {error.desc()}")
    return "; ".join(found)


def _collector(trt: Any) -> Any:
    """A logger that prints nothing and keeps the errors."""

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._errors: list[str] = []

        @property
        def told(self) -> str:
            """The errors so far."""
            return "; ".join(self._errors) or "it gives no reason"

        def log(self, severity: Any, msg: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                self._errors.append(msg.strip())

    return Log()
