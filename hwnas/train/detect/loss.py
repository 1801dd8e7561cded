"""The loss of a detector, whatever its head."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hwnas.tasks import DetectionHeadLayout
from hwnas.train.detect.fcos import FcosTerms
from hwnas.train.detect.ssdlite import SsdTerms
from hwnas.train.detect.targets import GroundTruth, gather, raw_rows

Terms = Callable[[Tensor, GroundTruth, GroundTruth], dict[str, Tensor]]
TERMS: dict[str, Callable[[DetectionHeadLayout], Terms]] = {"fcos": FcosTerms, "ssdlite": SsdTerms}


class DetectionLoss:
    """What raw outputs are off the truth. See fcos.py and ssdlite.py for the terms."""

    def __init__(self, head: DetectionHeadLayout) -> None:
        self.head = head
        self._last: dict[str, Tensor] = {}
        self._terms = TERMS[head.kind](head)

    def __call__(self, maps: Sequence[Tensor], boxes: Sequence[Tensor], labels: Sequence[Tensor],
                 crowd: Sequence[Tensor]) -> Tensor:
        """The loss of a batch, a scalar; finite, and with a gradient, for images without boxes too.

        Args:
            maps: raw outputs of the network, (N, channels, h, w) a level.
            boxes: true boxes of each image, (n, 4), px of the network's input.
            labels: their classes, (n,), 0..K-1.
            crowd: whether each is a crowd, (n,): nothing is learnt inside, but for boxes that overlap it.

        Raises:
            InputError: maps of another head.
        """
        raw = raw_rows(maps, self.head)
        terms = self._terms(raw, *gather(boxes, labels, crowd, raw.device))
        self._last = {name: term.detach() for name, term in terms.items()}
        return torch.stack(list(terms.values())).sum()

    @property
    def parts(self) -> dict[str, float]:
        """Weighted terms of the last call, for logs; their sum is the loss. Waits for the device."""
        return {name: float(term) for name, term in self._last.items()}
