"""Average precision beside scikit-learn's, and what a random order has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.tasks.average_precision import average_precision, by_class, mean_ap, of_chance, resampled_means

sklearn = pytest.importorskip("sklearn.metrics")


@given(st.integers(2, 60), st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_it_is_that_of_scikit_learn(images: int, seed: int, levels: int) -> None:
    """With few levels many scores are the same."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, levels, images) / levels + (rng.random(images) if levels == 8 else 0)
    truth = rng.integers(0, 2, images)
    truth[rng.integers(images)] = 1
    assert average_precision(scores, truth)[0] == pytest.approx(sklearn.average_precision_score(truth, scores))
    weights = rng.integers(1, 5, (3, images)).astype(float)
    assert average_precision(scores, truth, weights).tolist() == pytest.approx(
        [sklearn.average_precision_score(truth, scores, sample_weight=row) for row in weights])


def test_the_mean_is_over_the_classes_that_are_shown() -> None:
    rng = np.random.default_rng(0)
    scores, truth = rng.normal(size=(50, 6)), rng.integers(0, 2, (50, 6))
    truth[:, 2] = 0
    shown = [0, 1, 3, 4, 5]
    assert mean_ap(by_class(scores, truth)) == pytest.approx(
        100 * sklearn.average_precision_score(truth[:, shown], scores[:, shown], average="macro"))
    assert np.isnan(by_class(scores, truth)[2])
    assert mean_ap(by_class(scores, np.zeros((50, 6)))) == 0.0


@pytest.mark.parametrize(("images", "shown"), [(2, 1), (10, 1), (10, 4), (40, 3), (40, 40)])
def test_what_chance_does(images: int, shown: int) -> None:
    rng, truth = np.random.default_rng(1), np.arange(images) < shown
    found = np.mean([average_precision(rng.random(images), truth)[0] for _ in range(4000)])
    assert of_chance(images, np.array([shown]))[0] == pytest.approx(found, abs=0.012)
    assert np.isnan(of_chance(images, np.array([0]))[0])


def test_draws_are_the_images_drawn() -> None:
    rng = np.random.default_rng(3)
    scores, truth = rng.normal(size=(30, 4)), rng.integers(0, 2, (30, 4))
    truth[:, 3] = np.arange(30) < 1
    draws = rng.multinomial(30, np.full(30, 1 / 30), size=20).astype(float)
    chosen = [np.repeat(np.arange(30), draw.astype(int)) for draw in draws]
    assert resampled_means(scores, truth, draws).tolist() == pytest.approx(
        [mean_ap(by_class(scores[each], truth[each])) for each in chosen])
