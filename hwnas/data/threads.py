"""Threads for work on many images: decoding and resizing leave the interpreter's lock."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

MOST = 8


def pool() -> ThreadPoolExecutor:
    """A thread for every core that this process may use, at most `MOST`; close it after use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(min(MOST, allowed))
