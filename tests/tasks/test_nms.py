"""Suppression against a loop over all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import InputError, UsageError
from hwnas.tasks import detections
from hwnas.tasks.nms import BLOCK, CANDIDATES, nms, overlaps

SIDE = st.tuples(st.integers(0, 8), st.integers(0, 8)).map(sorted)
BOX = st.tuples(SIDE, SIDE).map(lambda s: (s[0][0], s[1][0], s[0][1], s[1][1]))
FOUND = st.lists(st.tuples(BOX, st.integers(1, 4), st.integers(0, 2)), max_size=24)


def slow_iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union else 0.0


def slow_nms(boxes, scores, labels, iou, most) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(labels[i] != labels[j] or slow_iou(boxes[i], boxes[j]) <= iou for j in kept):
            kept.append(i)
    return kept[:most]


@given(FOUND, st.sampled_from([0.0, 0.3, 0.5, 0.6, 1.0]), st.integers(1, 12))
def test_nms_is_the_slow_loop(found, iou, most) -> None:
    boxes = np.array([f[0] for f in found], np.float32).reshape(-1, 4)
    scores = np.array([f[1] / 4 for f in found], np.float32)
    labels = np.array([f[2] for f in found], np.int64)
    kept = nms(boxes, scores, labels, iou=iou, most=most)
    assert kept.dtype == np.int64
    assert kept.tolist() == slow_nms(boxes.tolist(), scores.tolist(), labels.tolist(), iou, most)


@pytest.mark.parametrize("most", [5, 100, 1000])
@pytest.mark.parametrize("classes", [1, 3, 40])
def test_nms_of_more_boxes_than_a_block_is_the_slow_loop(classes: int, most: int) -> None:
    rng = np.random.default_rng(classes)
    corner = rng.integers(0, 40, (3 * BLOCK + 7, 2))
    boxes = np.concatenate([corner, corner + rng.integers(3, 20, corner.shape)], axis=1).astype(np.float32)
    scores, labels = rng.integers(0, 50, len(boxes)).astype(np.float32), rng.integers(0, classes, len(boxes))
    kept = nms(boxes, scores, labels, iou=0.4, most=most)
    assert kept.tolist() == slow_nms(boxes.tolist(), scores.tolist(), labels.tolist(), 0.4, most)


def test_candidates_of_equal_scores_are_the_first() -> None:
    """Scores of 20 values, far more than take part: those of a whole stable sort."""
    scores = np.random.default_rng(1).integers(1, 21, (1, 900, 7)).astype(np.float32) / 20
    (found,) = detections(grid(900), scores, threshold=0.1, most=CANDIDATES)
    flat = scores.reshape(-1)
    place, labels = np.divmod(np.argsort(-flat, kind="stable")[:CANDIDATES], 7)
    assert np.array_equal(found.boxes, grid(900)[0][place])
    assert np.array_equal(found.labels, labels)


@given(BOX, st.lists(BOX, max_size=9))
def test_overlaps_are_the_formula(box, boxes) -> None:
    got = overlaps(np.array(box, np.float32), np.array(boxes, np.float32).reshape(-1, 4))
    np.testing.assert_allclose(got, [slow_iou(box, other) for other in boxes], rtol=1e-6)


def grid(count: int) -> np.ndarray:
    """Boxes that do not touch: (1, count, 4)."""
    corners = np.stack(np.divmod(np.arange(count), 50), axis=1) * 10.0
    return np.concatenate([corners, corners + 5], axis=1)[None].astype(np.float32)


def test_each_image_and_each_class_has_its_own() -> None:
    boxes = np.array([[[0, 0, 8, 8], [0, 0, 8, 7], [20, 20, 30, 30]]] * 2, np.float32)
    scores = np.array([[[0.9, 0.8], [0.7, 0.95], [0.05, 0.0]], [[0, 0], [0, 0], [0, 0.3]]], np.float32)
    first, second = detections(boxes, scores)
    assert first.scores.tolist() == pytest.approx([0.95, 0.9])
    assert first.labels.tolist() == [1, 0]
    assert first.boxes.tolist() == [[0, 0, 8, 7], [0, 0, 8, 8]]
    assert (len(second), second.labels.tolist(), second.boxes.tolist()) == (1, [1], [[20, 20, 30, 30]])


def test_a_score_at_the_threshold_is_not_enough() -> None:
    scores = np.array([[[0.5], [0.5000001], [0.4]]], np.float32)
    (found,) = detections(grid(3), scores, threshold=0.5)
    assert len(found) == 1


def test_most_counts_all_classes_together_and_keeps_the_best() -> None:
    scores = np.random.default_rng(0).random((1, 60, 3)).astype(np.float32)
    (found,) = detections(grid(60), scores, most=100)
    assert found.scores.tolist() == sorted(scores[scores > 0.05].tolist(), reverse=True)[:100]


def test_only_the_best_candidates_take_part() -> None:
    scores = np.linspace(0.1, 0.9, 1500, dtype=np.float32).reshape(1, -1, 1)
    (found,) = detections(grid(1500), scores, most=5000)
    assert len(found) == CANDIDATES
    assert found.scores.min() == scores[0, 1500 - CANDIDATES, 0]


def test_nothing_found_has_shapes_and_types() -> None:
    found = detections(grid(4).repeat(2, 0), np.zeros((2, 4, 3), np.float32))
    assert [(f.boxes.shape, f.scores.shape, f.labels.shape, f.labels.dtype) for f in found] == [
        ((0, 4), (0,), (0,), np.int64)] * 2


def test_bad_requests() -> None:
    scores = np.zeros((1, 3, 2), np.float32)
    for wrong in ({"threshold": -0.1}, {"iou": 1.1}, {"most": 0}, {"threshold": float("nan")}):
        with pytest.raises(UsageError, match=r"0\.\.1"):
            detections(grid(3), scores, **wrong)
    with pytest.raises(InputError, match=r"\(N, P, 4\)"):
        detections(grid(4), scores)
