"""What moves values: shapes, slices, joins."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from onnx import helper
from torch import Tensor
from torch.nn import functional

from hwnas.errors import UsageError
from hwnas.surgery.operators.registry import Node, all_arrays, ints_of, number_of, operator, tensor_of


@operator("Identity", "Dropout")
def _identity(node: Node, v: list[Any]) -> Any:
    return v[0]


@operator("Constant")
def _constant(node: Node, v: list[Any]) -> Any:
    for name in ("value", "value_int", "value_ints", "value_float", "value_floats"):
        if name in node.attributes:
            return np.asarray(node.get(name))
    raise UsageError("a constant of text is not carried out in torch")


@operator("Shape")
def _shape(node: Node, v: list[Any]) -> Any:
    return np.asarray(v[0].shape, np.int64)[node.get("start", 0):node.get("end", None)]


@operator("Cast")
def _cast(node: Node, v: list[Any]) -> Any:
    dtype = helper.tensor_dtype_to_np_dtype(node.get("to"))
    if isinstance(v[0], np.ndarray):
        return v[0].astype(dtype)
    return v[0].to(torch.from_numpy(np.zeros((), dtype)).dtype)


@operator("ConstantOfShape")
def _constant_of_shape(node: Node, v: list[Any]) -> Any:
    value = node.get("value", np.zeros(1, np.float32))
    return np.full(ints_of(v[0]), value.reshape(-1)[0], value.dtype)


@operator("Flatten")
def _flatten(node: Node, v: list[Any]) -> Any:
    axis = node.get("axis", 1)  # below 0 it counts from behind the last, which 4 of a map of 4 axes does not
    return v[0].reshape(prod(v[0].shape[:axis]), prod(v[0].shape[axis:]))


@operator("Reshape")
def _reshape(node: Node, v: list[Any]) -> Any:
    sizes = ints_of(v[1])
    old = list(v[0].shape)
    if not node.get("allowzero", 0):
        sizes = [old[i] if size == 0 else size for i, size in enumerate(sizes)]
    wrong = -1 not in sizes and prod(sizes) != prod(old)
    if sizes and sizes[0] == 1 and (wrong or (node.single and old[0] != 1)):  # a batch that was fixed when exported
        sizes = [old[0], *sizes[1:]]
    return v[0].reshape(sizes)


@operator("Transpose")
def _transpose(node: Node, v: list[Any]) -> Any:
    axes = node.get("perm") or list(reversed(range(len(v[0].shape))))
    return v[0].transpose(axes) if isinstance(v[0], np.ndarray) else v[0].permute(axes)


@operator("Squeeze", "Unsqueeze")
def _squeeze(node: Node, v: list[Any]) -> Any:
    axes = node.get("axes") if "axes" in node.attributes else ints_of(v[1]) if len(v) > 1 and v[1] is not None else None
    x = v[0]
    if node.kind == "Squeeze":
        rank = len(x.shape)
        gone = {a % rank for a in axes} if axes is not None else {i for i, s in enumerate(x.shape) if s == 1}
        return x.reshape([s for i, s in enumerate(x.shape) if i not in gone])
    rank = len(x.shape) + len(axes or ())
    added, sizes = {a % rank for a in axes or ()}, iter(x.shape)
    return x.reshape([1 if i in added else next(sizes) for i in range(rank)])


@operator("Concat")
def _concat(node: Node, v: list[Any]) -> Any:
    if all_arrays(v):
        return np.concatenate([np.atleast_1d(x) for x in v], node.get("axis"))
    like = next(x for x in v if isinstance(x, Tensor))
    return torch.cat([tensor_of(x, like) for x in v], node.get("axis"))


@operator("Split")
def _split(node: Node, v: list[Any]) -> Any:
    axis, parts = node.get("axis", 0), len(node.outputs)
    given = ints_of(v[1]) if len(v) > 1 and v[1] is not None else None
    sizes = node.get("split", given)
    if sizes is None:
        each = -(-v[0].shape[axis] // parts)
        sizes = [each] * (parts - 1) + [v[0].shape[axis] - each * (parts - 1)]
    if isinstance(v[0], np.ndarray):
        return np.split(v[0], np.cumsum(sizes)[:-1], axis)
    return torch.split(v[0], list(sizes), axis)


@operator("Slice")
def _slice(node: Node, v: list[Any]) -> Any:
    if "starts" in node.attributes:
        starts, ends, axes, steps = node.get("starts"), node.get("ends"), node.get("axes"), None
    else:
        starts, ends = ints_of(v[1]), ints_of(v[2])
        axes = ints_of(v[3]) if len(v) > 3 and v[3] is not None else None
        steps = ints_of(v[4]) if len(v) > 4 and v[4] is not None else None
    x = v[0]
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis, step = (axes[i] if axes is not None else i), (steps[i] if steps is not None else 1)
        axis %= len(x.shape)
        places = np.arange(x.shape[axis])[slice(start, None if end < -x.shape[axis] else end, step)]
        if isinstance(x, np.ndarray):
            x = np.take(x, places, axis)
        elif step > 0:
            first = int(places[0]) if len(places) else 0
            x = x.narrow(axis, first, int(places[-1]) - first + 1 if len(places) else 0)
            x = x[(slice(None),) * axis + (slice(None, None, step),)] if step > 1 else x
        else:
            x = x.index_select(axis, torch.from_numpy(places.copy()).to(x.device))
    return x


@operator("Gather")
def _gather(node: Node, v: list[Any]) -> Any:
    axis, places = node.get("axis", 0), v[1]
    if all_arrays(v):
        return np.take(v[0], places, axis)
    x = v[0] if isinstance(v[0], Tensor) else tensor_of(v[0])
    index = tensor_of(places).to(x.device)
    found = x.index_select(axis, index.reshape(-1) % x.shape[axis])
    return found.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1:])


@operator("Expand")
def _expand(node: Node, v: list[Any]) -> Any:
    shape = np.broadcast_shapes(tuple(v[0].shape), tuple(ints_of(v[1])))
    return np.broadcast_to(v[0], shape) if isinstance(v[0], np.ndarray) else v[0].expand(shape)


@operator("Tile")
def _tile(node: Node, v: list[Any]) -> Any:
    return np.tile(v[0], ints_of(v[1])) if isinstance(v[0], np.ndarray) else v[0].repeat(ints_of(v[1]))


@operator("Where")
def _where(node: Node, v: list[Any]) -> Any:
    if all_arrays(v):
        return np.where(v[0], v[1], v[2])
    like = next((x for x in v[1:] if isinstance(x, Tensor)), None)
    return torch.where(tensor_of(v[0]), tensor_of(v[1], like), tensor_of(v[2], like))


@operator("Pad")
def _pad(node: Node, v: list[Any]) -> Any:
    pads = list(node.get("pads")) if "pads" in node.attributes else ints_of(v[1])
    rank = len(v[0].shape)
    axes = ints_of(v[3]) if len(v) > 3 and v[3] is not None else range(rank)
    sides = {axis % rank: (pads[i], pads[len(pads) // 2 + i]) for i, axis in enumerate(axes)}
    flat = [p for i in reversed(range(rank)) for p in sides.get(i, (0, 0))]
    how = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}[
        node.get("mode", "constant")]
    if how == "constant":
        fill = node.get("value", 0.0) if "value" in node.attributes else number_of(v[2] if len(v) > 2 else None, 0.0)
        return functional.pad(v[0], flat, value=fill)
    while len(flat) > 2 and flat[-2:] == [0, 0]:
        flat = flat[:-2]
    whole = max(0, len(flat) // 2 + 1 - rank)  # torch wants an axis before those that it pads
    try:
        padded = functional.pad(v[0].reshape(*[1] * whole, *v[0].shape), flat, how)
    except (NotImplementedError, RuntimeError) as err:
        raise UsageError(f"padding of {pads} by {how} is not carried out in torch: {err}") from err
    return padded.reshape(padded.shape[whole:])


@operator("DepthToSpace")
def _depth_to_space(node: Node, v: list[Any]) -> Any:
    block, (n, c, h, w) = node.get("blocksize"), v[0].shape
    if node.get("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(v[0], block)
    x = v[0].reshape(n, block, block, c // block**2, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n, c // block**2, h * block, w * block)
