"""The kernels, compiled by numba where it is installed and worth its start, else as they stand.

numba is a third of a second to import and compiles once per machine (it keeps the result on disk); the kernels run
a hundred times faster with it. So it is used for large problems, and for all once it is loaded.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import lru_cache
from types import ModuleType, SimpleNamespace

from hwnas.generate import kernels

LARGE = 500_000  # layers times operations: 200 x 200 has 8 million, 60 x 60 216,000, a real space a few thousand
_NAMES = ("undominated_items", "hull_items", "relaxation", "gains_at", "merge_layers", "walk_back")


def kernels_for(layers: int, items: int) -> ModuleType | SimpleNamespace:
    """Kernels for a problem of so many layers and items: the module `kernels`, or its functions compiled."""
    if "numba" in sys.modules or (layers * items > LARGE and importlib.util.find_spec("numba") is not None):
        return _compiled()
    return kernels


@lru_cache(maxsize=1)
def _compiled() -> SimpleNamespace:
    import numba

    jit = numba.njit(cache=True)
    return SimpleNamespace(**{name: jit(getattr(kernels, name)) for name in _NAMES})
