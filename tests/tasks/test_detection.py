"""Decoding against slow loops over single cells, and the counts that the heads are known by."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from hwnas.errors import InputError, UnknownName, UsageError
from hwnas.tasks import DetectionHeadLayout

FCOS = DetectionHeadLayout.over("fcos", (72, 104), (8, 16, 32), classes=3, reg_max=5)
SSD = DetectionHeadLayout.over("ssdlite", (72, 104), (16, 32, 64), classes=3)


def random_maps(head: DetectionHeadLayout, images: int = 2, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 2, (images, head.channels, h, w)).astype(np.float32) for h, w in head.maps]


def softmax(logits: list[float]) -> list[float]:
    powers = [math.exp(v) for v in logits]
    return [p / sum(powers) for p in powers]


def slow_fcos(head: DetectionHeadLayout, maps: list[np.ndarray], n: int) -> tuple[list[list[float]], list[list[float]]]:
    boxes, scores = [], []
    for values, stride, (h, w) in zip(maps, head.strides, head.maps, strict=True):
        for y in range(h):
            for x in range(w):
                cell = values[n, :, y, x].astype(float).tolist()
                scores.append([1 / (1 + math.exp(-v)) for v in cell[: head.classes]])
                sides = []
                for side in range(4):
                    first = head.classes + side * (head.reg_max + 1)
                    shares = softmax(cell[first : first + head.reg_max + 1])
                    sides.append(stride * sum(bin_ * share for bin_, share in enumerate(shares)))
                cx, cy = (x + 0.5) * stride, (y + 0.5) * stride
                boxes.append([cx - sides[0], cy - sides[1], cx + sides[2], cy + sides[3]])
    return boxes, scores


def slow_anchor(head: DetectionHeadLayout, level: int, y: int, x: int, a: int) -> tuple[float, float, float, float]:
    """Centre and sides."""
    step = 0.75 / (len(head.maps) - 1)
    scales = [0.2 + step * k for k in range(len(head.maps))] + [1.0]
    s, following = scales[level], scales[level + 1]
    sides = [(s * math.sqrt(r), s / math.sqrt(r)) for r in (1, 2, 0.5, 3, 1 / 3)] + [(math.sqrt(s * following),) * 2]
    shorter, (h, w) = min(head.size), head.maps[level]
    return (x + 0.5) / w * head.size[1], (y + 0.5) / h * head.size[0], sides[a][0] * shorter, sides[a][1] * shorter


def slow_ssd(head: DetectionHeadLayout, maps: list[np.ndarray], n: int) -> tuple[list[list[float]], list[list[float]]]:
    boxes, scores, k = [], [], head.classes
    for level, (values, (h, w)) in enumerate(zip(maps, head.maps, strict=True)):
        for y in range(h):
            for x in range(w):
                for a in range(6):
                    cell = [float(values[n, a * (k + 5) + c, y, x]) for c in range(k + 5)]
                    scores.append(softmax(cell[: k + 1])[1:])
                    cx, cy, aw, ah = slow_anchor(head, level, y, x, a)
                    cx, cy = cx + 0.1 * cell[k + 1] * aw, cy + 0.1 * cell[k + 2] * ah
                    bw, bh = aw * math.exp(0.2 * cell[k + 3]), ah * math.exp(0.2 * cell[k + 4])
                    boxes.append([cx - bw / 2, cy - bh / 2, cx + bw / 2, cy + bh / 2])
    return boxes, scores


@pytest.mark.parametrize(("head", "slow"), [(FCOS, slow_fcos), (SSD, slow_ssd)], ids=["fcos", "ssdlite"])
@pytest.mark.parametrize("seed", range(3))
def test_decoding_is_the_slow_loop(head: DetectionHeadLayout, slow, seed: int) -> None:
    maps = random_maps(head, seed=seed)
    boxes, scores = head.decode(maps)
    assert boxes.dtype == scores.dtype == np.float32
    assert boxes.shape == (2, head.count, 4)
    assert scores.shape == (2, head.count, 3)
    for n in range(2):
        wanted_boxes, wanted_scores = slow(head, maps, n)
        np.testing.assert_allclose(boxes[n], wanted_boxes, rtol=1e-4, atol=1e-3)
        np.testing.assert_allclose(scores[n], wanted_scores, rtol=1e-4, atol=1e-6)


def test_ssdlite_320_has_3234_anchors() -> None:
    head = DetectionHeadLayout.over("ssdlite", (320, 320), (16, 32, 64, 128, 256, 512), classes=20)
    assert head.maps == ((20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1))
    assert head.anchors().shape == (*head.points().shape[:1], 4) == (3234, 4)
    assert head.count == len(head.point_strides()) == 3234
    assert head.channels == 6 * 25


def test_fcos_416_has_3598_points() -> None:
    head = DetectionHeadLayout.over("fcos", (416, 416), (8, 16, 32, 64), classes=80)
    assert [h for h, _ in head.maps] == [52, 26, 13, 7]
    assert head.points().shape == (3598, 2)
    assert head.count == 3598
    assert head.channels == 80 + 32


def test_one_hot_at_bin_three_of_stride_eight_is_24_px() -> None:
    head = DetectionHeadLayout("fcos", (8, 8), ((1, 1),), (8,), classes=1)
    values = np.full((1, 33, 1, 1), -200, np.float32)
    values[0, [1 + side * 8 + 3 for side in range(4)]] = 200
    boxes, scores = head.decode([values])
    assert boxes[0, 0].tolist() == [4 - 24, 4 - 24, 4 + 24, 4 + 24]
    assert scores[0, 0, 0] == pytest.approx(0, abs=1e-6)


def test_anchors_by_hand() -> None:
    head = DetectionHeadLayout.over("ssdlite", (320, 320), (16, 32, 64, 128, 256, 512), classes=1)
    anchors = head.anchors()
    np.testing.assert_allclose(anchors[0], [8 - 32, 8 - 32, 8 + 32, 8 + 32], rtol=1e-6)
    wide = 64 * 2**0.5
    np.testing.assert_allclose(anchors[1], [8 - wide / 2, 8 - wide / 4, 8 + wide / 2, 8 + wide / 4], rtol=1e-5)
    extra = 320 * (0.2 * 0.35) ** 0.5
    np.testing.assert_allclose(anchors[5], [8 - extra / 2, 8 - extra / 2, 8 + extra / 2, 8 + extra / 2], rtol=1e-5)
    np.testing.assert_allclose(anchors[6, :2] + anchors[6, 2:], [48, 16], rtol=1e-5)  # the next cell to the right
    last = 320 * 0.95**0.5
    np.testing.assert_allclose(anchors[-1], [160 - last / 2] * 2 + [160 + last / 2] * 2, rtol=1e-5)


def test_points_by_hand() -> None:
    assert FCOS.points()[:2].tolist() == [[4, 4], [12, 4]]
    assert FCOS.points()[13].tolist() == [4, 12]  # 13 cells of stride 8 a row
    assert FCOS.points()[-1].tolist() == [112, 80]
    assert FCOS.point_strides()[[0, 9 * 13 - 1, 9 * 13, -1]].tolist() == [8, 8, 16, 32]


def test_no_offset_is_the_anchor_and_no_output_overflows() -> None:
    still = [np.zeros_like(values) for values in random_maps(SSD)]
    boxes, scores = SSD.decode(still)
    np.testing.assert_allclose(boxes[0], SSD.anchors(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(scores, 0.25, rtol=1e-6)
    for head in (FCOS, SSD):
        for scale in (1e4, -1e4):
            found = head.decode([np.sign(values) * np.float32(scale) for values in random_maps(head)])
            assert all(np.isfinite(values).all() for values in found)


@pytest.mark.parametrize("head", [FCOS, SSD])
def test_json_there_and_back(head: DetectionHeadLayout) -> None:
    assert DetectionHeadLayout.from_json(json.loads(json.dumps(head.to_json()))) == head


@pytest.mark.parametrize("change", [
    {"hwnas_detection_head": 2}, {"kind": "yolo"}, {"kind": ["fcos"]}, {"size": [320]}, {"maps": [[9]]},
    {"strides": [8]}, {"classes": 0}, {"classes": "many"}, {"reg_max": None},
])
def test_broken_json_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError, match="detection head"):
        DetectionHeadLayout.from_json(FCOS.to_json() | change)
    with pytest.raises(InputError, match="detection head"):
        DetectionHeadLayout.from_json({key: value for key, value in FCOS.to_json().items() if key not in change})


def test_rules_of_a_head() -> None:
    with pytest.raises(UnknownName, match="fcos, ssdlite"):
        replace(FCOS, kind="retina")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="one stride for each map"):
        replace(FCOS, strides=(8, 16))
    with pytest.raises(UsageError, match="1 or more"):
        replace(FCOS, strides=(8, 16, 0))
    with pytest.raises(UsageError, match="has points"):
        FCOS.anchors()


def test_maps_of_another_head_are_refused() -> None:
    maps = random_maps(FCOS)
    with pytest.raises(InputError, match="has 3 maps, the network gave 2"):
        FCOS.decode(maps[:2])
    with pytest.raises(InputError, match=r"map 1 must be \(N, 27, 5, 7\), not \(2, 27, 7, 5\)"):
        FCOS.decode([maps[0], maps[1].transpose(0, 1, 3, 2), maps[2]])
