"""One figure a task from the outputs of any network, and the truth as arrays that a file can hold."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.data import Dataset
from hwnas.data.detection import DetectionData, DetectionPart, Frame
from hwnas.imaging.letterbox import Letterbox
from hwnas.tasks import DetectionHeadLayout, Detections, Metric, find
from hwnas.tasks.classify import AccuracyMetric
from hwnas.tasks.detect import DetectionMetric, box_score
from hwnas.tasks.examples import Example, examples
from hwnas.tasks.segment import MeanIouMetric

LAYOUT = DetectionHeadLayout.over("fcos", (64, 96), (8, 16, 32), 2)
BOXES = (np.array([[8, 8, 40, 40], [48, 16, 88, 56]], np.float32), np.zeros((0, 4), np.float32))
LABELS = (np.array([0, 1]), np.zeros(0, np.int64))
CROWD = (np.zeros(2, bool), np.zeros(0, bool))
ORIGINALS = np.array([[128, 192], [64, 96]])


def boxes() -> DetectionMetric:
    return DetectionMetric(LAYOUT, BOXES, LABELS, CROWD, ORIGINALS)


def maps(found: list[list[tuple[float, float, float, float]]], kinds: list[list[int]]) -> list[np.ndarray]:
    """Raw outputs of a head that sees exactly these boxes: one-hot bins at the point nearest to each centre."""
    out = [np.full((len(found), LAYOUT.channels, h, w), -12.0, np.float32) for h, w in LAYOUT.maps]
    for i, (rows, labels) in enumerate(zip(found, kinds, strict=True)):
        for (x0, y0, x1, y1), label in zip(rows, labels, strict=True):
            x, y = int((x0 + x1) / 2 // 8), int((y0 + y1) / 2 // 8)
            centre = ((x + 0.5) * 8, (y + 0.5) * 8)
            sides = (centre[0] - x0, centre[1] - y0, x1 - centre[0], y1 - centre[1])
            out[0][i, label, y, x] = 6.0
            for side, distance in enumerate(sides):
                low, share = divmod(distance / 8, 1)
                logits = np.full(8, -20.0)
                logits[int(low)] = np.log(max(1 - share, 1e-9))
                logits[min(7, int(low) + 1)] = np.log(max(share, 1e-9))
                out[0][i, 2 + 8 * side : 10 + 8 * side, y, x] = logits
    return out


def truth() -> list[np.ndarray]:
    return maps([[tuple(b) for b in rows.tolist()] for rows in BOXES], [k.tolist() for k in LABELS])


def test_a_detector_that_sees_the_truth_has_all() -> None:
    metric = boxes()
    assert metric.score([truth()]) == pytest.approx(100, abs=0.1)
    assert metric.score([[m[:1] for m in truth()], [m[1:] for m in truth()]]) == pytest.approx(100, abs=0.1)
    assert metric.score([maps([[], []], [[], []])]) == 0
    assert metric.details([truth()]).map50 == pytest.approx(100)
    assert metric.name == "mAP"


def test_boxes_are_metricd_in_pixels_of_the_originals() -> None:
    found = boxes().found([truth()])[0]
    fit = Letterbox.fit(128, 192, LAYOUT.size)
    np.testing.assert_allclose(fit.to_original(found.boxes[:1]), [[16, 16, 80, 80]], atol=0.5)


def test_two_sets_of_outputs_agree_as_far_as_their_scores() -> None:
    metric, half = boxes(), maps([[tuple(BOXES[0][0].tolist())], []], [[0], []])
    assert metric.agreement([truth()], [truth()]) == 100
    assert metric.agreement([truth()], [half]) == pytest.approx(50, abs=1)
    before, drop, error = metric.lost([truth()], [half])
    assert (before, drop, error) == (pytest.approx(100, abs=0.1), pytest.approx(50, abs=1), 0.0)


def test_masks() -> None:
    masks = np.zeros((2, 4, 6), np.uint8)
    masks[0, :2], masks[1, 0, 0] = 1, 255
    logits = np.eye(2, dtype=np.float32)[np.where(masks == 255, 0, masks)].transpose(0, 3, 1, 2)
    metric = MeanIouMetric(masks, 2)
    assert metric.score([[logits]]) == 100
    assert metric.score([[logits[:1]], [logits[1:]]]) == 100
    assert metric.score([[logits[:, ::-1]]]) == 0
    assert metric.first(1).score([[logits[:1]]]) == 100


def test_classes() -> None:
    logits = np.array([[2, 1], [0, 1], [3, 0]], np.float32)
    metric = AccuracyMetric(np.array([0, 1, 1]))
    assert metric.score([[logits]]) == pytest.approx(200 / 3)
    assert metric.agreement([[logits]], [[-logits]]) == 0


@pytest.mark.parametrize("metric", [boxes(), MeanIouMetric(np.zeros((3, 4, 4), np.uint8), 5),
                                    AccuracyMetric(np.arange(4))])
def test_a_metric_comes_back_from_its_arrays(metric: Metric) -> None:
    task, shape = find(metric.task), (len(metric), 4, 4, 3)
    again = task.metric_from(metric.arrays(), 5, task.layout_from(metric.facts()), shape)
    assert (len(again), again.task, again.name) == (len(metric), metric.task, metric.name)
    for name, array in metric.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)
    assert len(metric.first(1)) == 1
    if isinstance(again, DetectionMetric):
        assert again.score([truth()]) == pytest.approx(100, abs=0.1)


def shown(outputs: list[np.ndarray], count: int = 1) -> list[Example]:
    frames = tuple(Frame(str(i), None, *size) for i, size in enumerate(ORIGINALS.tolist()))
    part = DetectionPart(np.zeros((2, 64, 96, 3), np.uint8), frames, BOXES, LABELS, CROWD)
    data = DetectionData("two", part, part, ("a", "b"), (1, 2), (64, 96), "two")
    return examples(find("detect").cases(find("detect").metric(data, LAYOUT), data, [outputs]), count)


def test_examples_show_the_best_and_the_worst() -> None:
    wrong = maps([[], [(8, 8, 40, 40)]], [[], [0]])
    (good, bad) = shown(truth())
    assert (good.good, bad.good) == (True, False)
    assert good.score == bad.score == 100
    assert good.picture.shape == (64, 2 * 96 + 8, 3)
    assert shown(wrong)[-1].score == 0
    digits = Dataset("d", np.zeros((2, 8, 8, 1), np.uint8), np.arange(2), np.zeros((2, 8, 8, 1), np.uint8),
                     np.arange(2), ("a", "b"), "d")
    assert examples(find("classify").cases(AccuracyMetric(np.arange(2)), digits, [])) == []


@pytest.mark.parametrize(("found", "labels", "score"), [
    ([[8, 8, 40, 40], [48, 16, 88, 56]], [0, 1], 100), ([[8, 8, 40, 40]], [0], 200 / 3), ([], [], 0),
    ([[8, 8, 40, 40]], [1], 0), ([[8, 8, 40, 40], [8, 8, 40, 40]], [0, 0], 50),
])
def test_the_score_of_one_image_is_its_f1(found: list[list[float]], labels: list[int], score: float) -> None:
    answer = Detections(np.array(found, np.float32).reshape(-1, 4), np.ones(len(found), np.float32),
                        np.array(labels, np.int64))
    assert box_score(answer, BOXES[0], LABELS[0], CROWD[0]) == pytest.approx(score)


def test_crowds_excuse_what_is_found_in_them() -> None:
    answer = Detections(BOXES[0][:1], np.ones(1, np.float32), np.array([0]))
    assert box_score(answer, BOXES[0], LABELS[0], np.array([True, True])) == 100
