"""Maps at another size: every axis in its turn is a weighted sum of some of its places.

symbol  meaning                                            shape
f       places of the result over places of the map        ()
p       where a place of the result lies in the map        (wanted,), float32, as runtimes compute it
taps    which places it is the sum of, and their weights   (wanted,) each
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hwnas.errors import UsageError
from hwnas.surgery.operators.registry import Node, ints_of, operator

Places = NDArray[np.float32]
Tap = tuple[NDArray[np.int64], Places]

HALF, SHARP = np.float32(0.5), -0.75  # the slope that a cubic has where nothing else is said
_WHERE: dict[str, Callable[[Places, np.float32, int, int], Places]] = {
    "half_pixel": lambda out, f, size, wanted: (out + HALF) / f - HALF,
    "pytorch_half_pixel": lambda out, f, size, wanted: (out + HALF) / f - HALF if wanted > 1 else out * 0,
    "align_corners": lambda out, f, size, wanted: out * np.float32(size - 1) / np.float32(max(wanted - 1, 1)),
    "asymmetric": lambda out, f, size, wanted: out / f}
_ROUNDED: dict[str, Callable[[Any], Any]] = {
    "floor": np.floor, "ceil": np.ceil, "round_prefer_ceil": lambda p: np.floor(p + HALF),
    "round_prefer_floor": lambda p: np.ceil(p - HALF)}
_HARMLESS = {"keep_aspect_ratio_policy": "stretch", "antialias": 0}


@operator("Resize", "Upsample")
def _resize(node: Node, v: list[Any]) -> Any:
    x, old = v[0], node.kind == "Upsample" or node.opset < 11
    mode = node.get("mode", "nearest")
    where = node.get("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    if where not in _WHERE or mode not in ("nearest", "linear", "cubic"):
        raise UsageError(f"resizing by {mode} and {where} is not carried out in torch")
    for name, harmless in _HARMLESS.items():
        if node.get(name, harmless) != harmless:
            raise UsageError(f"resizing with {name} = {node.get(name)} is not carried out in torch")
    axes = [axis % x.dim() for axis in node.get("axes", range(x.dim()))]
    wanted = [(axis, f, n) for axis, f, n in zip(axes, *_sizes(node, v, axes), strict=True)
              if axis and not f == 1 == n / x.shape[axis]]  # axis 0: a batch keeps what it has
    if _plain(node, x, mode, where, wanted):
        sizes = {axis: n for axis, _, n in wanted}
        return functional.interpolate(x, [sizes.get(a, x.shape[a]) for a in (2, 3)], align_corners=where[0] == "a",
                                      mode="bilinear" if mode == "linear" else "bicubic")
    for axis, f, n in wanted:
        size = x.shape[axis]
        p = _WHERE[where](np.arange(n, dtype=np.float32), np.float32(f), size, n)
        if mode == "nearest":
            usual = "round_prefer_floor" if not old else "ceil" if f < 1 else "floor"
            x = x.index_select(axis, _index(_ROUNDED[node.get("nearest_mode", usual)](p), size, x))
        else:
            taps = _linear(p, size) if mode == "linear" else _cubic(
                p, size, node.get("cubic_coeff_a", SHARP), bool(node.get("exclude_outside", 0)))
            x = _summed(x, axis, taps)
    return x


def _sizes(node: Node, v: list[Any], axes: Sequence[int]) -> tuple[list[float], list[int]]:
    """Of every axis the factor and the size of the result."""
    given = [np.asarray(a) for a in v[1:] if a is not None and np.asarray(a).size]
    old = [v[0].shape[axis] for axis in axes]
    if len(v) > 3 and v[3] is not None and np.asarray(v[3]).size:
        sizes = ints_of(v[3])
        return [n / o for n, o in zip(sizes, old, strict=True)], sizes
    factors = np.asarray(node.get("scales") if "scales" in node.attributes else given[-1], np.float32).reshape(-1)
    return [float(f) for f in factors], [int(np.float32(o) * f) for o, f in zip(old, factors, strict=True)]


def _plain(node: Node, x: Tensor, mode: str, where: str, wanted: Sequence[tuple[int, float, int]]) -> bool:
    """Whether torch's own function, which is faster, does just that."""
    exact = all(axis > 1 and n > 1 and f == n / x.shape[axis] for axis, f, n in wanted)
    usual = node.get("cubic_coeff_a", SHARP) == SHARP and not node.get("exclude_outside", 0)
    return x.dim() == 4 and mode != "nearest" and where != "asymmetric" and exact and usual


def _index(places: Places, size: int, x: Tensor) -> Tensor:
    return torch.from_numpy(np.clip(places, 0, size - 1).astype(np.int64)).to(x.device)


def _linear(p: Places, size: int) -> Iterator[Tap]:
    p = np.clip(p, 0, size - 1)
    low = np.floor(p).astype(np.int64)
    for place, weight in ((low, 1 - (p - low)), (low + 1, p - low)):
        yield place, weight.astype(np.float32)


def _cubic(p: Places, size: int, a: float, inside_only: bool) -> Iterator[Tap]:
    low = np.floor(p).astype(np.int64)
    places = [low + k for k in (-1, 0, 1, 2)]
    weights = []
    for place in places:
        d = np.abs(p.astype(np.float64) - place)
        near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        weights.append(np.where(d <= 1, near, far) * (1 if not inside_only else (place >= 0) & (place < size)))
    total = np.sum(weights, axis=0) if inside_only else 1.0
    for place, weight in zip(places, weights, strict=True):
        yield place, (weight / total).astype(np.float32)


def _summed(x: Tensor, axis: int, taps: Iterator[Tap]) -> Tensor:
    size, shape = x.shape[axis], [-1 if a == axis else 1 for a in range(x.dim())]
    parts = [x.index_select(axis, _index(places.astype(np.float32), size, x)) * torch.from_numpy(weights).to(
        x.device, x.dtype).reshape(shape) for places, weights in taps]
    return torch.stack(parts).sum(0)
