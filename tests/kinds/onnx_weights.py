"""Weights of torch modules under the names that a graph of `hwnas.profile` asks for."""

from __future__ import annotations

import numpy as np
from torch import nn

from hwnas.nets import Block
from hwnas.nets.fusing import Fusible
from hwnas.nets.layers import (
    ConvAct,
    ConvNormAct,
    ImageGate,
    LinearAct,
    NormAct,
    SplitAttentionGate,
    SqueezeExciteGate,
    SummedBranches,
)

Folded = dict[str, np.ndarray]


def folded(block: Block, name: str) -> Folded:
    """Weights of a block, batch norms folded into their convolutions in float64, branches fused."""
    values: Folded = {}
    for i, step in enumerate(block.steps):
        values |= _of(step, f"{name}/{i}")
    return values


def _of(module: nn.Module, name: str) -> Folded:
    if isinstance(module, Fusible):
        return _of(module.fused(), name)
    if isinstance(module, ConvNormAct):
        conv, norm = module.conv, module.norm
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        kernel = conv.weight.double() * scale.view(-1, *[1] * (conv.weight.ndim - 1))
        bias = norm.bias.double() - norm.running_mean.double() * scale
        return {f"{name}/weight": kernel.detach().numpy(), f"{name}/bias": bias.detach().numpy()}
    if isinstance(module, ConvAct):
        return _of(module.conv, name)
    if isinstance(module, SqueezeExciteGate | SplitAttentionGate):
        return _of(module.reduce, f"{name}/reduce") | _of(module.expand, f"{name}/expand")
    if isinstance(module, ImageGate):
        return _of(module.features, f"{name}/features") | _of(module.scale, f"{name}/scale")
    if isinstance(module, SummedBranches):
        return {key: value for i, branch in enumerate(module.branches) for j, inner in enumerate(branch)
                for key, value in _of(inner, f"{name}/{i}/{j}").items()}
    if isinstance(module, NormAct):
        norm = module[0]
        parts = {"scale": norm.weight, "bias": norm.bias, "mean": norm.running_mean, "var": norm.running_var}
        return {f"{name}/{key}": tensor.detach().numpy() for key, tensor in parts.items()}
    plain = module[0] if isinstance(module, LinearAct) else module
    return {f"{name}/{key}": tensor.detach().numpy() for key, tensor in plain.named_parameters()}
