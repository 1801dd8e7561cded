"""ONNX operators in torch, by name: `FUNCTIONS`. One file a family; a new operator is a function in its file."""

from hwnas.surgery.operators import layers, resizing, shapes, values
from hwnas.surgery.operators.registry import FUNCTIONS, SETTINGS, STATISTICS, Node

__all__ = ["FUNCTIONS", "SETTINGS", "STATISTICS", "Node", "layers", "resizing", "shapes", "values"]
