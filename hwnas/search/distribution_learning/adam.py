"""Adam: the optimiser of logits.

    symbol   meaning                                      shape
    m, v     decayed means of the gradient and its square (P,)
    t        steps taken                                  scalar
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hwnas.search.distribution import FloatArray
from hwnas.search.distribution_learning.learner import unpack_rows

BETAS = (0.5, 0.999)
EPSILON = 1e-8


class Adam:
    """Ascent with step `lr`; betas 0.5 and 0.999, as usual for the logits of an architecture, unless given.

    Source: Kingma and Ba (ICLR 2015, arXiv 1412.6980), algorithm 1.
    """

    def __init__(self, size: int, lr: float, betas: tuple[float, float] = BETAS) -> None:
        self._lr, self._t, self._betas = lr, 0, betas
        self._m, self._v = np.zeros(size), np.zeros(size)

    def step(self, gradient: FloatArray) -> FloatArray:
        """What to add to the parameters, (P,)."""
        self._t += 1
        one, two = self._betas
        self._m = one * self._m + (1 - one) * gradient
        self._v = two * self._v + (1 - two) * gradient**2
        mean, square = self._m / (1 - one**self._t), self._v / (1 - two**self._t)
        step: FloatArray = self._lr * mean / (np.sqrt(square) + EPSILON)
        return step

    def state(self) -> dict[str, Any]:
        """Plain values."""
        return {"m": self._m.tolist(), "v": self._v.tolist(), "t": self._t}

    @classmethod
    def from_state(cls, size: int, lr: float, state: Mapping[str, Any]) -> Adam:
        """Read what `state` wrote; ValueError, KeyError or TypeError if it is not that."""
        adam = cls(size, lr)
        adam._m, adam._v = unpack_rows([state["m"], state["v"]], [size, size])
        adam._t = int(state["t"])
        if adam._t < 0 or adam._v.min(initial=0.0) < 0:
            raise ValueError("t and v of Adam must be at least 0")
        return adam
