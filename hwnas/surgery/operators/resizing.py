"""Maps at another size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hwnas.errors import UsageError
from hwnas.surgery.operators.registry import Node, ints_of, operator


@operator("Resize", "Upsample")
def _resize(node: Node, v: list[Any]) -> Any:
    x = v[0]
    given = [a for a in v[1:] if a is not None and np.asarray(a).size]
    sizes = v[3] if len(v) > 3 and v[3] is not None and np.asarray(v[3]).size else None
    if sizes is not None:
        target = ints_of(sizes)[2:]
    else:
        factors = node.get("scales") if "scales" in node.attributes else np.asarray(given[-1]).reshape(-1)
        target = [int(np.floor(s * f)) for s, f in zip(x.shape[2:], list(factors)[2:], strict=True)]
    mode = node.get("mode", "nearest")
    where = node.get("coordinate_transformation_mode", "half_pixel" if node.kind == "Resize" else "asymmetric")
    if mode == "nearest":
        return _nearest(x, target, where, node.get("nearest_mode", "round_prefer_floor"
                                                   if node.kind == "Resize" else "floor"))
    if where not in ("half_pixel", "pytorch_half_pixel", "align_corners") or mode not in ("linear", "cubic"):
        raise UsageError(f"resizing by {mode} and {where} is not carried out in torch")
    how = "bilinear" if mode == "linear" else "bicubic"
    return functional.interpolate(x, target, mode=how, align_corners=where == "align_corners")


_ROUNDED: dict[str, Callable[[Any], Any]] = {
    "floor": np.floor, "ceil": np.ceil, "round_prefer_ceil": lambda p: np.floor(p + 0.5),
    "round_prefer_floor": lambda p: np.ceil(p - 0.5)}


def _nearest(x: Tensor, target: Sequence[int], where: str, rounding: str) -> Tensor:
    for axis, wanted in enumerate(target, 2):
        size, out = x.shape[axis], np.arange(wanted)
        factor = size / wanted
        places = {"asymmetric": out * factor, "align_corners": out * (size - 1) / max(wanted - 1, 1)}.get(
            where, (out + 0.5) * factor - 0.5)
        chosen = np.clip(_ROUNDED[rounding](places), 0, size - 1).astype(np.int64)
        x = x.index_select(axis, torch.from_numpy(chosen).to(x.device))
    return x
