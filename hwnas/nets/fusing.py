"""Branches that are trained apart and deployed as one convolution (RepVGG, Ding et al., CVPR 2021).

Glossary
    W, w    kernel of the deployed convolution, of a branch; (C_out, C_in / groups, *kernel)
    g, b    scale and shift of a branch's batch norm        m, v    its running mean and variance
    s       g / sqrt(v + eps), a number a channel of the output
    W is the sum of the w s, each in the centre of zeros, and its bias that of the b - m s.
    A branch without a convolution is one whose w is 1 at the centre, from every channel to itself.
"""

from __future__ import annotations

import copy
from typing import Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from hwnas.nets.layers import ConvNormAct, activation, batch_norm
from hwnas.nets.modules import module_of
from hwnas.space import RepConv

Net = TypeVar("Net", bound=nn.Module)


@runtime_checkable
class Fusible(Protocol):
    """A module that is deployed as another one."""

    def fused(self) -> nn.Module:
        """The module that gives the same in eval mode; this one is not changed."""


class TrainedBranches(nn.Module):
    """Convolutions of one map, each with its batch norm, and the batch norm of the map itself where `identity`, summed.

    Then the activation. (N, C_in, *size) -> (N, C_out, *size').
    """

    def __init__(self, step: RepConv) -> None:
        super().__init__()
        self.step = step
        self.branches = nn.ModuleList(ConvNormAct(part) for part in step.parts)
        self.norm = batch_norm(step.out_channels, len(step.size)) if step.identity else None
        self.act = activation(step.act)

    def forward(self, x: Tensor) -> Tensor:
        first, *rest = self.branches
        total = first(x)
        for branch in rest:
            total = total + branch(x)
        out: Tensor = self.act(total if self.norm is None else total + self.norm(x))
        return out

    @torch.no_grad()
    def fused(self) -> nn.Module:
        """One convolution with bias, and the activation."""
        weight, bias = torch.zeros(()), torch.zeros(())
        for kernel, norm in self._linear():
            weight = weight + kernel * norm[0].view(-1, *[1] * (kernel.ndim - 1))
            bias = bias + norm[1]
        deployed = module_of(self.step.deployed).to(next(self.parameters()))
        conv = deployed if isinstance(deployed, nn.Conv1d | nn.Conv2d | nn.Conv3d) else deployed.conv
        assert isinstance(conv, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        assert conv.bias is not None
        conv.weight.copy_(weight)
        conv.bias.copy_(bias)
        return deployed.train(self.training)

    def _linear(self) -> list[tuple[Tensor, tuple[Tensor, Tensor]]]:
        """(W of a branch, (scale, shift) of its batch norm), in double precision."""
        found = []
        for branch in self.branches:
            assert isinstance(branch, ConvNormAct)
            found.append((_centred(branch.conv.weight.double(), self.step.kernel), _scale_and_shift(branch.norm)))
        if self.norm is not None:
            channels, inner = self.step.out_channels, self.step.in_channels // self.step.groups
            unit = torch.zeros(channels, inner, *[1] * len(self.step.size), dtype=torch.float64,
                               device=self.norm.weight.device)
            numbers = torch.arange(channels)
            unit[numbers, numbers % inner] = 1
            found.append((_centred(unit, self.step.kernel), _scale_and_shift(self.norm)))
        return found


def deployed(net: Net) -> Net:
    """A network as it is exported: `net` itself, or a copy where modules in it are deployed as others."""
    if not any(isinstance(module, Fusible) for module in net.modules()):
        return net
    found = copy.deepcopy(net)
    for parent in list(found.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Fusible):
                setattr(parent, name, child.fused())
    return found


def _centred(kernel: Tensor, size: tuple[int, ...]) -> Tensor:
    """A kernel with zeros around it, (C_out, C_in / groups, *size)."""
    pads = [(wide - n) // 2 for wide, n in zip(size, kernel.shape[2:], strict=True)]
    return nn.functional.pad(kernel, [pad for pad in reversed(pads) for _ in range(2)])


def _scale_and_shift(norm: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) -> tuple[Tensor, Tensor]:
    """What a batch norm does in eval mode, in double precision, (C,) each."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return scale, norm.bias.double() - norm.running_mean.double() * scale


@module_of.register
def _(step: RepConv) -> nn.Module:
    return TrainedBranches(step)
