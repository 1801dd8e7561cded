"""Distillation of a detector from its raw outputs.

Glossary
    N, P, K   images, predictions an image, classes
    w         the teacher's confidence that something is there, its best class score, 0..1       (N, P)
    sure      predictions with w above `CONFIDENT`; only there is the teacher's box worth learning

Every mean is weighted by w, so that the thousands of predictions of background do not drown the rest.
Source: G. Hinton et al., 2015, for the softened divergence; Z. Zheng et al., Localization Distillation, CVPR 2022, for
that of the distances.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn import functional

from hwnas.nets.ranks import fair_count
from hwnas.tasks import DetectionHeadLayout
from hwnas.train.detect.targets import raw_rows
from hwnas.train.distill import softened_kl

CONFIDENT = 0.3


def distill_detection(student_maps: Sequence[Tensor], teacher_maps: Sequence[Tensor], head: DetectionHeadLayout, *,
                      temperature: float = 2.0) -> Tensor:
    """What the student's raw outputs are off the teacher's, a scalar; no gradient reaches the teacher.

    fcos: divergence of each class's sigmoid, and of the distributions of the distances where the teacher is sure.
    ssdlite: divergence of the softmax over the classes, and L1 of the offsets where the teacher is sure.

    Args:
        student_maps, teacher_maps: raw outputs of both, (N, channels, h, w) a level.
        head: of both.
        temperature: softens all distributions.

    Raises:
        InputError: maps of another head.
    """
    student, teacher = raw_rows(student_maps, head), raw_rows(teacher_maps, head).detach()
    return _DISTILLERS[head.kind](student, teacher, head.classes, temperature)


def _fcos(student: Tensor, teacher: Tensor, classes: int, temperature: float) -> Tensor:
    confidence = teacher[..., :classes].sigmoid().amax(dim=-1)
    seen = sigmoid_kl(student[..., :classes], teacher[..., :classes], temperature).sum(dim=-1)
    bins, taught = (raw[..., classes:].unflatten(-1, (4, -1)) for raw in (student, teacher))  # type: ignore[no-untyped-call]
    distances = softened_kl(bins, taught, temperature, -1).mean(dim=-1)
    return _mean(seen, confidence) + _mean(distances, confidence * (confidence > CONFIDENT))


def _ssdlite(student: Tensor, teacher: Tensor, classes: int, temperature: float) -> Tensor:
    confidence = teacher[..., : classes + 1].softmax(dim=-1)[..., 1:].amax(dim=-1)
    seen = softened_kl(student[..., : classes + 1], teacher[..., : classes + 1], temperature, -1)
    offsets = (student[..., classes + 1 :] - teacher[..., classes + 1 :]).abs().mean(dim=-1)
    return _mean(seen, confidence) + _mean(offsets, confidence * (confidence > CONFIDENT))


def sigmoid_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher || student) of independent sigmoids at temperature T, element by element."""
    soft = teacher / temperature
    shares = soft.sigmoid()
    crossed = functional.binary_cross_entropy_with_logits(student / temperature, shares, reduction="none")
    own = functional.binary_cross_entropy_with_logits(soft, shares, reduction="none")
    return temperature**2 * (crossed - own)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean; 0 where no weight is left."""
    return (values * weights).sum() / fair_count(weights.sum(), values.device, least=1e-6)


_DISTILLERS: dict[str, Callable[[Tensor, Tensor, int, float], Tensor]] = {"fcos": _fcos, "ssdlite": _ssdlite}
