"""A detector whose graph ends in boxes: decoding and NonMaxSuppression behind the maps, for runtimes that have it.

The numbers are those of `hwnas.tasks`, computed by nodes of ONNX. Outputs of the new graph, M detections of all images
of a batch together:

    index    int64 (M,)      number of the image in the batch
    boxes    float32 (M, 4)  x0, y0, x1, y1, pixels of the network's input
    scores   float32 (M,)
    labels   int64 (M,)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from hwnas.errors import InputError
from hwnas.tasks.decoding import LARGEST_GROWTH, VARIANCES
from hwnas.tasks.detection import DetectionHeadLayout

OUTPUTS = (("index", TensorProto.INT64, ["detections"]), ("boxes", TensorProto.FLOAT, ["detections", 4]),
           ("scores", TensorProto.FLOAT, ["detections"]), ("labels", TensorProto.INT64, ["detections"]))


def with_nms(model: bytes, layout: DetectionHeadLayout, *, threshold: float = 0.05, iou: float = 0.6,
             most: int = 100) -> bytes:
    """A detector's ONNX bytes with boxes instead of maps.

    Args:
        layout: what its maps mean.
        threshold: least score.
        iou: overlap from which the worse of two boxes of a class is left out.
        most: boxes a class and image.

    Raises:
        InputError: the model has not the maps of the layout.
    """
    proto = onnx.load_model_from_string(model)
    names = [output.name for output in proto.graph.output]
    if len(names) != len(layout.maps):
        raise InputError(f"the model gives {len(names)} maps, its layout says {len(layout.maps)}: it is no detector of "
                         "hwnas with raw maps")
    tail = _Tail(proto.graph)
    boxes, scores = (_fcos if layout.kind == "fcos" else _ssdlite)(tail, tail.rows(names, layout), layout)
    tail.suppress(boxes, scores, threshold, iou, most)
    del proto.graph.output[:]
    proto.graph.output.extend(helper.make_tensor_value_info(*told) for told in OUTPUTS)
    onnx.checker.check_model(proto)
    data: bytes = proto.SerializeToString()
    return data


class _Tail:
    """Appends nodes to a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph, self.count = graph, 0

    def node(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        self.count += 1
        out = out or f"nms/{self.count}"
        name = f"nms/{kind}{self.count}"
        self.graph.node.append(helper.make_node(kind, list(inputs), [out], name=name, **attributes))
        return out

    def constant(self, values: Any, kind: type = np.float32) -> str:
        self.count += 1
        name = f"nms/constant{self.count}"
        self.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=kind), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(values, np.int64)

    def cut(self, value: str, start: int, end: int, axis: int = 2) -> str:
        return self.node("Slice", value, self.integers(start), self.integers(end), self.integers(axis))

    def rows(self, names: list[str], layout: DetectionHeadLayout) -> str:
        """All maps as one tensor (N, P, values)."""
        parts = []
        for name in names:
            apart = self.node("Reshape", name, self.integers(0, layout.per_cell, layout.values, -1))
            turned = self.node("Transpose", apart, perm=[0, 3, 1, 2])
            parts.append(self.node("Reshape", turned, self.integers(0, -1, layout.values)))
        return self.node("Concat", *parts, axis=1)

    def suppress(self, boxes: str, scores: str, threshold: float, iou: float, most: int) -> None:
        """boxes (N, P, 4) and scores (N, P, K) to the outputs of the graph."""
        turned = self.node("Transpose", scores, perm=[0, 2, 1])
        swapped = self.node("Gather", boxes, self.integers(1, 0, 3, 2), axis=2)  # y before x, as the operator has it
        kept = self.node("NonMaxSuppression", swapped, turned, self.integers(most), self.constant([iou]),
                         self.constant([threshold]))
        image, label, place = (self.node("Gather", kept, self.integers(i), axis=1) for i in range(3))
        flat = self.integers(-1)
        self.node("Reshape", image, flat, out="index")
        self.node("Reshape", label, flat, out="labels")
        self.node("GatherND", turned, kept, out="scores")
        self.node("GatherND", boxes, self.node("Concat", image, place, axis=1), out="boxes")


def _fcos(tail: _Tail, raw: str, layout: DetectionHeadLayout) -> tuple[str, str]:
    bins = layout.reg_max + 1
    scores = tail.node("Sigmoid", tail.cut(raw, 0, layout.classes))
    spread = tail.node("Reshape", tail.cut(raw, layout.classes, layout.values), tail.integers(0, -1, 4, bins))
    means = tail.node("MatMul", tail.node("Softmax", spread, axis=-1), tail.constant(np.arange(bins)[:, None]))
    strides = tail.constant(layout.point_strides()[None, :, None])
    distances = tail.node("Mul", tail.node("Squeeze", means, tail.integers(3)), strides)
    points = tail.constant(layout.points()[None])
    low = tail.node("Sub", points, tail.cut(distances, 0, 2))
    high = tail.node("Add", points, tail.cut(distances, 2, 4))
    return tail.node("Concat", low, high, axis=2), scores


def _ssdlite(tail: _Tail, raw: str, layout: DetectionHeadLayout) -> tuple[str, str]:
    classes, anchors = layout.classes, layout.anchors()
    sides = anchors[:, 2:] - anchors[:, :2]
    scores = tail.cut(tail.node("Softmax", tail.cut(raw, 0, classes + 1), axis=-1), 1, classes + 1)
    offsets = tail.node("Mul", tail.cut(raw, classes + 1, classes + 5), tail.constant(VARIANCES))
    shift = tail.node("Mul", tail.cut(offsets, 0, 2), tail.constant(sides[None]))
    centres = tail.node("Add", shift, tail.constant(layout.points()[None]))
    growth = tail.node("Exp", tail.node("Min", tail.cut(offsets, 2, 4), tail.constant([LARGEST_GROWTH])))
    halves = tail.node("Mul", growth, tail.constant(sides[None] / 2))
    low, high = tail.node("Sub", centres, halves), tail.node("Add", centres, halves)
    return tail.node("Concat", low, high, axis=2), scores
