"""Boxes in the graph are the boxes that numpy computes from the maps."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from hwnas.errors import InputError
from hwnas.export import onnx_bytes
from hwnas.export.nms_graph import with_nms
from hwnas.nets import Network
from hwnas.runtime import open_runtime
from hwnas.space import SpaceConfig, build
from hwnas.tasks.detection import DetectionHeadLayout
from hwnas.tasks.head_layout import layout_of
from hwnas.tasks.nms import detections


@pytest.fixture(scope="module", params=["fcos", "ssdlite"])
def detector(request: pytest.FixtureRequest) -> tuple[bytes, DetectionHeadLayout]:
    torch.manual_seed(1)
    space = build(SpaceConfig("mobile", 64, 3, 3, 0.5, 1, width=96, head=request.param))
    net = Network(space.largest(), [0.5] * 3, [0.25] * 3)
    for _ in range(2):
        net.train()(torch.rand(4, 3, 64, 96))
    with torch.no_grad():  # scores that differ
        for block in net.modules():
            if getattr(block, "kind", "") == "predict":
                block.steps[-1].weight.mul_(30)
    return onnx_bytes(net.eval(), {}), layout_of(space)


def test_the_graph_finds_what_numpy_finds(detector: tuple[bytes, DetectionHeadLayout]) -> None:
    model, layout = detector
    images = np.random.default_rng(0).random((3, 3, 64, 96), dtype=np.float32)
    raw = open_runtime("onnxruntime").load(model)
    boxes, scores = layout.decode(raw.run({raw.input_name: images}))
    wanted = detections(boxes, scores, threshold=0.2, iou=0.5, most=10_000)
    assert sum(map(len, wanted)) > 20
    whole = open_runtime("onnxruntime").load(with_nms(model, layout, threshold=0.2, iou=0.5, most=10_000))
    image, found, score, label = whole.run({whole.input_name: images})
    for i, truth in enumerate(wanted):
        own = image == i
        order = np.lexsort((found[own][:, 0], label[own], -score[own]))
        true_order = np.lexsort((truth.boxes[:, 0], truth.labels, -truth.scores))
        np.testing.assert_allclose(score[own][order], truth.scores[true_order], atol=1e-5)
        np.testing.assert_array_equal(label[own][order], truth.labels[true_order])
        np.testing.assert_allclose(found[own][order], truth.boxes[true_order], atol=1e-2)


def test_outputs_say_what_they_are(detector: tuple[bytes, DetectionHeadLayout]) -> None:
    graph = onnx.load_model_from_string(with_nms(*detector)).graph
    assert [o.name for o in graph.output] == ["index", "boxes", "scores", "labels"]


def test_what_is_no_detector_is_refused(detector: tuple[bytes, DetectionHeadLayout]) -> None:
    model, layout = detector
    with pytest.raises(InputError, match=r"gives 4 maps, its layout says|no detector of hwnas with raw maps"):
        with_nms(with_nms(model, layout), layout)
