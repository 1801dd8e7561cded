"""One figure a task from the outputs of any network, and the truth as arrays that a file can hold."""

from __future__ import annotations

import numpy as np
import pytest

from hwnas.imaging.letterbox import Letterbox
from hwnas.tasks.detection import DetectionHeadLayout
from hwnas.tasks.examples import box_score, examples
from hwnas.tasks.judge import BoxJudge, ClassJudge, Judge, MaskJudge, facts_of, judge_from
from hwnas.tasks.nms import Detections

LAYOUT = DetectionHeadLayout.over("fcos", (64, 96), (8, 16, 32), 2)
BOXES = (np.array([[8, 8, 40, 40], [48, 16, 88, 56]], np.float32), np.zeros((0, 4), np.float32))
LABELS = (np.array([0, 1]), np.zeros(0, np.int64))
CROWD = (np.zeros(2, bool), np.zeros(0, bool))
ORIGINALS = np.array([[128, 192], [64, 96]])


def boxes() -> BoxJudge:
    return BoxJudge(LAYOUT, BOXES, LABELS, CROWD, ORIGINALS)


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
    judge = boxes()
    assert judge.score([truth()]) == pytest.approx(100, abs=0.1)
    assert judge.score([[m[:1] for m in truth()], [m[1:] for m in truth()]]) == pytest.approx(100, abs=0.1)
    assert judge.score([maps([[], []], [[], []])]) == 0
    assert judge.details([truth()]).map50 == pytest.approx(100)
    assert judge.metric == "mAP"


def test_boxes_are_judged_in_pixels_of_the_originals() -> None:
    found = boxes().found([truth()])[0]
    fit = Letterbox.fit(128, 192, LAYOUT.size)
    np.testing.assert_allclose(fit.to_original(found.boxes[:1]), [[16, 16, 80, 80]], atol=0.5)


def test_two_sets_of_outputs_agree_as_far_as_their_scores() -> None:
    judge, half = boxes(), maps([[tuple(BOXES[0][0].tolist())], []], [[0], []])
    assert judge.agreement([truth()], [truth()]) == 100
    assert judge.agreement([truth()], [half]) == pytest.approx(50, abs=1)
    before, drop, error = judge.lost([truth()], [half])
    assert (before, drop, error) == (pytest.approx(100, abs=0.1), pytest.approx(50, abs=1), 0.0)


def test_masks() -> None:
    masks = np.zeros((2, 4, 6), np.uint8)
    masks[0, :2], masks[1, 0, 0] = 1, 255
    logits = np.eye(2, dtype=np.float32)[np.where(masks == 255, 0, masks)].transpose(0, 3, 1, 2)
    judge = MaskJudge(masks, 2)
    assert judge.score([[logits]]) == 100
    assert judge.score([[logits[:1]], [logits[1:]]]) == 100
    assert judge.score([[logits[:, ::-1]]]) == 0
    assert judge.head(1).score([[logits[:1]]]) == 100


def test_classes() -> None:
    logits = np.array([[2, 1], [0, 1], [3, 0]], np.float32)
    judge = ClassJudge(np.array([0, 1, 1]))
    assert judge.score([[logits]]) == pytest.approx(200 / 3)
    assert judge.agreement([[logits]], [[-logits]]) == 0


@pytest.mark.parametrize("judge", [boxes(), MaskJudge(np.zeros((3, 4, 4), np.uint8), 5), ClassJudge(np.arange(4))])
def test_a_judge_comes_back_from_its_arrays(judge: Judge) -> None:
    shape = (len(judge), 4, 4, 3)
    again = judge_from(judge.arrays(), facts_of(judge) | {"classes": 5}, shape)
    assert (len(again), again.task, again.metric) == (len(judge), judge.task, judge.metric)
    for name, array in judge.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)
    assert len(judge.head(1)) == 1
    if isinstance(again, BoxJudge):
        assert again.score([truth()]) == pytest.approx(100, abs=0.1)


def test_examples_show_the_best_and_the_worst() -> None:
    images = np.zeros((2, 64, 96, 3), np.uint8)
    wrong = maps([[], [(8, 8, 40, 40)]], [[], [0]])
    (good, bad) = examples(boxes(), images, [truth()[0:1] + truth()[1:]], ["a", "b"], count=1)
    assert (good.good, bad.good) == (True, False)
    assert good.score == bad.score == 100
    assert good.picture.shape == (64, 2 * 96 + 8, 3)
    worst = examples(boxes(), images, [wrong], ["a", "b"], count=1)[-1]
    assert worst.score == 0
    assert examples(ClassJudge(np.arange(2)), images, [], ["a", "b"]) == []


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
