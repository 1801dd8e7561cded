"""Scores of networks that nobody has trained.

    symbol   meaning                                                                     shape
    w, dw    weights, and the gradient of the loss at hand
    J        gradient of the summed answers by each image of a batch, flattened          (N, D)
    v        eigenvalues of the correlations of the rows of J                            (N,)
    a        what is 1 where a rectifier lets a value of an image through                (N, values)
    K        values that two images agree in: a a' + (1 - a)(1 - a)'                     (N, N)

    params     number of weights
    flops      multiply-accumulates of one image
    synflow    logarithm of the sum of |w dw|, for the sum of answers to an image of ones, all weights positive, no
               batch norm, in float64 (Tanaka et al., NeurIPS 2020; without batch norm: Abdelfattah et al., ICLR 2021)
    jacob_cov  minus the sum of log(v + k) + 1 / (v + k), k = 1e-5 (Mellor et al., first version, 2020)
    naswot     log |det K|, of the rectifiers (Mellor et al., ICML 2021)
    zen        log of how far maps behind the last choice move by noise of 0.01, plus the logarithms of the deviations
               that batch norms divide by (Lin et al., ICCV 2021)

Larger is better everywhere. Every one takes a network as it was drawn and changes nothing of it. Images are drawn
noise, or some of the data where the paper takes data (jacob_cov, naswot).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hwnas.nets import Network

K = 1e-5
NOISE = 0.01
REPEATS = 8


def params(net: Network, images: Tensor) -> float:
    """Number of weights that something is learnt in."""
    return float(sum(p.numel() for p in net.parameters()))


def flops(net: Network, images: Tensor) -> float:
    """Multiply-accumulates of one image, of what runs."""
    return float(sum(op.flops for op in net.arch.live_ops))


def synflow(net: Network, images: Tensor) -> float:
    """The logarithm of what all ways through a network are worth together; -inf where nothing gets through."""
    whole = copy.deepcopy(net).double().eval()
    with _without_norms(whole), torch.no_grad():
        for weight in whole.parameters():
            weight.abs_()
        with torch.enable_grad():
            out = whole(torch.ones_like(images[:1], dtype=torch.float64) + whole.normalize.mean)
            _total(out).backward()  # type: ignore[no-untyped-call]
        found = sum(float((p * p.grad).abs().sum()) for p in whole.parameters() if p.grad is not None)
    return math.log(found) if 0 < found < math.inf else -math.inf


def jacob_cov(net: Network, images: Tensor) -> float:
    """How unlike the ways are in which a network answers to different images; -inf where it answers to none."""
    whole = copy.deepcopy(net).train()
    pixels = images.clone().requires_grad_(True)
    _total(whole(pixels)).backward()  # type: ignore[no-untyped-call]
    assert pixels.grad is not None
    rows = pixels.grad.flatten(1).double().numpy()
    if not np.isfinite(rows).all() or (rows.std(axis=1) == 0).any():
        return -math.inf
    values = np.maximum(np.linalg.eigvalsh(np.corrcoef(rows)), 0.0)
    return float(-(np.log(values + K) + 1 / (values + K)).sum())


def naswot(net: Network, images: Tensor) -> float:
    """How well rectifiers tell images apart; -inf where they do not, or there are none."""
    whole, kernel = copy.deepcopy(net).train(), torch.zeros(len(images), len(images), dtype=torch.float64)

    def seen(module: nn.Module, given: tuple[Any, ...], out: Tensor) -> None:
        active = (out.detach().flatten(1) > 0).double()
        kernel.add_(active @ active.T + (1 - active) @ (1 - active).T)

    hooks = [m.register_forward_hook(seen) for m in whole.modules() if isinstance(m, (nn.ReLU, nn.ReLU6, nn.Hardswish))]
    with torch.no_grad():
        whole(images)
    for hook in hooks:
        hook.remove()
    sign, value = torch.linalg.slogdet(kernel)
    return float(value) if sign != 0 and torch.isfinite(value) else -math.inf


def zen(net: Network, images: Tensor) -> float:
    """How strongly the map before the head follows its input, for Gaussian images; -inf where it does not."""
    whole, found = copy.deepcopy(net).train(), []
    maps: dict[str, Tensor] = {}
    body = list(whole.blocks.children())
    hook = body[-1].register_forward_pre_hook(lambda module, given: maps.update(x=given[0].detach()))
    deviations: list[float] = []
    generator = torch.Generator().manual_seed(0)

    def normed(module: nn.Module, given: tuple[Any, ...]) -> None:
        x = given[0].detach()
        deviations.append(0.5 * math.log(float(x.var(dim=(0, *range(2, x.ndim)), unbiased=False).mean()) + 1e-12))

    norms = [m.register_forward_pre_hook(normed) for m in whole.modules() if isinstance(m, _BatchNorm)]
    with torch.no_grad():
        for _ in range(REPEATS):
            x, y = (torch.randn(images.shape, generator=generator) for _ in range(2))
            deviations.clear()
            whole(x * whole.normalize.std + whole.normalize.mean)
            first, scales = maps["x"], sum(deviations)
            whole((x + NOISE * y) * whole.normalize.std + whole.normalize.mean)
            apart = float((first - maps["x"]).abs().mean())
            found.append(math.log(apart) + scales if apart > 0 else -math.inf)
    for each in (hook, *norms):
        each.remove()
    return float(np.mean(found))


ZERO_COST: Mapping[str, Callable[[Network, Tensor], float]] = {
    "params": params, "flops": flops, "synflow": synflow, "jacob_cov": jacob_cov, "naswot": naswot, "zen": zen,
}


@contextmanager
def _without_norms(net: nn.Module) -> Iterator[None]:
    """Batch norms give what they are given."""
    norms = [m for m in net.modules() if isinstance(m, _BatchNorm)]
    for norm in norms:
        norm.forward = _given  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def _given(x: Tensor) -> Tensor:
    return x


def _total(out: Tensor | list[Tensor]) -> Tensor:
    return sum((part.sum() for part in out), start=torch.zeros(())) if isinstance(out, list) else out.sum()
