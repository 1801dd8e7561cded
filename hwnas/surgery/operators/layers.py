"""Convolutions, products, norms and pools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from hwnas.errors import UsageError
from hwnas.surgery.operators.registry import Node, operator, tensor_of


def _padded(node: Node, x: Tensor, kernel: Sequence[int], fill: float = 0.0) -> tuple[Tensor, list[int]]:
    """The image with what cannot be left to torch already around it, and the rest, alike on both sides."""
    rank = len(kernel)
    strides = node.get("strides", [1] * rank)
    dilations = node.get("dilations", [1] * rank)
    how, pads = node.get("auto_pad", "NOTSET"), list(node.get("pads", [0] * (2 * rank)))
    if how in ("SAME_UPPER", "SAME_LOWER"):
        pads = [0] * (2 * rank)
        for i in range(rank):
            size = x.shape[2 + i]
            need = max(0, (-(-size // strides[i]) - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - size)
            small, large = need // 2, need - need // 2
            pads[i], pads[rank + i] = (small, large) if how == "SAME_UPPER" else (large, small)
    begin, end = pads[:rank], pads[rank:]
    if begin == end:
        return x, begin
    flat = [p for i in reversed(range(rank)) for p in (begin[i], end[i])]
    return functional.pad(x, flat, value=fill), [0] * rank


@operator("Conv")
def _conv(node: Node, v: list[Any]) -> Any:
    x, w = v[0], tensor_of(v[1], v[0])
    rank = w.dim() - 2
    x, padding = _padded(node, x, w.shape[2:])
    function = (functional.conv1d, functional.conv2d, functional.conv3d)[rank - 1]
    bias = tensor_of(v[2], x) if len(v) > 2 and v[2] is not None else None
    return function(x, w, bias, node.get("strides", [1] * rank), padding, node.get("dilations", [1] * rank),
                    node.get("group", 1))


@operator("ConvTranspose")
def _conv_transpose(node: Node, v: list[Any]) -> Any:
    x, w = v[0], tensor_of(v[1], v[0])
    rank = w.dim() - 2
    if node.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or node.get("output_shape"):
        raise UsageError("a transposed convolution that pads by itself is not carried out in torch")
    pads = list(node.get("pads", [0] * (2 * rank)))
    begin, end = pads[:rank], pads[rank:]
    function = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[rank - 1]
    bias = tensor_of(v[2], x) if len(v) > 2 and v[2] is not None else None
    least = [min(b, e) for b, e in zip(begin, end, strict=True)]
    found = function(x, w, bias, node.get("strides", [1] * rank), least, node.get("output_padding", [0] * rank),
                     node.get("group", 1), node.get("dilations", [1] * rank))
    for i, (b, e, both) in enumerate(zip(begin, end, least, strict=True)):  # what one side loses more than the other
        found = found.narrow(2 + i, b - both, found.shape[2 + i] - (b - both) - (e - both))
    return found


@operator("Gemm")
def _gemm(node: Node, v: list[Any]) -> Any:
    a, b = v[0], tensor_of(v[1], v[0])
    a, b = (a.mT if node.get("transA", 0) else a), (b.mT if node.get("transB", 0) else b)
    out = node.get("alpha", 1.0) * (a @ b) if node.get("alpha", 1.0) != 1.0 else a @ b
    if len(v) > 2 and v[2] is not None:
        bias = tensor_of(v[2], a)
        out = out + (node.get("beta", 1.0) * bias if node.get("beta", 1.0) != 1.0 else bias)
    return out


@operator("MatMul")
def _matmul(node: Node, v: list[Any]) -> Any:
    first = v[0] if isinstance(v[0], Tensor) else tensor_of(v[0], v[1])
    return first @ tensor_of(v[1], first)


@operator("BatchNormalization")
def _norm(node: Node, v: list[Any]) -> Any:
    x = v[0]
    scale, shift, mean, var = (tensor_of(p, x) for p in v[1:5])
    return functional.batch_norm(x, mean.detach(), var.detach(), scale, shift, False, 0.0, node.get("epsilon", 1e-5))


@operator("InstanceNormalization")
def _instance_norm(node: Node, v: list[Any]) -> Any:
    return functional.instance_norm(v[0], weight=tensor_of(v[1], v[0]), bias=tensor_of(v[2], v[0]),
                                    eps=node.get("epsilon", 1e-5))


@operator("LayerNormalization")
def _layer_norm(node: Node, v: list[Any]) -> Any:
    x, axis = v[0], node.get("axis", -1)
    found = functional.layer_norm(x, x.shape[axis:], eps=node.get("epsilon", 1e-5)) * tensor_of(v[1], x)
    return found + tensor_of(v[2], x) if len(v) > 2 and v[2] is not None else found


@operator("LRN")
def _lrn(node: Node, v: list[Any]) -> Any:
    return functional.local_response_norm(v[0], node.get("size"), node.get("alpha", 1e-4), node.get("beta", 0.75),
                                          node.get("bias", 1.0))


@operator("GlobalAveragePool")
def _global_average(node: Node, v: list[Any]) -> Any:
    return v[0].mean(tuple(range(2, v[0].dim())), keepdim=True)


@operator("GlobalMaxPool")
def _global_max(node: Node, v: list[Any]) -> Any:
    return v[0].amax(tuple(range(2, v[0].dim())), keepdim=True)


def _window(node: Node, x: Tensor) -> tuple[list[int], list[int], list[int], list[int]]:
    """Of a pool the kernel, the strides, the dilations, and how much more at the end what rounds up reads."""
    kernel = list(node.get("kernel_shape"))
    strides, dilations = node.get("strides", [1] * len(kernel)), node.get("dilations", [1] * len(kernel))
    over = [0] * len(kernel)
    if node.get("ceil_mode", 0):
        pads = node.get("pads", [0] * (2 * len(kernel)))
        for i, (k, s, d) in enumerate(zip(kernel, strides, dilations, strict=True)):
            padded, reach = x.shape[2 + i] + pads[i] + pads[len(kernel) + i], (k - 1) * d + 1
            last = -(-(padded - reach) // s) * s  # where the last window begins ...
            last -= s if last >= x.shape[2 + i] + pads[i] else 0  # ... unless it holds nothing of the image
            over[i] = last + reach - padded
    return kernel, list(strides), list(dilations), over


def _wider(x: Tensor, over: list[int], fill: float = 0.0) -> Tensor:
    return functional.pad(x, [p for o in reversed(over) for p in (0, o)], value=fill) if any(over) else x


def _all_around(x: Tensor, padding: list[int], fill: float = 0.0) -> Tensor:
    return functional.pad(x, [p for p in reversed(padding) for _ in "01"], value=fill) if any(padding) else x


@operator("MaxPool")
def _max_pool(node: Node, v: list[Any]) -> Any:
    if len(node.outputs) > 1:
        raise UsageError("a maximum pool that gives places is not carried out in torch")
    kernel, strides, dilations, over = _window(node, v[0])
    x, padding = _padded(node, v[0], kernel, -torch.inf)
    if any(over) or any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
        x, padding = _wider(_all_around(x, padding, -torch.inf), over, -torch.inf), [0] * len(kernel)
    function = (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[len(kernel) - 1]
    return function(x, kernel, strides, padding, dilations)


@operator("AveragePool")
def _average_pool(node: Node, v: list[Any]) -> Any:
    kernel, strides, dilations, over = _window(node, v[0])
    counts = bool(node.get("count_include_pad", 0))
    x, padding = _padded(node, v[0], kernel)
    alike = x is v[0] and not any(over) and all(p <= k // 2 for p, k in zip(padding, kernel, strict=True))
    if alike and set(dilations) == {1}:
        function = (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[len(kernel) - 1]
        return function(x, kernel, strides, padding, False, counts)
    ones = torch.ones_like(v[0][:1, :1])  # how much of every window is to be counted
    inside, padding_of_ones = _padded(node, ones, kernel, float(counts))
    sums, count = (_summed(_wider(_all_around(m, p, fill), over), kernel, strides, dilations)
                   for m, p, fill in ((x, padding, 0.0), (inside, padding_of_ones, float(counts))))
    return sums / count


def _summed(x: Tensor, kernel: list[int], strides: list[int], dilations: list[int]) -> Tensor:
    function = (functional.conv1d, functional.conv2d, functional.conv3d)[len(kernel) - 1]
    found: Tensor = function(x.flatten(0, 1)[:, None], x.new_ones(1, 1, *kernel), None, strides, 0, dilations)
    return found.reshape(*x.shape[:2], *found.shape[2:])
