"""The processes that take one training step together, each on its part of the batch.

Inside `together` batch norms take the statistics of the whole batch, and losses that divide by a count divide by that
of the whole batch. Outside of it, or alone, nothing is exchanged: a process may train a network of its own meanwhile.

Glossary
    rank, world   number of a process, from 0, and how many there are
    share         images of this process over images of the whole batch; loss of the batch = sum of share * own loss
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, distributed

from hwnas.nets.board import Board

_board: Board | None = None
_world, _share = 1, 1.0  # plain numbers, so that a compiled network reads them as constants


@contextmanager
def together(world: int, share: float) -> Iterator[None]:
    """Inside the block `world` processes work on one batch, this one on `share` of it."""
    global _world, _share
    before = _world, _share
    _world, _share = world, share
    try:
        yield
    finally:
        _world, _share = before


def world() -> int:
    """How many processes work on the batch at hand; 1 where this one is alone."""
    return _world


def summed(values: Tensor) -> Tensor:
    """The sum of `values` (n,) over the processes of the batch at hand, without a gradient; itself where there is one.

    Few numbers are gathered and added up by everyone: gloo's own reduction takes three times as long.
    """
    return values if _world == 1 else gathered(values).sum(0)


def gathered(values: Tensor) -> Tensor:
    """`values` (n,) of every process of the batch at hand, (world, n), without a gradient."""
    sent = values.detach()
    if _board is not None and _board.takes(sent):
        return torch.from_numpy(_board.exchange(sent.numpy()))
    found = [torch.empty_like(sent) for _ in range(_world)]
    distributed.all_gather(found, sent.contiguous())
    return torch.stack(found)


def added_up(values: Tensor) -> Tensor:
    """The sum of many `values` (n,) over the processes that were started; may be in place."""
    if _board is not None and _board.takes(values):
        return gathered(values).sum(0)
    distributed.all_reduce(values)
    return values


def meet_at(board: Board | None) -> None:
    """From now on numbers of a CPU are exchanged over a board; None is for sockets."""
    global _board
    _board = board


def fair_count(count: float | Tensor, device: torch.device, least: float = 1.0) -> Tensor | float:
    """What a sum over this process' images is divided by, so that share * own loss adds up to the loss of the batch.

    Args:
        count: of what is divided by, in this process; of the whole batch it is `least` at least.
    """
    if _world == 1:
        return count.clamp(min=least) if isinstance(count, Tensor) else max(least, count)
    total = summed(torch.as_tensor(count, dtype=torch.float32, device=device).reshape(1))
    return total.clamp(min=least)[0] * _share
