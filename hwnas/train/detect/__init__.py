"""How a detector learns: from boxes and from a teacher. Needs torch."""

from hwnas.train.detect.distill import distill_detection
from hwnas.train.detect.loss import DetectionLoss

__all__ = ["DetectionLoss", "distill_detection"]
