"""How a model leaves: ONNX, metadata, parity and verification. Only `to_onnx` and `onnx_bytes` need torch."""

from hwnas.export.metadata import read_metadata, stamped
from hwnas.export.onnx_export import onnx_bytes, to_onnx
from hwnas.export.samples import Samples
from hwnas.export.verification import Loss, Verdict, answers, predict, verify

__all__ = [
    "Loss", "Samples", "Verdict", "answers", "onnx_bytes", "predict", "read_metadata", "stamped", "to_onnx", "verify",
]
