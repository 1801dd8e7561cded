"""Batch norms whose statistics are those of the whole batch, however many processes it is spread over.

torch's own `SyncBatchNorm` refuses tensors of a CPU, and does not know slices of wider norms.

Glossary
    x             maps (N, C, *size) of this process; n of their values belong to a channel
    mean, var     of all values of a channel in the batch (biased), (C,)
    r             1 / sqrt(var + eps)
    g             gradient of the normalised maps, as x
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.nets.ranks import gathered, summed, world


class _Synchronised(torch.autograd.Function):
    """Batch norm by statistics of all processes: one exchange forward, one backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, running_mean: Tensor, running_var: Tensor,
                momentum: float, eps: float) -> Tensor:
        # torch's fused kernel knows the statistics fastest; what it normalises by them is not used.
        _, own_mean, own_scale = torch.native_batch_norm(x, None, None, None, None, True, 0.0, eps)
        own_var = own_scale.pow(-2) - eps
        count = torch.full((1,), float(x.numel() // x.shape[1]), device=x.device)
        rows = gathered(torch.cat([own_mean, own_var, count]))
        means, variances, counts = rows[:, : x.shape[1]], rows[:, x.shape[1] : -1], rows[:, -1:]
        total = counts.sum()
        mean = (counts * means).sum(0) / total
        var = (counts * (variances + (means - mean).square())).sum(0) / total
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(var * (total / (total - 1).clamp(min=1)), momentum)
        ctx.save_for_backward(x, weight, mean, var, total)
        ctx.eps = eps
        return functional.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (g,) = gradients
        x, weight, mean, var, total = ctx.saved_tensors
        # As if statistics were fixed; the sums of g and of g times the normalised x are all that is missing.
        of_x, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            g, x, weight, mean, var, None, None, False, ctx.eps, [True, True, True])
        sums = summed(torch.cat([of_weight, of_bias]).float()) / total
        along, level = sums.chunk(2)
        r = (var + ctx.eps).rsqrt()
        shape = (1, -1, *[1] * (x.ndim - 2))
        slope = weight * r * r * along
        offset = weight * r * level - slope * mean
        of_x = of_x - torch.addcmul(offset.view(shape), x, slope.view(shape)).to(of_x.dtype)
        return of_x, of_weight, of_bias, None, None, None, None


def batch_norm(norm: Any, x: Tensor, channels: int | None = None) -> Tensor:
    """What a batch norm gives for x, restricted to its first channels where asked; only those statistics move.

    Args:
        norm: of the widest maps; without a cumulative average.
    """
    c = channels or x.shape[1]
    assert norm.momentum is not None
    if norm.training:
        norm.num_batches_tracked += 1
    parts = norm.running_mean[:c], norm.running_var[:c], norm.weight[:c], norm.bias[:c]
    if norm.training and world() > 1:
        mean, var, weight, bias = parts
        found: Tensor = _Synchronised.apply(x, weight, bias, mean, var, norm.momentum, norm.eps)  # type: ignore[no-untyped-call]
        return found
    return functional.batch_norm(x, *parts, norm.training, norm.momentum, norm.eps)


class BatchNorm1d(nn.BatchNorm1d):
    """torch's, over the whole batch."""

    def forward(self, input: Tensor) -> Tensor:
        return batch_norm(self, input) if self.training and world() > 1 else super().forward(input)


class BatchNorm2d(nn.BatchNorm2d):
    """torch's, over the whole batch."""

    def forward(self, input: Tensor) -> Tensor:
        return batch_norm(self, input) if self.training and world() > 1 else super().forward(input)


class BatchNorm3d(nn.BatchNorm3d):
    """torch's, over the whole batch."""

    def forward(self, input: Tensor) -> Tensor:
        return batch_norm(self, input) if self.training and world() > 1 else super().forward(input)
