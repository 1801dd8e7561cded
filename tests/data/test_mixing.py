"""Two images as one: targets say what the pixels are made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.data.mixing import Mixing


def flat(count: int) -> np.ndarray:
    """Images of one colour each, so that pixels tell where they are from."""
    return np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None] * 10, (count, 12, 8, 3)).copy()


@given(st.sampled_from([(0.4, 0.0), (0.0, 1.0), (0.4, 1.0)]), st.floats(0.1, 1), st.integers(1, 12), st.integers(0, 99))
def test_targets_are_what_the_pixels_are_made_of(alphas: tuple[float, float], share: float, count: int, seed: int
                                                 ) -> None:
    mixed = Mixing(*alphas, share).drawn(np.random.default_rng(seed), count, (12, 8))
    images, labels = flat(count), np.arange(count)
    kept = images.copy()
    out, targets = mixed.images(images), mixed.targets(labels, count)
    assert out.dtype == np.uint8
    assert (targets.shape, targets.dtype) == ((count, count), np.float32)
    np.testing.assert_array_equal(images, kept)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    expected = targets @ (np.arange(count) * 10.0)  # the mean colour, to within the rounding of a blend
    np.testing.assert_allclose(out.mean(axis=(1, 2, 3)), expected, atol=0.5 + 1e-4)


def test_about_as_many_are_mixed_as_is_asked() -> None:
    for share in (0.25, 1.0):
        own = [(Mixing(0.4, 1.0, share).drawn(np.random.default_rng(i), 100, (32, 32)).own < 1).mean()
               for i in range(20)]
        assert np.mean(own) == pytest.approx(share, abs=0.06)


def test_both_ways_are_drawn() -> None:
    mixed = Mixing(0.4, 1.0).drawn(np.random.default_rng(0), 200, (32, 32))
    cut = mixed.box.any(axis=1)
    assert 60 < cut.sum() < 140
    assert not Mixing(0.4, 0.0).drawn(np.random.default_rng(0), 200, (32, 32)).box.any()


def test_nothing_is_mixed_unless_it_is_asked() -> None:
    assert not Mixing()
    assert not Mixing(0.2, 1.0, 0.0)
    assert Mixing(mixup=0.2)
