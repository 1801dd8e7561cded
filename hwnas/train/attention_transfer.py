"""Where a network looks, taught by another one: attention transfer (Zagoruyko & Komodakis, ICLR 2017).

A map of attention has no channels, so a student may have any number of them.

Glossary
    maps   activations of a network at some of its positions, each (N, C, H, W)
    a      attention: the mean of the squared activations over the channels, as a unit vector, (N, H * W)
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional


def attention(maps: Sequence[Tensor]) -> list[Tensor]:
    """Attention of every map (the paper's F_sum^2, normalised as in its equation 2)."""
    return [functional.normalize(x.square().mean(1).flatten(1), dim=1) for x in maps]


def attention_distance(student: Sequence[Tensor], taught: Sequence[Tensor]) -> Tensor:
    """Mean over maps and images of |a_student - a_taught|^2, a scalar in 0..2; the student learns."""
    gaps = [(a - b.detach()).square().sum(1).mean() for a, b in zip(student, taught, strict=True)]
    found: Tensor = sum(gaps[1:], gaps[0]) / len(gaps)
    return found
