"""A batch in parts that are computed one after the other: gradient accumulation.

    n_k   images of part k of the n of a batch

The loss of a batch is a mean over its images, so the gradients of the parts add up to it with weights n_k / n.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from hwnas.errors import UsageError


def parts_of(images: np.ndarray, targets: Any, count: int) -> Iterator[tuple[np.ndarray, Any]]:
    """At most `count` parts of about as many images each, two at the least where there are two.

    Args:
        images: uint8 (n, H, W, C).
        targets: as a task gives them: a value an image, or a list of such.

    Raises:
        UsageError: a count under 1, or targets that are nothing of the kind.
    """
    if count < 1:
        raise UsageError(f"a batch is computed in 1 part or more, not in {count}")
    if count == 1:
        yield images, targets
        return
    pieces = min(count, max(1, len(images) // 2))  # batch norm has no variance over one image
    bounds = [round(k * len(images) / pieces) for k in range(pieces + 1)]
    for first, last in itertools.pairwise(bounds):
        yield images[first:last], _between(targets, first, last, len(images))


def _between(targets: Any, first: int, last: int, count: int) -> Any:
    if isinstance(targets, np.ndarray | list | tuple) and len(targets) == count and not _several(targets):
        return targets[first:last]
    if isinstance(targets, list | tuple):
        return type(targets)(_between(each, first, last, count) for each in targets)
    raise UsageError(f"the targets of a batch of {count} images cannot be told apart: take --accumulate 1")


def _several(targets: Any) -> bool:
    """Whether this is a list of targets of a batch each, rather than of one image each."""
    return isinstance(targets, list | tuple) and all(isinstance(each, list | tuple) for each in targets)
