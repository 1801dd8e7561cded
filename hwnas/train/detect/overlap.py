"""How far boxes agree.

Glossary
    hull    smallest box around two boxes
    IoU     intersection over union
    GIoU    IoU - (hull - union) / hull, in -1..1: H. Rezatofighi et al., CVPR 2019
"""

from __future__ import annotations

from torch import Tensor

_LEAST = 1e-7  # px^2, so that empty boxes divide


def iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of boxes (..., 4) that broadcast: (...)."""
    shared, union = _shared_and_union(a, b)
    return shared / union


def giou(a: Tensor, b: Tensor) -> Tensor:
    """GIoU of boxes (..., 4) that broadcast: (...)."""
    shared, union = _shared_and_union(a, b)
    hull = _area(a[..., :2].minimum(b[..., :2]), a[..., 2:].maximum(b[..., 2:])).clamp(min=_LEAST)
    return shared / union - (hull - union) / hull


def _shared_and_union(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    shared = _area(a[..., :2].maximum(b[..., :2]), a[..., 2:].minimum(b[..., 2:]))
    union = _area(a[..., :2], a[..., 2:]) + _area(b[..., :2], b[..., 2:]) - shared
    return shared, union.clamp(min=_LEAST)


def _area(low: Tensor, high: Tensor) -> Tensor:
    return (high - low).clamp(min=0).prod(dim=-1)
