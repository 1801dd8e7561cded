"""Processor time of a call, where a test holds it to a bound."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

TRIES = 3


def processor_s(call: Callable[[], object]) -> float:
    """Seconds of processor time of this process; its own heap, all tests and libraries, is not collected meanwhile."""
    on = gc.isenabled()
    gc.disable()
    try:
        begin = time.process_time()
        call()
        return time.process_time() - begin
    finally:
        if on:
            gc.enable()


def least(bound: float, seconds: Callable[[], float]) -> float:
    """The least of up to `TRIES` times, of as many as it takes to keep the bound.

    Work takes more processor time while neighbours fill the caches or share the core; of what is too slow by itself
    every try is.
    """
    found = float("inf")
    for _ in range(TRIES):
        found = min(found, seconds())
        if found <= bound:
            break
    return found
