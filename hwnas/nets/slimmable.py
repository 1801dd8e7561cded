"""A block as a part of a wider one: its first channels, and the centre of its kernels.

This is how a supernet holds thinner networks without weights of their own (slimmable networks, Yu et al., ICLR 2019).
Batch norms see other statistics at every width, so those of the wide block are neither read nor changed.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from hwnas.nets.block import Block
from hwnas.space import Op


def part_of(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """A view of shape `shape`: the first entries of the two leading axes, the centre of the others."""
    index = [slice(0, n) for n in shape[:2]]
    for size, n in zip(tensor.shape[2:], shape[2:], strict=True):
        begin = (size - n) // 2
        index.append(slice(begin, begin + n))
    return tensor[tuple(index)]


def run_part(small: nn.Module, wide: nn.Module, x: Tensor) -> Tensor:
    """Run `small` with views of the parameters of `wide`, which get the gradients."""
    owned = dict(wide.named_parameters())
    views = {name: part_of(owned[name], p.shape) for name, p in small.named_parameters()}
    out: Tensor = functional_call(small, views, (x,))
    return out


@torch.no_grad()
def part_state(op: Op, wide: nn.Module) -> dict[str, Tensor]:
    """State dict of `Block(op)`: copies of its parts of the tensors of `wide`."""
    with torch.device("meta"):  # shapes alone: no memory, and no random numbers
        shapes = {name: tensor.shape for name, tensor in Block(op).state_dict().items()}
    source = wide.state_dict()
    return {name: (part_of(source[name], shape) if shape else source[name]).clone() for name, shape in shapes.items()}


def part_block(op: Op, device: torch.device) -> Block:
    """A `Block(op)` for `run_part`, which reads none of its weights: they take no random numbers."""
    with torch.random.fork_rng(devices=[]):
        return Block(op).to(device)
