"""The execution path of TensorRT on the processor: libcudart's calls in C, an engine that doubles its input.

It holds our side: buffers, shapes, copies, batches in parts, timing, what is freed. That the names of the real library
are used as it wants them is held by test_tensorrt_api.py; that numbers are right on a GPU by test_contract.py.
"""

from __future__ import annotations

import ctypes
import gc
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hwnas.errors import HwnasError, InputError, MissingDependency
from hwnas.runtime.cuda import Cuda
from hwnas.runtime.tensorrt_session import TensorRtSession


class Library:
    """What a session asks of the library itself."""

    class TensorIOMode:
        INPUT, OUTPUT = 1, 2

    @staticmethod
    def nptype(dtype: Any) -> Any:
        return dtype


class DoublingEngine:
    """An engine for (batch, 3): y = 2 x, for batches up to `most`; reads and writes the addresses it was given."""

    num_io_tensors = 2

    def __init__(self, most: int = 4) -> None:
        self.most, self.executions, self.x, self.addresses = most, 0, (0, 0), dict[str, int]()

    def create_execution_context(self) -> DoublingEngine:
        return self

    def get_tensor_name(self, index: int) -> str:
        return "xy"[index]

    def get_tensor_mode(self, name: str) -> int:
        return Library.TensorIOMode.INPUT if name == "x" else Library.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return np.float32

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.x if self.x[0] else (-1, 3)

    def get_tensor_profile_shape(self, name: str, index: int) -> list[tuple[int, int]]:
        return [(1, 3), (1, 3), (self.most, 3)]

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.x = shape
        return shape[0] <= self.most

    def set_tensor_address(self, name: str, address: int) -> None:
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        n = int(np.prod(self.x))
        x, y = (np.ctypeslib.as_array((ctypes.c_float * n).from_address(self.addresses[name])) for name in "xy")
        y[:] = 2 * x
        self.executions += 1
        return stream != 0


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("gcc is not at hand")
    path = tmp_path_factory.mktemp("cuda") / "libcudart.so"
    source = Path(__file__).with_name("host_cudart.c")
    subprocess.run([gcc, "-shared", "-fPIC", "-o", str(path), str(source)], check=True, timeout=240)
    return path


@pytest.fixture
def cuda(library: Path) -> Cuda:
    return Cuda(library)


def session_of(cuda: Cuda, engine: DoublingEngine) -> TensorRtSession:
    return TensorRtSession(Library, engine, cuda)


def test_describes_and_runs(cuda: Cuda) -> None:
    session = session_of(cuda, DoublingEngine())
    assert (session.input_name, session.input_shape, session.input_dtype) == ("x", (None, 3), np.dtype(np.float32))
    for batch in (1, 3, 1):
        x = session.example(batch)["x"]
        np.testing.assert_array_equal(session.run({"x": x})[0], 2 * x)


def test_a_batch_beyond_the_engine_runs_in_parts(cuda: Cuda) -> None:
    engine = DoublingEngine(most=4)
    session = session_of(cuda, engine)
    x = session.example(10)["x"]
    np.testing.assert_array_equal(session.run({"x": x})[0], 2 * x)
    assert engine.executions == 3
    with pytest.raises(InputError, match="at most 4"):
        session.time_ms({"x": x})


def test_timing_launches_a_graph_and_captures_once_per_shape(cuda: Cuda, library: Path) -> None:
    engine = DoublingEngine()
    session, host = session_of(cuda, engine), ctypes.CDLL(str(library))
    before = host.host_launched()
    for batch in (2, 2, 2, 3, 3):
        assert 0 <= session.time_ms(session.example(batch)) < 100
    assert host.host_launched() - before == 5
    assert engine.executions == 4  # once plainly and once captured, for each of two shapes


def test_outputs_are_copies(cuda: Cuda) -> None:
    session = session_of(cuda, DoublingEngine())
    first = session.run({"x": np.ones((1, 3), np.float32)})[0]
    session.run({"x": np.full((1, 3), 9, np.float32)})
    np.testing.assert_array_equal(first, 2)


@pytest.mark.parametrize("bad", [
    {"x": np.ones((1, 4), np.float32)}, {"x": np.ones((1, 3), np.float64)}, {"z": np.ones((1, 3), np.float32)}, {},
])
def test_inputs_that_do_not_fit(cuda: Cuda, bad: dict[str, np.ndarray]) -> None:
    session = session_of(cuda, DoublingEngine())
    for call in (session.run, session.time_ms):
        with pytest.raises(InputError, match="does not take these inputs"):
            call(bad)


def test_everything_is_freed(cuda: Cuda, library: Path) -> None:
    host = ctypes.CDLL(str(library))
    gc.collect()
    before = host.host_live()
    session = session_of(cuda, DoublingEngine())
    for batch in (1, 2, 1):
        session.time_ms(session.example(batch))
    assert host.host_live() > before
    del session
    gc.collect()
    assert host.host_live() == before


def test_names_and_failures_are_in_cudas_words(cuda: Cuda) -> None:
    assert cuda.device_name() == "Host GPU"
    with pytest.raises(HwnasError, match="cudaMalloc failed with error 2: out of memory"):
        cuda.buffer(1 << 50)


def test_a_library_that_is_too_old(tmp_path: Path) -> None:
    if (gcc := shutil.which("gcc")) is None:
        pytest.skip("gcc is not at hand")
    (tmp_path / "old.c").write_text("const char *cudaGetErrorString(int code) { return \"\"; }\n", encoding="ascii")
    old = tmp_path / "libcudart.so"
    subprocess.run([gcc, "-shared", "-fPIC", "-o", str(old), str(tmp_path / "old.c")], check=True, timeout=240)
    with pytest.raises(MissingDependency, match=r"libcudart 11\.4 or newer"):
        Cuda(old)


def test_the_real_library_has_every_call() -> None:
    """Where pip or the system brought one; without a driver every call fails, and says so."""
    try:
        cuda = Cuda()
    except MissingDependency as err:
        pytest.skip(str(err))
    try:
        answer = cuda.device_name()
    except HwnasError as err:
        answer = str(err)
    assert answer.startswith(("NVIDIA", "Tesla", "cudaGetDeviceProperties failed with error"))
