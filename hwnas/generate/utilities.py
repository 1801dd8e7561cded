"""What an operation is worth: from what a search knows about it to the utilities that `solve` and `front` add up.

Adding a constant to a layer changes no answer. Operations that are not live are masked with -inf, whatever they are
worth.

Glossary
    K_l       operations of layer l
    theta     probability of an operation, (K_l,), sums to 1
    beta      effect of an operation on the score against the mean of its layer, in score units, (K_l,)
    s         standard error of beta, (K_l,)
    live      False where the search dropped the operation, (K_l,)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike

from hwnas.errors import UnknownName, UsageError
from hwnas.generate.problem import Floats, Rows, read_utilities

KINDS = MappingProxyType({
    "logprob": ("probabilities",), "prob": ("probabilities",), "effect": ("effects",),
    "effect_lcb": ("effects", "stderr"), "own": ("own",),
})


def utilities_of(
    kind: str, *, probabilities: Rows | None = None, effects: Rows | None = None, stderr: Rows | None = None,
    own: Rows | None = None, live: Rows | None = None, z: float = 1.0,
) -> list[Floats]:
    """Utilities of one kind, float64, one row per layer.

    Args:
        kind: `logprob` ln theta, so that the best choice is the most probable one; `prob` theta, a sum that ranks
            otherwise (X. Zheng et al., TPAMI 43(9), 2021, add it up), for comparison; `effect` beta, so that a sum
            reads as a predicted score above the mean; `effect_lcb` beta - z * s; `own` any numbers.
        probabilities, effects, stderr, own: rows that the kind needs, see `KINDS`; others are not looked at.
        live: rows of truth values; None for all.
        z: standard errors that `effect_lcb` takes off.

    Raises:
        UnknownName: no such kind.
        UsageError: a row is missing or of another shape, a number is not finite, theta or s is negative, z is not a
            number of at least 0, or a layer has nothing left.
    """
    if kind not in KINDS:
        raise UnknownName("utility", kind, KINDS)
    if not (np.isfinite(z) and z >= 0):
        raise UsageError(f"z must be a finite number of standard errors, at least 0, not {z}")
    given = {"probabilities": probabilities, "effects": effects, "stderr": stderr, "own": own}
    tables = [_read(name, given[name], kind) for name in KINDS[kind]]
    if len({tuple(map(len, table)) for table in tables}) > 1:
        raise UsageError(f"{' and '.join(KINDS[kind])} differ in shape: they need the same operations in every layer")
    rows = [_WORTH[kind](*layer, z) for layer in zip(*tables, strict=True)]
    return read_utilities(rows if live is None else _masked(rows, live))


def _masked(rows: Sequence[Floats], live: Rows) -> list[Floats]:
    masks = [np.asarray(row, dtype=bool) for row in live]
    if [mask.shape for mask in masks] != [row.shape for row in rows]:
        raise UsageError("live differs in shape from the rows: it needs one truth value per operation")
    return [np.where(mask, row, -np.inf) for mask, row in zip(masks, rows, strict=True)]


def _read(name: str, table: Rows | None, kind: str) -> list[Floats]:
    if table is None:
        raise UsageError(f"the utility {kind!r} needs {name}")
    rows = [_row(name, layer, row) for layer, row in enumerate(table)]
    if name in ("probabilities", "stderr") and any((row < 0).any() for row in rows):
        raise UsageError(f"{name} must not be negative")
    return rows


def _row(name: str, layer: int, row: ArrayLike) -> Floats:
    values = np.asarray(row, dtype=np.float64)
    own = name == "own"  # -inf is how a user masks
    if values.ndim != 1 or not (np.isfinite(values) | (own & np.isneginf(values))).all():
        raise UsageError(f"{name} of layer {layer} must be a flat list of finite numbers")
    return values


def _log(theta: Floats, z: float) -> Floats:
    return np.log(theta, out=np.full_like(theta, -np.inf), where=theta > 0)


_WORTH: dict[str, Callable[..., Floats]] = {
    "logprob": _log,
    "prob": lambda theta, z: theta,
    "effect": lambda beta, z: beta,
    "effect_lcb": lambda beta, error, z: beta - z * error,
    "own": lambda row, z: row,
}
