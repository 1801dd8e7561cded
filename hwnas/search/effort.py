"""What a search takes, in what a machine can be timed for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Work in one process, one thing after the other.

    Args:
        epochs: passes over the part of the training set that trains, in steps of one network each.
        scores: networks that are judged on the other part.
    """

    epochs: float = 0.0
    scores: float = 0.0

    def __add__(self, other: Effort) -> Effort:
        return Effort(self.epochs + other.epochs, self.scores + other.scores)

    def __mul__(self, times: float) -> Effort:
        return Effort(self.epochs * times, self.scores * times)
