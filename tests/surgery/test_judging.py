"""How far a student is from its teacher: against scipy, for classes, pixels and values, with its standard error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import rel_entr, softmax

from hwnas.surgery.judging import CLASSES, DENSE, VALUES, Judge, Score, paired, standard_error

RNG = np.random.default_rng(0)


def judge(teacher: list[NDArray[Any]], batches: int = 3, labels: NDArray[np.int64] | None = None) -> Judge:
    """Of outputs that are given: inputs are their places."""
    return Judge(lambda: _places(len(teacher[0]), batches), _giving(teacher), labels)


def _places(n: int, batches: int) -> Iterator[NDArray[np.float32]]:
    yield from (part.astype(np.float32) for part in np.array_split(np.arange(n), batches))


def _giving(outputs: list[NDArray[Any]]) -> Any:
    return lambda x: [out[x.astype(int)] for out in outputs]


def logits(*shape: int) -> NDArray[np.float32]:
    return RNG.normal(0, 2, shape).astype(np.float32)


@pytest.mark.parametrize("already", [False, True])
@pytest.mark.parametrize("shape", [(10, 7), (6, 5, 3, 4)])
def test_divergence_is_scipys(shape: tuple[int, ...], already: bool) -> None:
    a, b = logits(*shape), logits(*shape)
    p, q = softmax(a.astype(float), 1), softmax(b.astype(float), 1)
    teacher, student = (p, q) if already else (a, b)
    found = judge([teacher.astype(np.float32)])
    assert found.kinds == ((CLASSES if len(shape) == 2 else DENSE),)
    score = found.score(_giving([student.astype(np.float32)]))
    want = rel_entr(p, q).sum(1).reshape(len(p), -1).mean(1)
    assert score.loss == pytest.approx(want, rel=1e-4)
    assert score.agreement == pytest.approx((p.argmax(1) == q.argmax(1)).reshape(len(p), -1).mean(1))
    assert (score.mean, score.error) == (pytest.approx(want.mean(), rel=1e-4), pytest.approx(
        want.std(ddof=1) / np.sqrt(len(want)), rel=1e-3))


def test_large_logits_and_sure_probabilities_stay_finite() -> None:
    sure = np.array([[1e4, 0, -1e4]] * 4, np.float32)
    score = judge([sure]).score(_giving([-sure]))
    assert np.isfinite(score.loss).all()
    assert score.loss == pytest.approx([2e4] * 4)
    one_hot = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    assert judge([one_hot]).score(_giving([one_hot[::-1]])).mean < 30
    assert judge([one_hot]).score(_giving([one_hot])).mean == pytest.approx(0, abs=1e-9)


def test_values_are_judged_by_the_variance_of_their_channel() -> None:
    teacher = (RNG.normal(0, 1, (20, 3, 5)) * np.array([1, 10, 100])[:, None]).astype(np.float32)
    noise = RNG.normal(0, 1, teacher.shape).astype(np.float32)
    score = judge([teacher]).score(_giving([teacher + noise]))
    spread = teacher.astype(float).var(axis=(0, 2))[None, :, None]
    assert score.loss == pytest.approx((noise**2 / spread).reshape(20, -1).mean(1), rel=1e-3)
    assert len(score.agreement) == 0
    assert judge([teacher]).kinds == (VALUES,)


def test_constant_channels_do_not_divide_by_nothing() -> None:
    assert np.isfinite(judge([np.ones((4, 3, 2), np.float32)]).score(_giving([np.ones((4, 3, 2), np.float32)])).mean)


@pytest.mark.parametrize("values, kind", [
    (logits(4, 1), VALUES), (logits(4, 2), CLASSES), (logits(4, 1, 5, 5), VALUES), (logits(4, 2, 5, 5), DENSE),
    (logits(4, 2, 5), VALUES), (np.zeros((4, 3), np.int64), VALUES),
])
def test_kinds(values: NDArray[Any], kind: str) -> None:
    assert judge([values]).kinds == (kind,)


def test_losses_of_several_outputs_are_added() -> None:
    a, b, values = logits(8, 4), logits(8, 4), logits(8, 6, 2)
    both = judge([a, values]).score(_giving([b, values + 1]))
    first, second = judge([a]).score(_giving([b])), judge([values]).score(_giving([values + 1]))
    assert both.loss == pytest.approx(first.loss + second.loss)
    assert np.array_equal(both.agreement, first.agreement)


def test_batches_do_not_matter() -> None:
    a, b = logits(12, 5), logits(12, 5)
    scores = [judge([a], n).score(_giving([b])).loss for n in (1, 3, 12)]
    assert scores[0] == pytest.approx(scores[1])
    assert scores[0] == pytest.approx(scores[2])


def test_labels() -> None:
    teacher = logits(20, 4)
    labels = teacher.argmax(1).astype(np.int64)
    labels[:5] = (labels[:5] + 1) % 4
    found = judge([teacher], labels=labels)
    assert found.teacher_score().right.mean() == 0.75
    assert found.teacher_score().mean == pytest.approx(0, abs=1e-9)
    other = logits(20, 4)
    score = found.score(_giving([other]))
    assert np.array_equal(score.right, other.argmax(1) == labels)
    told = score.to_json()
    assert told["accuracy"] == pytest.approx(100 * score.right.mean())
    assert told["accuracy_se"] == pytest.approx(100 * score.right.std(ddof=1) / np.sqrt(20), abs=1e-5)
    assert set(told) == {"loss", "loss_se", "agreement", "agreement_se", "accuracy", "accuracy_se"}


@pytest.mark.parametrize("labels", [None, np.empty(0, np.int64), np.full(8, -1, np.int64)])
def test_without_labels_nothing_is_right_or_wrong(labels: NDArray[np.int64] | None) -> None:
    score = judge([logits(8, 4)], labels=labels).teacher_score()
    assert len(score.right) == 0
    assert "accuracy" not in score.to_json()


def test_standard_errors() -> None:
    assert standard_error(np.array([1.0])) == float("inf")
    assert standard_error(np.array([1.0, 3.0])) == pytest.approx(1.0)
    assert Score(np.array([0.0, 2.0])).error == pytest.approx(1.0)


def test_the_same_images_make_differences_sharp() -> None:
    """Paired, two students whose losses go up and down together are told apart by what they differ in."""
    hard = RNG.normal(5, 3, 400)
    a, b = hard + RNG.normal(0.1, 0.02, 400), hard
    mean, error = paired(a, b)
    assert mean == pytest.approx(0.1, abs=0.005)
    assert error == pytest.approx(0.02 / 20, rel=0.2)
    assert error < standard_error(a) / 50


def test_the_error_covers_the_truth() -> None:
    """Of many draws of 50 images the mean lies within two errors of what all images say about 95 times in 100."""
    everything = RNG.exponential(1.0, 100_000)
    hits = sum(abs(s.mean - everything.mean()) < 2 * s.error
               for s in (Score(RNG.choice(everything, 50)) for _ in range(400)))
    assert 0.88 < hits / 400 < 0.99
