"""ONNX Runtime on an NVIDIA GPU: the CUDA and the TensorRT execution provider, and never the processor instead."""

from __future__ import annotations

import time

import onnxruntime

from hwnas.errors import InputError, MissingDependency
from hwnas.runtime import host
from hwnas.runtime.engine_cache import default_folder
from hwnas.runtime.onnxruntime import OnnxRuntime, OnnxRuntimeSession, first_line, session_options
from hwnas.runtime.runtime import Inputs, Session

_WAY_OUT = (
    "pip uninstall onnxruntime, then pip install onnxruntime-gpu (the two overwrite each other); "
    "on a Jetson take the wheel that belongs to its JetPack"
)


class BoundSession(OnnxRuntimeSession):
    """A session whose inputs and outputs stay on the device while it is timed.

    Args:
        session: compiled for `device`.
        device: 'cuda', in ONNX Runtime's words.
    """

    def __init__(self, session: onnxruntime.InferenceSession, device: str) -> None:
        super().__init__(session, threads=1)
        self._device = device

    def time_ms(self, inputs: Inputs) -> float:
        """Wall time: a run returns when the device has finished, and the processor may sleep until then."""
        binding = self.session.io_binding()
        try:
            for name, array in inputs.items():
                value = onnxruntime.OrtValue.ortvalue_from_numpy(array, self._device, 0)
                binding.bind_ortvalue_input(name, value)
            for output in self.session.get_outputs():
                binding.bind_output(output.name, self._device)
            binding.synchronize_inputs()
            start = time.perf_counter_ns()
            self.session.run_with_iobinding(binding)
            binding.synchronize_outputs()
            return (time.perf_counter_ns() - start) / 1e6
        except Exception as err:  # the library's errors share no base class of their own
            raise InputError(f"the model does not take these inputs: {first_line(err)}") from err


class OnnxRuntimeCuda(OnnxRuntime):
    """ONNX Runtime, CUDA execution provider. Every node runs there, or the model is refused."""

    name = "onnxruntime-cuda"
    cpu = False

    def __init__(self, threads: int = 1, precision: str = "fp32", batch: int = 1) -> None:
        if hasattr(onnxruntime, "preload_dlls"):  # since 1.21: finds CUDA where pip has put it
            onnxruntime.preload_dlls()
        if self.provider not in onnxruntime.get_available_providers():
            raise MissingDependency(f"ONNX Runtime built with {self.provider}", f"runtime {self.name}", _WAY_OUT)
        super().__init__(threads, precision, batch)

    @property
    def provider(self) -> str:
        return "CUDAExecutionProvider"

    @property
    def accelerator(self) -> str | None:
        return host.nvidia_gpu()

    @property
    def driver(self) -> str | None:
        return host.nvidia_driver()

    @property
    def precisions(self) -> tuple[str, ...]:
        return ("fp32", "fp16")  # it has no int8 convolution

    def load(self, model: bytes) -> Session:
        options = session_options(self.threads)
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        session = self.compile(model, options, self.settings())
        got = session.get_providers()[0]
        if got != self.provider:  # the provider's own library did not load: ONNX Runtime only logs that
            raise MissingDependency(
                f"the CUDA libraries of {self.provider} (the session came up on {got})", f"runtime {self.name}",
                "the message above names the library; ONNX Runtime's page on this provider names the versions",
            )
        return BoundSession(session, "cuda")

    def settings(self) -> dict[str, str]:
        """What the provider is told when it compiles."""
        return {"use_tf32": "0"}  # fp32 is fp32: TF32 has the mantissa of fp16


class OnnxRuntimeTensorRt(OnnxRuntimeCuda):
    """ONNX Runtime, TensorRT execution provider: engines are built at load and kept on disk."""

    name = "onnxruntime-tensorrt"

    @property
    def provider(self) -> str:
        return "TensorrtExecutionProvider"

    @property
    def precisions(self) -> tuple[str, ...]:
        return ("fp32", "fp16", "int8")

    @property
    def together(self) -> tuple[str, ...]:
        return ("fp32", "int8")  # halves are a setting of the whole engine

    @property
    def graph_form(self) -> str:
        return self.precision if self.precision in ("int8", "mixed") else "fp32"

    def settings(self) -> dict[str, str]:
        folder = default_folder() / "onnxruntime"
        folder.mkdir(parents=True, exist_ok=True)
        return {
            "trt_fp16_enable": str(self.precision == "fp16"),
            "trt_int8_enable": str(self.precision in ("int8", "mixed")),
            "trt_engine_cache_enable": "True", "trt_engine_cache_path": str(folder),
        }
