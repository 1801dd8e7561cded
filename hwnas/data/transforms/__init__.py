"""Random changes of one image and the truth about it, by name or of a user's own; `registry` has the names."""

from hwnas.data.transforms.registry import TRANSFORMS, transforms_of
from hwnas.data.transforms.sample import Sample, Transform, changed

__all__ = ["TRANSFORMS", "Sample", "Transform", "changed", "transforms_of"]
