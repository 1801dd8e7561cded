"""The former name of `hwnas.train.checkpoint` and of `to_pixels`' place, for one version."""

from hwnas.train.accelerator import to_pixels
from hwnas.train.checkpoint import METADATA, load_into, load_matching, load_tensors, one_line, save_tensors

adopt = load_matching

__all__ = ["METADATA", "adopt", "load_into", "load_matching", "load_tensors", "one_line", "save_tensors", "to_pixels"]
