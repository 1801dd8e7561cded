"""An op that is a tuple of independent settings (kernel, expansion, ...): from logits per setting to logits per op."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hwnas.search.distribution import FloatArray
from hwnas.search.strategy import Choice


def joint_logits(factors: Sequence[FloatArray]) -> FloatArray:
    """sum_m log softmax(factors[m])[a_m] for every tuple a, the last setting fastest: (prod of the lengths,).

    The softmax of the result is the product of the laws of the settings. Source: FP-NAS (CVPR 2021, arXiv
    2011.10949), from the factorised to the joint distribution.
    """
    joint = np.zeros(1)
    for row in factors:
        shifted = row - row.max()
        joint = np.add.outer(joint, shifted - np.log(np.exp(shifted).sum())).ravel()
    return joint


def settings_of(samples: Sequence[Choice], factors: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Every op of every sample as its tuple of settings, the tuples of all choices one after another.

    Args:
        samples: op index per choice.
        factors: per choice how many values each setting has; their product is the number of ops.
    """
    columns: list[list[int]] = []
    for ops, sizes in zip(zip(*samples, strict=True), factors, strict=True):
        columns += [values.tolist() for values in np.unravel_index(np.asarray(ops), tuple(sizes))]
    return list(zip(*columns, strict=True))
