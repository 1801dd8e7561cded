"""What the processes that train together say to one another beside the numbers of a step.

Messages travel as JSON in tensors of bytes: nothing is pickled.
"""

from __future__ import annotations

import atexit
import contextlib
import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from hwnas import launch
from hwnas.errors import RunError
from hwnas.nets import board, ranks

_LEADING = timedelta(days=2)  # how long the others wait while rank 0 measures or writes


def join() -> None:
    """Meet the other processes, where that has not been done.

    Raises:
        RunError: they do not find one another.
    """
    if distributed.is_initialized():
        return
    try:
        distributed.init_process_group(timeout=_LEADING)  # gloo for a CPU, and NCCL for CUDA where there is any
    except (ValueError, RuntimeError) as err:
        raise RunError(f"the processes that train together do not find one another ({err}): start them with torchrun "
                       "or accelerate launch") from err
    if launch.local_world() == launch.world() and board.possible():
        _share_a_board()
    atexit.register(_part)  # gloo's threads must end before the interpreter does, or it aborts now and then


def tell(message: Mapping[str, Any]) -> None:
    """Say something to the others, which `hear` it; of rank 0."""
    said = json.dumps(message).encode()
    distributed.broadcast(torch.tensor([len(said)]), 0)
    distributed.broadcast(torch.frombuffer(bytearray(said), dtype=torch.uint8), 0)


def hear() -> dict[str, Any]:
    """Wait for what rank 0 says next.

    Raises:
        RunError: it is gone.
    """
    length = torch.zeros(1, dtype=torch.int64)
    try:
        distributed.broadcast(length, 0)
        said = torch.empty(int(length), dtype=torch.uint8)
        distributed.broadcast(said, 0)
    except RuntimeError as err:
        raise RunError(f"the process that leads is gone ({err}): start the run again, it goes on") from err
    found: dict[str, Any] = json.loads(bytes(said.tolist()))
    return found


def wait() -> None:
    """Until every process is here."""
    distributed.all_reduce(torch.zeros(1))


def _share_a_board() -> None:
    """Let the processes of one machine exchange small numbers over shared memory, if there is room for it."""
    made = ""
    if launch.rank() == 0:
        with contextlib.suppress(OSError):
            made = str(board.create())
        tell({"board": made})
    else:
        made = hear()["board"]
    if made:
        ranks.meet_at(board.Board(Path(made), launch.rank(), launch.world()))
        wait()
        if launch.rank() == 0:
            Path(made).unlink()


def _part() -> None:
    ranks.meet_at(None)
    if distributed.is_initialized():
        distributed.destroy_process_group()
