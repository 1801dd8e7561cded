"""How a model leaves: ONNX, metadata, parity and verification. Only `to_onnx` needs torch."""

from hwnas.export.onnx_export import to_onnx
from hwnas.export.samples import Samples
from hwnas.export.verification import Verdict, predict, read_metadata, verify

__all__ = ["Samples", "Verdict", "predict", "read_metadata", "to_onnx", "verify"]
