"""A TensorRT engine with its buffers on the device.

Glossary
    pieces   parts of a batch that is larger than the engine takes at once
    graph    the CUDA graph of one run; it is captured after the first run of a shape and launched while timing
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hwnas.errors import InputError
from hwnas.runtime.cuda import Cuda, Graph, Handle
from hwnas.runtime.inputs import check
from hwnas.runtime.runtime import Array, Inputs, Session


class TensorRtSession(Session):
    """Executes an engine on a stream of its own.

    Args:
        trt: the library.
        engine: deserialised; one optimisation profile.
        cuda: the CUDA runtime.

    Raises:
        InputError: the engine has no input, or the device has no memory for it.
    """

    threads = 1

    def __init__(self, trt: Any, engine: Any, cuda: Cuda) -> None:
        self._engine, self._cuda, self._stream = engine, cuda, cuda.stream()
        self._context = engine.create_execution_context()
        if self._context is None:
            raise InputError("the device has not enough memory to execute this model: use a smaller batch")
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        read = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        if not read:
            raise InputError("the model has no input")
        self._outputs = [name for name in names if name not in read]
        self._dtypes = {name: np.dtype(trt.nptype(engine.get_tensor_dtype(name))) for name in names}
        self._wanted = {name: (self._dtypes[name], _shape(engine.get_tensor_shape(name))) for name in read}
        self.input_name = read[0]
        self.input_dtype, self.input_shape = self._wanted[read[0]]
        self._buffers: dict[str, Handle] = {}
        self._results: dict[str, Array] = {}
        self._bound: dict[str, tuple[int, ...]] = {}
        self._graph: Graph | None = None
        self._tried = False  # to capture it

    def run(self, inputs: Inputs) -> list[Array]:
        check(inputs, self._wanted)
        pieces = [self._run_piece(piece) for piece in self._pieces(inputs)]
        return pieces[0] if len(pieces) == 1 else [np.concatenate(parts) for parts in zip(*pieces)]  # noqa: B905

    def time_ms(self, inputs: Inputs) -> float:
        """CUDA events around one launch of the graph; around plain execution if it cannot be captured."""
        check(inputs, self._wanted)
        if len(self._pieces(inputs)) > 1:
            raise InputError(f"the engine takes at most {self._most()} images at once: lower the batch")
        self._upload(inputs)
        if not self._tried:
            self._execute()  # a graph can be captured after a plain run only
            self._stream.synchronize()
            self._graph, self._tried = self._stream.capture(self._execute), True
        return self._stream.time_ms(self._graph.launch if self._graph else self._execute)

    def _most(self) -> int:
        """The largest batch that the engine takes."""
        engine = self._engine
        return int(engine.get_tensor_profile_shape(self.input_name, 0)[2][0])

    def _pieces(self, inputs: Inputs) -> list[Inputs]:
        """The batch in parts that the engine takes; only one whose first dimension is open has to be parted."""
        if not all(shape and shape[0] is None for _, shape in self._wanted.values()):
            return [inputs]
        most, size = self._most(), len(inputs[self.input_name])
        return [{name: array[i : i + most] for name, array in inputs.items()} for i in range(0, size, most)]

    def _run_piece(self, inputs: Inputs) -> list[Array]:
        self._upload(inputs)
        self._execute()
        for name, result in self._results.items():
            self._stream.download(self._buffers[name], result)
        self._stream.synchronize()
        return [result.copy() for result in self._results.values()]

    def _execute(self) -> None:
        context = self._context
        if not context.execute_async_v3(self._stream.value):
            raise InputError("TensorRT could not start the model on the device")

    def _upload(self, inputs: Inputs) -> None:
        """Copy the inputs to the device."""
        arrays = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        shapes = {name: tuple(array.shape) for name, array in arrays.items()}
        if shapes != self._bound:
            self._bind(shapes)
        for name, array in arrays.items():
            self._stream.upload(array, self._buffers[name])
        self._stream.synchronize()  # the copies read arrays that may be gone after this

    def _bind(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """Buffers for these input shapes and for the outputs that follow from them."""
        context = self._context
        self._graph, self._tried, self._bound = None, False, {}
        for name, shape in shapes.items():
            if not context.set_input_shape(name, shape):
                raise InputError(f"the model does not take these inputs: {name} of shape {list(shape)}")
        results = {name: tuple(context.get_tensor_shape(name)) for name in self._outputs}
        if any(size < 0 for shape in results.values() for size in shape):
            raise InputError("the model has outputs whose size depends on the values: they cannot be timed")
        self._results = {name: np.empty(shape, self._dtypes[name]) for name, shape in results.items()}
        for name, shape in {**shapes, **results}.items():
            self._buffers[name] = self._cuda.buffer(int(np.prod(shape)) * self._dtypes[name].itemsize)
            context.set_tensor_address(name, self._buffers[name].value)
        self._bound = shapes


def _shape(sizes: Any) -> tuple[int | None, ...]:
    return tuple(int(size) if size >= 0 else None for size in sizes)
