"""The logits of all ops with the state of their optimiser, in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hwnas.errors import RunError
from hwnas.search.distribution import FloatArray, Rows

BETAS, DECAY = (0.5, 0.999), 1e-3  # of DARTS


class Logits:
    """Rows of logits, moved by Adam.

    Args:
        begin: what the rows are at first.
        lr: learning rate.

    Attributes:
        rows: float64 (K_i,), with gradients.
    """

    def __init__(self, begin: Rows, lr: float) -> None:
        self.rows = [torch.tensor(row, dtype=torch.float64, requires_grad=True) for row in begin]
        self._adam = torch.optim.Adam(self.rows, lr=lr, betas=BETAS, weight_decay=DECAY)

    def step(self, loss: Tensor) -> None:
        """One step against the gradient of a loss; only that to the logits is computed."""
        self.descend(torch.autograd.grad(loss, self.rows, allow_unused=True))

    def climb(self, gradients: Rows) -> None:
        """One step along gradients of something that is to grow."""
        self.descend([torch.from_numpy(-row) for row in gradients])

    def descend(self, grads: Sequence[Tensor | None]) -> None:
        """One step against gradients; a row without one stays."""
        for row, grad in zip(self.rows, grads, strict=True):
            row.grad = grad  # None of a choice that no image reached: it stays
        self._adam.step()

    def values(self) -> Rows:
        """The rows as arrays."""
        return [row.detach().numpy().copy() for row in self.rows]

    def state_dict(self) -> dict[str, Any]:
        """Plain values."""
        moments = [self._adam.state.get(row, {}) for row in self.rows]
        return {"rows": [row.tolist() for row in self.rows],
                "mean": [found["exp_avg"].tolist() if found else [] for found in moments],
                "square": [found["exp_avg_sq"].tolist() if found else [] for found in moments],
                "steps": [int(found["step"]) if found else 0 for found in moments]}

    def load_state_dict(self, state: Any) -> None:
        """Raises RunError where the state is broken or of other choices; nothing changes then."""
        try:
            rows, mean, square = ([[float(x) for x in row] for row in state[key]] for key in ("rows", "mean", "square"))
            steps = [int(n) for n in state["steps"]]
            fits = len(rows) == len(mean) == len(square) == len(steps) == len(self.rows) and all(
                len(a) == len(b) and len(m) == len(q) == (len(a) if n else 0) and n >= 0
                for a, b, m, q, n in zip(rows, self.rows, mean, square, steps, strict=True))
            finite = all(math.isfinite(x) for part in (rows, mean, square) for row in part for x in row)
        except (KeyError, TypeError, ValueError, OverflowError) as err:
            raise RunError(f"the saved logits are broken ({type(err).__name__}: {err}); start a new run") from err
        if not fits or not finite:
            raise RunError("the saved logits are of another space, or no finite numbers; start a new run")
        with torch.no_grad():
            for own, row, m, q, n in zip(self.rows, rows, mean, square, steps, strict=True):
                own.copy_(torch.tensor(row, dtype=torch.float64))
                self._adam.state.pop(own, None)
                if n:
                    self._adam.state[own] = {"step": torch.tensor(float(n)),
                                             "exp_avg": torch.tensor(m, dtype=torch.float64),
                                             "exp_avg_sq": torch.tensor(q, dtype=torch.float64)}


def positive_softmax(logits: FloatArray) -> FloatArray:
    """softmax of a row whose smallest entries are not rounded to 0."""
    p = np.exp(logits - logits.max())
    found: FloatArray = np.maximum(p / p.sum(), 1e-300)
    return found
