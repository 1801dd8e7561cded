"""The reference kernel: a fixed computation that no runtime takes part in, timed between the models.

Its time follows the processor and nothing else, so a sweep in which the kernel is slow was slow for everybody: the
clock went down, or other work took the core. It is one modular power of whole numbers: one call into the interpreter,
a few hundred bytes of state, no thread, no library. Of five candidates it followed the networks best on a busy
machine: correlation of log times with the largest network 0.90, slope 0.86 (SHA-256 0.90 and 0.64, a loop of
Python 0.87 and 0.73, `numpy.einsum` 0.88 and 0.80, element-wise numpy 0.82 and 0.54).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_MODULUS = 2**255 - 19  # a prime, so the power never falls to a trivial value
_BASE = 12345678901234567890**3
_EXPONENT = 2**300 - 3


def work() -> int:
    """The computation; some hundred microseconds."""
    return pow(_BASE, _EXPONENT, _MODULUS)


def kernel_ms(timer: Callable[[Callable[[], object]], float]) -> float:
    """The middle one of three runs in ms: the first finds the caches full of something else.

    Args:
        timer: gives the time of one call in ms, as `hwnas.runtime.timing.Timer` does.
    """
    return sorted(timer(work) for _ in range(3))[1]
