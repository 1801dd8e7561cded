"""How far two sets of outputs are apart, and how far they may be. Travels in bundles: Python 3.8 and numpy.

In fp32 outputs must come out again to 1e-4. In a lower precision runtimes and processors round differently: there the
root of the mean squared difference over that of the outputs counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

LARGEST, RMS = "largest", "rms"
PARITY = 1e-4
LOSSY = {"int8": 0.1, "fp16": 0.02, "bf16": 0.05, "mixed": 0.1}
"""Precision -> the most by which the outputs of one model may differ between two devices, by rule `rms`."""


def rule_of(precision: str) -> tuple[str, float]:
    """By which rule outputs in a precision are held against stored ones, and the most that is allowed."""
    return (RMS, LOSSY[precision]) if precision in LOSSY else (LARGEST, PARITY)


def difference(ours: Sequence[Array], theirs: Sequence[Array], rule: str, relative: bool) -> float:
    """The worst of all outputs; NaN stays NaN.

    Args:
        ours, theirs: float32 of equal shapes.
        rule: `largest` or `rms`.
        relative: of rule `largest`: relative above 1, and not absolute.
    """
    found = []
    for a, b in zip(ours, theirs):  # noqa: B905 - Python 3.8
        if rule == RMS:
            found.append(np.sqrt(np.mean((a - b) ** 2) / max(float(np.mean(b**2)), 1e-12)))
        else:
            found.append((np.abs(a - b) / (np.maximum(1, np.abs(b)) if relative else 1)).max())
    return float(np.max(found))
