"""What must hold of the bytes of an ONNX model before any library is given them: whole, self-contained, finite.

A tensor of a graph may say that its numbers lie in another file, whose path the libraries take relative to the current
directory: no model of hwnas has one, so none is opened. Devices have no onnx library, so the few messages that matter
are read here from protobuf's wire format, without recursion, in time linear in the file.

Glossary
    field    number and type of wire, then a varint, 4 or 8 bytes, or a length and as many bytes
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from hwnas.errors import InputError

if TYPE_CHECKING:
    Field = tuple[int, int | slice]
    Numbers = np.dtype[np.generic]

LARGEST_MODEL = 2**31 - 1  # bytes; protobuf's own limit

# Message -> number of a field -> the message in it; of onnx.proto, all that leads to a tensor.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "weights", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "weights", 2: "tensor"},
}
_DATA_TYPE, _FLOATS, _NAME, _RAW, _DOUBLES, _EXTERNAL, _LOCATION = 2, 4, 8, 9, 10, 13, 14
_FLOATING: dict[int, Numbers] = {1: np.dtype("<f4"), 10: np.dtype("<f2"), 11: np.dtype("<f8")}
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


def check_onnx(model: bytes) -> None:
    """Refuse a model that is damaged, keeps numbers in other files, or has weights that are NaN or infinite.

    Raises:
        InputError: says which.
    """
    found_graph = False
    left: list[tuple[str, slice]] = [("model", slice(0, len(model)))]
    while left:
        kind, place = left.pop()
        if kind in ("tensor", "weights"):
            _check_tensor(model, place, kind == "weights")
            continue
        inside = _INSIDE[kind]
        for number, value in _fields(model, place):
            if number in inside and isinstance(value, slice):
                left.append((inside[number], value))
                found_graph = found_graph or inside[number] == "graph"
    if not found_graph:
        raise InputError("not a model in ONNX: it holds no graph")


def _check_tensor(model: bytes, place: slice, weights: bool) -> None:
    """A tensor; a constant inside a node may be infinite, as the bound of a Clip, a weight may not."""
    kind, name = 0, b""
    numbers: list[tuple[slice, Numbers]] = []
    raw: list[slice] = []
    for number, value in _fields(model, place):
        if number == _EXTERNAL or (number == _LOCATION and value != 0):
            raise InputError("the model keeps tensors in other files, which are not opened: store it in one file, "
                             "e.g. onnx.save_model(onnx.load(FILE), ONE_FILE)")
        if number == _DATA_TYPE and isinstance(value, int):
            kind = value
        elif isinstance(value, slice):
            if number == _NAME:
                name = model[value]
            elif number == _RAW:
                raw = [value]
            elif number in (_FLOATS, _DOUBLES):
                numbers.append((value, np.dtype("<f4" if number == _FLOATS else "<f8")))
    if kind in _FLOATING:
        dtype: Numbers = _FLOATING[kind]
        numbers += [(value, dtype) for value in raw]
        for value, stored in numbers:
            _check_numbers(model[value], stored, weights, name)


def _check_numbers(data: bytes, dtype: Numbers, weights: bool, name: bytes) -> None:
    values = np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)
    if np.isnan(values).any() or (weights and not np.isfinite(values).all()):
        told = name[:60].decode("utf-8", "replace")
        raise InputError(f"the model's tensor {told!r} holds numbers that are NaN or infinite: export it again")


def _fields(model: bytes, place: slice) -> Iterator[Field]:
    """Numbers of the fields of a message, each with its value, or where its bytes lie."""
    at, end = place.start, place.stop
    while at < end:
        key, at = _varint(model, at, end)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(model, at, end)
            yield number, value
        elif wire == _BYTES:
            size, at = _varint(model, at, end)
            if size > end - at:
                raise _damaged(at)
            yield number, slice(at, at + size)
            at += size
        elif wire in (_EIGHT, _FOUR):
            size = 8 if wire == _EIGHT else 4
            if size > end - at:
                raise _damaged(at)
            yield number, slice(at, at + size)
            at += size
        else:
            raise _damaged(at)


def _varint(model: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 64:
        byte = model[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise _damaged(at)


def _damaged(at: int) -> InputError:
    return InputError(f"not a model in ONNX: damaged or cut off at byte {at}")
