"""Whether a batch fits a model, asked before a library is given it: some convert or read past the end instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hwnas.errors import InputError
from hwnas.runtime.runtime import Inputs

if TYPE_CHECKING:
    Wanted = Mapping[str, tuple[np.dtype[np.generic], Sequence[int | None]]]


def check(inputs: Inputs, wanted: Wanted) -> None:
    """Compare a batch with the inputs of a model.

    Args:
        inputs: name -> array.
        wanted: name -> (type, shape); None in a shape takes any size.

    Raises:
        InputError: a name, a type or a shape differs; says which.
    """
    if set(inputs) != set(wanted):
        raise _misfit(f"they are named {sorted(inputs)}, its own {sorted(wanted)}")
    for name, (dtype, shape) in wanted.items():
        array = inputs[name]
        if array.dtype != dtype:
            raise _misfit(f"{name} is {array.dtype}, not {dtype}")
        fits = len(array.shape) == len(shape) and all(w in (None, n) for n, w in zip(array.shape, shape))  # noqa: B905
        if not fits:
            raise _misfit(f"{name} has shape {list(array.shape)}, not {['any' if w is None else w for w in shape]}")


def _misfit(why: str) -> InputError:
    return InputError(f"the model does not take these inputs: {why}")
