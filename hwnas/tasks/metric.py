"""How good the outputs of a network are: one figure in percent, whoever computed them, torch or a runtime.

A metric holds the truth about some images. Its score is percent and higher is better, whatever the figure behind it: an
error is turned into the share that the network takes off the error of the answer that needs no network.

Glossary
    N, K       images, classes
    outputs    what the network gives for a batch: float32 arrays, (n, K) logits, or a map a level, or (n, K, H, W)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from hwnas.errors import InputError
from hwnas.tasks.breakdown import Breakdown

Array = npt.NDArray[np.float32]
Outputs = Sequence[Array]
Batches = Iterable[Outputs]
Arrays = dict[str, npt.NDArray[Any]]


class Metric(ABC):
    """The truth about some images, and how outputs are held against it.

    Attributes:
        task: name of the task.
        name: of the figure.
        relative: whether outputs are compared relatively above 1, or absolutely, as logits are.
        least_agreement: percent, of an exported model with torch; 100 counts images, less than that the points
            between two scores.
    """

    task: ClassVar[str]
    name: ClassVar[str]
    relative: ClassVar[bool] = True
    least_agreement: ClassVar[float] = 99.9

    @property
    def counts_images(self) -> bool:
        """Whether images count one by one, so that agreement is a share of them."""
        return self.least_agreement == 100

    @abstractmethod
    def score(self, batches: Iterable[Outputs]) -> float:
        """Percent, from the outputs of all images in order, a batch at a time."""

    @abstractmethod
    def breakdown(self, batches: Iterable[Outputs], classes: Sequence[str]) -> Breakdown:
        """The score with what it is worth and made of.

        Args:
            batches: as of `score`.
            classes: names in the order of the outputs.
        """

    def lost(self, exact: Batches, rounded: Batches) -> tuple[float, float, float]:
        """What a lower precision costs: the score in fp32, points lost, and the standard error where it is known.

        Args:
            exact, rounded: outputs for all images of the same weights in fp32 and in the lower precision; each is gone
                through once, the one after the other.
        """
        before = self.score(exact)
        return before, before - self.score(rounded), 0.0

    def agreement(self, exact: Batches, found: Batches) -> float:
        """How far two sets of outputs say the same, percent: 100 less the points between their scores."""
        return 100 - abs(self.score(exact) - self.score(found))

    @abstractmethod
    def first(self, count: int) -> Metric:
        """The same for the first `count` images."""

    @abstractmethod
    def arrays(self) -> Arrays:
        """The truth as arrays that a file can hold; `Task.metric_from` reads them."""

    def facts(self) -> dict[str, Any]:
        """What `Task.metric_from` must know beside the arrays and the classes, as JSON values."""
        return {}

    @abstractmethod
    def __len__(self) -> int:
        """Number of images."""


def array_of(arrays: Mapping[str, npt.NDArray[Any]], name: str, dtype: type[np.generic], dims: int, *,
             empty: bool = False) -> npt.NDArray[Any]:
    """An array of a file.

    Args:
        empty: whether one of several dimensions may hold nothing.

    Raises:
        InputError: it is missing, of another type, or has another number of dimensions.
    """
    found = arrays.get(name)
    if found is None:
        raise InputError(f"the array {name!r} is missing")
    if found.dtype != dtype or found.ndim != dims or not (found.size or dims == 1 or empty):
        raise InputError(f"{name} must be {np.dtype(dtype)} of {dims} dimensions, not {found.dtype} {found.shape}")
    return found


def require(holds: bool, rule: str) -> None:
    """Raises InputError with the rule, unless it holds."""
    if not holds:
        raise InputError(rule)
