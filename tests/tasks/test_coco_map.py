"""Mean average precision against cases counted by hand."""

from __future__ import annotations

import contextlib
import io
import json
import math
from typing import Any

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.tasks import RECALLS, CocoMap, Detections, coco_map
from hwnas.tasks.coco_map import CocoTruth

BOX = (10, 10, 110, 110)
FAR = (300, 300, 360, 340)


def found(*rows: tuple[tuple[float, ...], float, int]) -> Detections:
    return Detections(np.array([r[0] for r in rows], np.float32).reshape(-1, 4),
                      np.array([r[1] for r in rows], np.float32), np.array([r[2] for r in rows], np.int64))


def score(answers: list[Detections], truth: list[list[tuple[tuple[float, ...], int]]], classes: int = 1,
          crowd: list[list[bool]] | None = None) -> CocoMap:
    boxes = [np.array([b for b, _ in image], np.float32).reshape(-1, 4) for image in truth]
    labels = [np.array([k for _, k in image], np.int64) for image in truth]
    flags = crowd or [[False] * len(image) for image in truth]
    return coco_map(answers, boxes, labels, [np.array(f, np.bool_) for f in flags], classes)


def test_all_right_is_100_and_a_class_without_truth_does_not_count() -> None:
    result = score([found((BOX, 0.9, 0)), found((FAR, 0.4, 2))], [[(BOX, 0)], [(FAR, 2)]], classes=3)
    assert [result.map, result.map50] == pytest.approx([100, 100])
    assert result.per_class == pytest.approx([100, math.nan, 100], nan_ok=True)
    assert result.per_class50 == pytest.approx([100, math.nan, 100], nan_ok=True)
    assert result.precision.shape == (3, 101)
    assert np.isnan(result.precision[1]).all()


def test_right_wrong_right_by_hand() -> None:
    """Two boxes; found right, wrong, right: precision 1 up to recall .5, 2/3 beyond."""
    result = score([found((BOX, 0.9, 0), (FAR, 0.8, 0)), found((BOX, 0.7, 0))], [[(BOX, 0)], [(BOX, 0)]])
    expected = 100 * (51 * 1 + 50 * 2 / 3) / 101
    assert result.map == pytest.approx(expected)
    assert result.map50 == pytest.approx(expected)
    np.testing.assert_allclose(result.precision[0], np.where(RECALLS <= 0.5, 1, 2 / 3))


def test_an_overlap_of_062_is_right_at_three_of_ten_thresholds() -> None:
    result = score([found(((10, 10, 110, 72), 0.9, 0))], [[(BOX, 0)]])
    assert result.map == pytest.approx(30)
    assert result.map50 == pytest.approx(100)


def test_a_second_answer_for_the_same_box_is_wrong() -> None:
    once = score([found((BOX, 0.9, 0)), found()], [[(BOX, 0)], [(BOX, 0)]])
    twice = score([found((BOX, 0.9, 0), (BOX, 0.8, 0)), found((BOX, 0.7, 0))], [[(BOX, 0)], [(BOX, 0)]])
    assert once.map == pytest.approx(100 * 51 / 101)
    assert twice.map == pytest.approx(100 * (51 + 50 * 2 / 3) / 101)


def test_a_crowd_need_not_be_found_and_excuses_what_is() -> None:
    answers = [found(((300, 300, 320, 320), 0.95, 0), (BOX, 0.9, 0))]
    truth = [[(BOX, 0), (FAR, 0)]]
    assert score(answers, truth, crowd=[[False, True]]).map == pytest.approx(100)
    assert score(answers, truth).map == pytest.approx(100 * 51 * 0.5 / 101)
    assert score(answers, [[(BOX, 0)]]).map == pytest.approx(50)


def test_the_wrong_class_is_not_found() -> None:
    result = score([found((BOX, 0.9, 1))], [[(BOX, 0), (FAR, 1)]], classes=2)
    assert result.map == 0
    assert result.per_class.tolist() == [0, 0]


def test_only_a_hundred_answers_an_image_count() -> None:
    wrong = [((300, 300, 310 + i, 310), 0.9, 0) for i in range(100)]
    assert score([found(*wrong, (BOX, 0.5, 0))], [[(BOX, 0)]]).map == 0
    assert score([found(*wrong[:99], (BOX, 0.5, 0))], [[(BOX, 0)]]).map == pytest.approx(1)


def test_nothing_found_is_zero_and_nothing_to_find_is_nan() -> None:
    assert score([found()], [[(BOX, 0)]]).map == 0
    nothing = score([found((BOX, 0.9, 0)), found()], [[], []], classes=2)
    assert math.isnan(nothing.map)
    assert math.isnan(nothing.map50)
    assert json.loads(json.dumps(nothing.to_json(), allow_nan=False)) == {
        "map": None, "map50": None, "per_class": [None, None], "per_class50": [None, None]}


def test_it_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    score([found((BOX, 0.9, 0))], [[(BOX, 0)]])
    assert capsys.readouterr() == ("", "")


def test_one_entry_an_image() -> None:
    with pytest.raises(InputError, match="2 images cannot be compared with the truth of 1"):
        score([found(), found()], [[(BOX, 0)]])



def pycocotools_precision(found: list[Detections], boxes: list[np.ndarray], labels: list[np.ndarray],
                          crowd: list[np.ndarray], classes: int) -> np.ndarray:
    """(10, 101, K), -1 where nothing is to be found."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def index(rows: list[dict[str, Any]]) -> Any:
        coco = COCO()
        coco.dataset = {"images": [{"id": i} for i in range(len(boxes))], "annotations": rows,
                        "categories": [{"id": k} for k in range(classes)]}
        coco.createIndex()
        return coco

    def entry(image: int, box: np.ndarray, **more: Any) -> dict[str, Any]:
        x0, y0, x1, y1 = map(float, box)
        sides = [x1 - x0, y1 - y0]
        return {"image_id": image, "bbox": [x0, y0, *sides], "area": sides[0] * sides[1], "iscrowd": 0, **more}

    truth = [entry(i, b, category_id=int(k), iscrowd=int(c)) for i in range(len(boxes))
             for b, k, c in zip(boxes[i], labels[i], crowd[i], strict=True)]
    answers = [entry(i, b, category_id=int(k), score=float(s)) for i, f in enumerate(found)
               for b, k, s in zip(f.boxes, f.labels, f.scores, strict=True)]
    with contextlib.redirect_stdout(io.StringIO()):
        judge = COCOeval(*(index([row | {"id": n} for n, row in enumerate(rows, 1)]) for rows in (truth, answers)),
                         "bbox")
        judge.params.areaRng, judge.params.areaRngLbl, judge.params.maxDets = [[0.0, 1e10]], ["all"], [100]
        judge.evaluate()
        judge.accumulate()
    return np.asarray(judge.eval["precision"][..., 0, 0])


@pytest.mark.parametrize("grid", [0.0, 8.0], ids=["anywhere", "on a grid"])
@pytest.mark.parametrize("seed", range(12))
def test_the_numbers_are_those_of_pycocotools_to_the_last_bit(seed: int, grid: float) -> None:
    """Crowds, ties of scores and of overlaps, images without boxes, more than a hundred answers of a class."""
    rng = np.random.default_rng(seed)
    images, classes = int(rng.integers(1, 12)), int(rng.integers(1, 5))

    def some(count: int) -> np.ndarray:
        corner = rng.uniform(0, 60, (count, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(5, 60, (count, 2))], axis=1)
        return (np.round(boxes / grid) * grid if grid else boxes).astype(np.float32)

    boxes = [some(int(rng.integers(0, 15))) for _ in range(images)]
    labels = [rng.integers(0, classes, len(b)) for b in boxes]
    crowd = [rng.random(len(b)) < 0.2 for b in boxes]
    answers = []
    for own in boxes:
        near = some(int(rng.integers(0, 250)))
        if len(own):
            near[::3] = own[rng.integers(0, len(own), len(near[::3]))] + rng.normal(0, 3, (len(near[::3]), 4))
        scores = np.sort(np.round(rng.random(len(near)), 2).astype(np.float32))[::-1]
        answers.append(Detections(near, scores, rng.integers(0, classes, len(near))))
    truth = CocoTruth(boxes, labels, crowd, classes)
    wanted = pycocotools_precision(answers, boxes, labels, crowd, classes)
    wanted = np.where(wanted < 0, np.nan, wanted)
    for _ in range(2):  # the truth is as good the second time
        result = truth.score(answers)
        np.testing.assert_array_equal(result.precision, wanted[0].T)
        np.testing.assert_array_equal(result.per_class, (wanted.mean(axis=1) * 100).mean(axis=0))
