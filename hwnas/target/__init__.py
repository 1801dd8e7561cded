"""Targets: a device, a runtime, a precision, a batch and a number of threads; one YAML file each."""

from hwnas.target.find import alias_of, folders, load, locate, names, read, user_folder
from hwnas.target.hardware import Docker, Hardware
from hwnas.target.packaged import data_folder
from hwnas.target.precision import MIXED, PRECISIONS, VALUE_BYTES, NetworkPrecision, Precision
from hwnas.target.profile import RuntimeName, Target

__all__ = [
    "MIXED", "PRECISIONS", "VALUE_BYTES", "Docker", "Hardware", "NetworkPrecision", "Precision", "RuntimeName",
    "Target", "alias_of", "data_folder", "folders", "load", "locate", "names", "read", "user_folder",
]
