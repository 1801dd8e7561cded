"""Knowledge distillation from a frozen teacher (Hinton et al., 2015)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from hwnas.train.attention_transfer import attention, attention_distance

Outputs = Tensor | list[Tensor]
REMEMBERED = 1 << 28  # bytes: three epochs of 20,000 images of 1,000 classes


@runtime_checkable
class Watchable(Protocol):
    """A network whose maps can be compared: `hwnas.nets.Network`, and any other that keeps maps of the same sizes."""

    def watch_taps(self) -> None:
        """Keep the maps of the backbone that a head reads, from here on."""

    def unwatch(self) -> None:
        """Keep none any more."""

    def taken_maps(self) -> list[Tensor]:
        """Those of the last forward pass, finest first, each (N, C, H, W); they are forgotten."""


class Teacher:
    """A frozen network that gives targets to a student.

    Args:
        net: the teacher; put into eval mode.
        weight: share of the distillation loss of a classifier, in [0, 1], the rest is cross entropy; in the other
            tasks its factor beside the plain loss.
        temperature: softens both distributions of a classifier.
        remember: keep the teacher's outputs per (epoch, step), so that several students that see the same batches
            (same data, seed and batch size) ask the teacher once; the first ones, up to `REMEMBERED` bytes.
        features: factor of the distance of attention on the maps of the backbone
            (`hwnas.train.attention_transfer`), for networks with a head; 0 compares outputs alone. Not remembered.
    """

    def __init__(self, net: nn.Module, *, weight: float = 0.7, temperature: float = 3.0,
                 remember: bool = False, features: float = 0.0) -> None:
        self.net = net.eval()
        self.weight, self.temperature, self.features = weight, temperature, features
        self.cache: dict[tuple[int, int], Outputs] | None = {} if remember and not features else None
        self._room = REMEMBERED

    @contextlib.contextmanager
    def capture_features(self, student: nn.Module) -> Iterator[None]:
        """Let both networks keep the maps that are compared; a network that is exported later must not."""
        both = [net for net in (self.net, student) if self.features and isinstance(net, Watchable)]
        for net in both:
            net.watch_taps()
        try:
            yield
        finally:
            for net in both:
                net.unwatch()

    def feature_loss(self, student: nn.Module) -> Tensor | None:
        """How far the student's attention in its last pass is from the teacher's; None where nothing is compared."""
        if not (self.features and isinstance(self.net, Watchable) and isinstance(student, Watchable)):
            return None
        mine, taught = student.taken_maps(), self.net.taken_maps()
        return attention_distance(attention(mine), attention(taught)) if mine else None

    @torch.no_grad()
    def outputs(self, pixels: Tensor, epoch: int, step: int) -> Outputs:
        """What the teacher gives for a batch; from the cache if this step was seen before."""
        if self.cache is None:
            return self.net(pixels)  # type: ignore[no-any-return]
        known = self.cache.get((epoch, step))
        if known is not None:
            return known
        found: Outputs = self.net(pixels)
        size = sum(tensor.nbytes for tensor in (found if isinstance(found, list) else [found]))
        if size <= self._room:
            self.cache[epoch, step] = found
            self._room -= size
        return found

    def loss(self, student: Tensor, teacher: Tensor, plain: Tensor) -> Tensor:
        """(1 - weight) * plain + weight * T^2 * KL(teacher || student), of logits (N, classes), mean over the batch."""
        divergence = softened_kl(student, teacher, self.temperature, 1).mean()
        return (1 - self.weight) * plain + self.weight * divergence


def softened_kl(student: Tensor, teacher: Tensor, temperature: float, dim: int) -> Tensor:
    """T^2 KL(teacher || student) of the softmaxes over `dim` at temperature T, summed over it; the student learns."""
    divergence = functional.kl_div(
        (student / temperature).log_softmax(dim), (teacher.detach() / temperature).log_softmax(dim),
        log_target=True, reduction="none",
    )
    return temperature**2 * divergence.sum(dim)
