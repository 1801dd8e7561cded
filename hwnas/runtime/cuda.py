"""The dozen calls of the CUDA runtime that executing an engine takes, straight from libcudart.

TensorRT brings libcudart along, so nothing else has to be installed on a device. Every call that fails raises
`HwnasError` with CUDA's own words. Signatures: CUDA Runtime API, sections Memory, Stream, Event and Graph Management.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import weakref
from collections.abc import Callable, Iterator
from ctypes import POINTER, byref, c_char_p, c_float, c_int, c_size_t, c_ulonglong, c_void_p
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hwnas.errors import HwnasError, MissingDependency

if TYPE_CHECKING:
    from hwnas.runtime.runtime import Array

_NAMES = ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0")
_HANDLE = POINTER(c_void_p)
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "cudaMalloc": (_HANDLE, c_size_t),
    "cudaFree": (c_void_p,),
    "cudaMemcpyAsync": (c_void_p, c_void_p, c_size_t, c_int, c_void_p),
    "cudaStreamCreateWithFlags": (_HANDLE, c_int),
    "cudaStreamDestroy": (c_void_p,),
    "cudaStreamSynchronize": (c_void_p,),
    "cudaStreamBeginCapture": (c_void_p, c_int),
    "cudaStreamEndCapture": (c_void_p, _HANDLE),
    "cudaEventCreate": (_HANDLE,),
    "cudaEventDestroy": (c_void_p,),
    "cudaEventRecord": (c_void_p, c_void_p),
    "cudaEventSynchronize": (c_void_p,),
    "cudaEventElapsedTime": (POINTER(c_float), c_void_p, c_void_p),
    "cudaGraphInstantiateWithFlags": (_HANDLE, c_void_p, c_ulonglong),  # 11.4 and newer; one signature in all
    "cudaGraphLaunch": (c_void_p, c_void_p),
    "cudaGraphDestroy": (c_void_p,),
    "cudaGraphExecDestroy": (c_void_p,),
    "cudaGetDeviceProperties": (c_char_p, c_int),
}
_TO_DEVICE, _TO_HOST = 1, 2
_NON_BLOCKING = 1  # a stream of its own, which does not wait for the default one
_THREAD_LOCAL = 1  # what other threads do cannot break a capture
_PROPERTIES_BYTES = 1 << 14  # the structure grows with every release (1 kB in 13); its first field stays the name
_NAME_BYTES = 256


class Cuda:
    """The CUDA runtime.

    Args:
        path: of libcudart; None looks where the system and pip put it.

    Raises:
        MissingDependency: there is no libcudart, or it is older than 11.4.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._library = ctypes.CDLL(str(path)) if path else _find()
        self._library.cudaGetErrorString.restype = c_char_p
        for name, signature in _SIGNATURES.items():
            if not hasattr(self._library, name):
                raise MissingDependency("libcudart 11.4 or newer", "executing on the GPU", f"this one has no {name}")
            getattr(self._library, name).argtypes = signature

    def device_name(self) -> str:
        """Name of the first GPU."""
        properties = ctypes.create_string_buffer(_PROPERTIES_BYTES)
        self.call("cudaGetDeviceProperties", properties, 0)
        return properties.raw[:_NAME_BYTES].split(b"\0", 1)[0].decode("utf-8", "replace")

    def stream(self) -> Stream:
        """A new stream."""
        return Stream(self, self.make("cudaStreamCreateWithFlags", "cudaStreamDestroy", _NON_BLOCKING))

    def buffer(self, size_bytes: int) -> Handle:
        """Memory on the device; freed with the handle."""
        return self.make("cudaMalloc", "cudaFree", max(1, size_bytes))

    def make(self, create: str, destroy: str, *arguments: Any) -> Handle:
        """What a call hands out through its first argument."""
        made = c_void_p()
        self.call(create, byref(made), *arguments)
        return self.handle(made, destroy)

    def handle(self, made: c_void_p, destroy: str) -> Handle:
        """Take charge of something that CUDA made."""
        return Handle(made.value or 0, getattr(self._library, destroy))

    def call(self, name: str, *arguments: Any) -> None:
        """One call.

        Raises:
            HwnasError: it failed.
        """
        if code := getattr(self._library, name)(*arguments):
            why = self._library.cudaGetErrorString(code).decode("utf-8", "replace")
            raise HwnasError(f"{name} failed with error {code}: {why}")


class Handle:
    """Something that CUDA made, destroyed when nobody holds it any more.

    Attributes:
        value: its address.
    """

    def __init__(self, value: int, destroy: Callable[[int], object]) -> None:
        self.value = value
        weakref.finalize(self, destroy, value)


class Stream:
    """Work on the device, in order.

    Attributes:
        value: the handle, as TensorRT wants it.
    """

    def __init__(self, cuda: Cuda, handle: Handle) -> None:
        self._cuda, self._handle = cuda, handle
        self.value = handle.value
        self._begin, self._end = (cuda.make("cudaEventCreate", "cudaEventDestroy") for _ in range(2))

    def upload(self, array: Array, buffer: Handle) -> None:
        """Copy a contiguous array to the device."""
        self._cuda.call("cudaMemcpyAsync", buffer.value, array.ctypes.data, array.nbytes, _TO_DEVICE, self.value)

    def download(self, buffer: Handle, array: Array) -> None:
        """Fill a contiguous array from the device; done after `synchronize`."""
        self._cuda.call("cudaMemcpyAsync", array.ctypes.data, buffer.value, array.nbytes, _TO_HOST, self.value)

    def synchronize(self) -> None:
        """Wait until everything that was asked for is done."""
        self._cuda.call("cudaStreamSynchronize", self.value)

    def time_ms(self, work: Callable[[], object]) -> float:
        """Time on the device between two events around what `work` puts into the stream; resolution 0.5 us."""
        self.synchronize()
        self._cuda.call("cudaEventRecord", self._begin.value, self.value)
        work()
        self._cuda.call("cudaEventRecord", self._end.value, self.value)
        self._cuda.call("cudaEventSynchronize", self._end.value)
        elapsed = c_float()
        self._cuda.call("cudaEventElapsedTime", byref(elapsed), self._begin.value, self._end.value)
        return float(elapsed.value)

    def capture(self, work: Callable[[], object]) -> Graph | None:
        """What `work` puts into the stream as one graph; None if something in it cannot be captured."""
        captured = c_void_p()
        try:
            self._cuda.call("cudaStreamBeginCapture", self.value, _THREAD_LOCAL)
            try:
                work()
            finally:  # or the stream stays in capture
                self._cuda.call("cudaStreamEndCapture", self.value, byref(captured))
            return Graph(self._cuda, self._cuda.handle(captured, "cudaGraphDestroy"), self.value)
        except HwnasError:
            return None


class Graph:
    """Captured work that one call launches, without the launch overhead of its parts."""

    def __init__(self, cuda: Cuda, captured: Handle, stream: int) -> None:
        self._cuda, self._stream = cuda, stream
        self._executable = cuda.make("cudaGraphInstantiateWithFlags", "cudaGraphExecDestroy", captured.value, 0)

    def launch(self) -> None:
        """Put it into its stream."""
        self._cuda.call("cudaGraphLaunch", self._executable.value, self._stream)


def _find() -> ctypes.CDLL:
    for place in (*_NAMES, *map(str, _from_pip())):
        with contextlib.suppress(OSError):
            return ctypes.CDLL(place)
    raise MissingDependency(
        "the CUDA runtime (libcudart)", "executing on the GPU",
        "pip install tensorrt brings it; on a Jetson it comes with JetPack, in /usr/local/cuda/lib64",
    )


def _from_pip() -> Iterator[Path]:
    """libcudart in the wheels that TensorRT and ONNX Runtime depend on, newest first."""
    found = importlib.util.find_spec("nvidia")
    for folder in found.submodule_search_locations or () if found else ():
        yield from sorted(Path(folder).glob("**/libcudart.so.*"), reverse=True)
