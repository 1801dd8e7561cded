"""What changes values one by one, or folds several into one."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hwnas.surgery.operators.registry import (
    FUNCTIONS,
    Function,
    Node,
    all_arrays,
    ints_of,
    number_of,
    operator,
    tensor_of,
)


def _unary(function: Callable[..., Tensor]) -> Function:
    return lambda node, v: function(tensor_of(v[0]))


_UNARY: dict[str, Callable[..., Tensor]] = {
    "Relu": torch.relu, "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Exp": torch.exp, "Log": torch.log,
    "Sqrt": torch.sqrt, "Abs": torch.abs, "Neg": torch.neg, "Erf": torch.erf, "Floor": torch.floor, "Ceil": torch.ceil,
    "Softplus": functional.softplus, "HardSwish": functional.hardswish, "Mish": functional.mish,
    "Reciprocal": torch.reciprocal, "Softsign": functional.softsign, "Round": torch.round, "Sin": torch.sin,
    "Cos": torch.cos, "Sign": torch.sign,
}
FUNCTIONS.update({kind: _unary(function) for kind, function in _UNARY.items()})


@operator("HardSigmoid")
def _hard_sigmoid(node: Node, v: list[Any]) -> Any:
    return (v[0] * node.get("alpha", 0.2) + node.get("beta", 0.5)).clamp(0, 1)


@operator("Elu")
def _elu(node: Node, v: list[Any]) -> Any:
    return functional.elu(v[0], node.get("alpha", 1.0))


@operator("Selu")
def _selu(node: Node, v: list[Any]) -> Any:
    x, alpha = v[0], node.get("alpha", 1.6732632423543772)
    return node.get("gamma", 1.0507009873554805) * torch.where(x > 0, x, alpha * torch.expm1(x.clamp(max=0)))


@operator("Gelu")
def _gelu(node: Node, v: list[Any]) -> Any:
    return functional.gelu(v[0], approximate=node.get("approximate", "none"))


@operator("LeakyRelu")
def _leaky(node: Node, v: list[Any]) -> Any:
    return functional.leaky_relu(v[0], node.get("alpha", 0.01))


@operator("PRelu")
def _prelu(node: Node, v: list[Any]) -> Any:
    return torch.where(v[0] >= 0, v[0], v[0] * tensor_of(v[1], v[0]))


@operator("Clip")
def _clip(node: Node, v: list[Any]) -> Any:
    low = node.get("min") if "min" in node.attributes else v[1] if len(v) > 1 else None
    high = node.get("max") if "max" in node.attributes else v[2] if len(v) > 2 else None
    if isinstance(v[0], np.ndarray):
        return np.clip(v[0], low, high)
    return v[0].clamp(number_of(low, -torch.inf), number_of(high, torch.inf))


@operator("Softmax", "LogSoftmax")
def _softmax(node: Node, v: list[Any]) -> Any:
    function = functional.softmax if node.kind == "Softmax" else functional.log_softmax
    if node.opset >= 13:
        return function(v[0], node.get("axis", -1))
    axis = node.get("axis", 1)
    return function(v[0].flatten(axis), -1).reshape(v[0].shape)


def _arithmetic(on_tensors: Callable[[Any, Any], Any], on_arrays: Callable[[Any, Any], Any]) -> Function:
    def carried_out(node: Node, v: list[Any]) -> Any:
        if all_arrays(v):
            return on_arrays(v[0], v[1])
        like = v[0] if isinstance(v[0], Tensor) else v[1]
        return on_tensors(tensor_of(v[0], like), tensor_of(v[1], like))
    return carried_out


def _quotient(a: Tensor, b: Tensor) -> Tensor:
    return torch.div(a, b, rounding_mode=None if a.is_floating_point() or b.is_floating_point() else "trunc")


def _divided(a: Any, b: Any) -> Any:
    return a / b if np.asarray(a).dtype.kind == "f" else np.trunc(a / b).astype(np.asarray(a).dtype)


FUNCTIONS.update({
    "Add": _arithmetic(torch.add, np.add), "Sub": _arithmetic(torch.sub, np.subtract),
    "Mul": _arithmetic(torch.mul, np.multiply), "Div": _arithmetic(_quotient, _divided),
    "Pow": _arithmetic(torch.pow, np.power), "Equal": _arithmetic(torch.eq, np.equal),
    "Greater": _arithmetic(torch.gt, np.greater), "Less": _arithmetic(torch.lt, np.less),
})


def _several(fold: Callable[[Tensor, Tensor], Tensor], on_arrays: Callable[[Any, Any], Any]) -> Function:
    def carried_out(node: Node, v: list[Any]) -> Any:
        if all_arrays(v):
            return reduce(on_arrays, v)
        like = next(x for x in v if isinstance(x, Tensor))
        out = tensor_of(v[0], like)
        for other in v[1:]:
            out = fold(out, tensor_of(other, like))
        return out
    return carried_out


FUNCTIONS.update({"Sum": _several(torch.add, np.add), "Max": _several(torch.maximum, np.maximum),
                  "Min": _several(torch.minimum, np.minimum)})


def _reduced(function: Callable[..., Any], on_arrays: Callable[..., Any]) -> Function:
    def carried_out(node: Node, v: list[Any]) -> Any:
        axes = node.get("axes", ints_of(v[1]) if len(v) > 1 and v[1] is not None else [])
        keep = bool(node.get("keepdims", 1))
        if not axes and node.get("noop_with_empty_axes", 0):
            return v[0]
        if isinstance(v[0], np.ndarray):
            return on_arrays(v[0], axis=tuple(axes) or None, keepdims=keep)
        return function(v[0], tuple(axes) or tuple(range(v[0].dim())), keepdim=keep)
    return carried_out


def _product(x: Tensor, axes: tuple[int, ...], keepdim: bool) -> Tensor:
    for axis in sorted((a % x.dim() for a in axes), reverse=True):
        x = x.prod(axis, keepdim=keepdim)
    return x


FUNCTIONS.update({
    "ReduceMean": _reduced(torch.mean, np.mean), "ReduceSum": _reduced(torch.sum, np.sum),
    "ReduceMax": _reduced(torch.amax, np.max), "ReduceMin": _reduced(torch.amin, np.min),
    "ReduceL2": _reduced(lambda x, axes, keepdim: x.pow(2).sum(axes, keepdim=keepdim).sqrt(),
                         lambda x, **words: np.sqrt(np.sum(x * x, **words))),
    "ReduceProd": _reduced(_product, np.prod),
})
