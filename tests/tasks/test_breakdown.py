"""A score taken apart: figures of every class, what is taken for what, and what images tell of a difference."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hwnas.errors import InputError
from hwnas.tasks.breakdown import MOST_CLASSES, MOST_PAIRS, Breakdown, difference
from hwnas.tasks.classify import AccuracyMetric
from hwnas.tasks.detect import standing_of
from hwnas.tasks.segment import MeanIouMetric

NAMES = ("cat", "dog", "owl")


def of(truth: list[int], answers: list[int], classes: tuple[str, ...] = NAMES) -> Breakdown:
    logits = np.eye(len(classes), dtype=np.float32)[np.array(answers)]
    return AccuracyMetric(np.array(truth)).breakdown([[logits]], classes)


@given(st.integers(1, 60).flatmap(lambda n: st.tuples(*[arrays(np.int64, n, elements=st.integers(0, 2))] * 2)))
def test_figures_are_what_counting_gives(both: tuple[np.ndarray, np.ndarray]) -> None:
    truth, answers = both
    found = of(truth.tolist(), answers.tolist())
    assert found.standing.score == pytest.approx(100 * (truth == answers).mean())
    assert found.standing.majority_score == pytest.approx(100 * max(np.bincount(truth)) / len(truth))
    assert found.confusion is not None
    for k, row in enumerate(found.rows):
        asked, said = truth == k, answers == k
        assert row["count"] == asked.sum()
        assert row["recall"] == (pytest.approx(100 * said[asked].mean()) if asked.any() else None)
        assert row["precision"] == (pytest.approx(100 * asked[said].mean()) if said.any() else None)
        assert (row["class"] in found.standing.never) == (asked.any() and not said[asked].any())
        assert found.confusion[k].tolist() == [int((asked & (answers == j)).sum()) for j in range(3)]
    json.dumps(found.to_json(), allow_nan=False)


def test_always_the_commonest_class_has_learnt_nothing() -> None:
    found = of([0] * 28 + [1] * 15 + [2] * 3, [0] * 46).standing
    assert (found.level, found.told) == ("nothing", "always 'cat': 60.87 %")
    assert found.never == ("dog", "owl")
    assert found.one_image == pytest.approx(100 / 46)
    one_more = of([0] * 28 + [1] * 15 + [2] * 3, [0] * 28 + [1] + [0] * 17).standing
    assert one_more.score == pytest.approx(100 * 29 / 46)
    assert one_more.level == "nothing"


def test_ten_balanced_classes_at_ten_percent_have_learnt_nothing() -> None:
    rng = np.random.default_rng(3)
    truth = np.arange(200) % 10
    names = tuple("abcdefghij")
    assert of(truth.tolist(), rng.permutation(truth).tolist(), names).standing.level == "nothing"
    assert of(truth.tolist(), [3] * 200, names).standing.told == "always 'a': 10.00 %"
    assert of(truth.tolist(), truth.tolist(), names).standing.level == "better"


def test_who_finds_the_rare_class_is_not_called_useless() -> None:
    found = of([0] * 90 + [1] * 10, [0] * 86 + [1] * 4 + [1] * 9 + [0], ("common", "rare")).standing
    assert found.level == "unclear"
    assert found.mean_recall == pytest.approx((100 * 86 / 90 + 90) / 2)


def test_a_truth_beyond_the_classes_is_refused() -> None:
    with pytest.raises(InputError, match=r"the truth must hold classes 0\.\.2, not 1000\.\.1001"):
        of([1000, 1001], [0, 1])


def test_the_matrix_of_many_classes_is_left_to_its_worst_pairs() -> None:
    count = MOST_CLASSES + 1
    names = tuple(map(str, range(count)))
    truth = [i for i in range(count) for _ in range(3)]
    answers = [(i + 1) % count if i < 40 and n < 2 else i for i in range(count) for n in range(3)]
    told = of(truth, answers, names).to_json()
    assert told["confusion"] is None
    assert len(told["confused"]) == MOST_PAIRS
    assert told["confused"][0] == {"is": "0", "called": "1", "count": 2, "share": pytest.approx(200 / 3)}
    assert of([0, 1], [0, 1]).to_json()["confused"] == []


def test_a_difference_of_one_image_is_within_chance() -> None:
    truth = [0] * 28 + [1] * 18
    told = difference(of(truth, [0] * 46), of(truth, [0] * 28 + [1] + [0] * 17))
    assert told["points"] == pytest.approx(100 / 46)
    assert told["told"] == "+2.17 points is one image of 46 (1 won, 0 lost): within what chance does (p 1)"
    assert told["beyond_chance"] is False
    real = difference(of(truth, [0] * 46), of(truth, truth))
    assert real["beyond_chance"] is True
    assert "+39.13 points are 18 images of 46 (18 won, 0 lost): beyond chance" in real["told"]
    assert difference(of(truth, truth), of(truth, truth))["told"].startswith("as many of the 46 images are right")


def masks(answers: np.ndarray, truth: np.ndarray) -> Breakdown:
    logits = np.eye(2, dtype=np.float32)[answers].transpose(0, 3, 1, 2)
    return MeanIouMetric(truth.astype(np.uint8), 2).breakdown([[logits[:3]], [logits[3:]]], ("ground", "lesion"))


def test_a_mask_of_one_class_has_learnt_nothing() -> None:
    truth = np.zeros((8, 6, 6), np.int64)
    truth[:, :2, :3] = 1
    none, all_ = masks(np.zeros_like(truth), truth), masks(truth, truth)
    assert none.standing.level == "nothing"
    assert none.standing.score == none.standing.majority_score == pytest.approx(100 * 30 / 36 / 2)
    assert none.standing.told == "all 'ground': 41.67 %"
    assert none.standing.never == ("lesion",)
    assert all_.standing.level == "better"
    assert [row["iou"] for row in all_.rows] == [100, 100]
    told = difference(none, all_)
    assert told["beyond_chance"] is True
    assert told["interval"][0] > 0
    assert difference(all_, all_)["beyond_chance"] is False


@pytest.mark.parametrize("score, level", [(0.0, "nothing"), (0.9, "nothing"), (4.0, "better")])
def test_a_detector_is_held_against_nothing(score: float, level: str) -> None:
    found = standing_of(score, 12)
    assert (found.level, found.told) == (level, "")
    assert ("finds next to nothing" in found.verdict) == (level == "nothing")


def test_a_long_name_is_cut_where_it_stands_beside_a_score() -> None:
    told = of([0, 0, 1], [0, 0, 0], ("x" * 300, "y")).standing.told
    assert len(told) < 60
    assert told.startswith("always 'xxx")
