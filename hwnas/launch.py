"""Which of several processes this one is, as `torchrun` and `accelerate launch` say it by the environment.

Glossary
    rank, world   number of this process, and how many were started together; rank 0 leads: it alone writes files
    local         number of this process on its machine, which is that of its GPU
"""

from __future__ import annotations

import os

from hwnas.errors import UsageError


def world() -> int:
    """How many processes were started together; 1 where this one is alone.

    Raises:
        UsageError: the environment says no whole number; so of the other two.
    """
    return _whole("WORLD_SIZE", 1)


def rank() -> int:
    """The number of this process."""
    return _whole("RANK", 0) if world() > 1 else 0


def follows() -> bool:
    """Whether this process is one of several, and not the one that leads."""
    return rank() > 0


def local() -> int:
    """The number of this process on its machine."""
    return _whole("LOCAL_RANK", 0)


def local_world() -> int:
    """How many processes were started on this machine; where that is not said, one."""
    return _whole("LOCAL_WORLD_SIZE", 1)


def _whole(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"the environment variable {name} must be a whole number, not {text!r}: torchrun and "
                         "accelerate launch set it") from None
