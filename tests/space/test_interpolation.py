"""Linear interpolation as a matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.space.interpolation import interpolation


@given(n=st.integers(1, 40), s=st.integers(1, 9))
def test_a_straight_line_stays_straight_between_the_outer_centres(n: int, s: int) -> None:
    matrix = interpolation(n, s)
    assert matrix.shape == (n * s, n)
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-6)
    at = ((np.arange(n * s) + 0.5) / s - 0.5).clip(0, n - 1)
    np.testing.assert_allclose(matrix @ np.arange(n, dtype=np.float32), at, atol=1e-4)


def test_by_hand() -> None:
    np.testing.assert_allclose(interpolation(2, 2), [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]])


@given(h=st.integers(1, 9), w=st.integers(1, 9), s=st.sampled_from([1, 2, 3, 8]))
def test_as_torch_interpolates(h: int, w: int, s: int) -> None:
    torch = pytest.importorskip("torch")
    x = torch.arange(h * w, dtype=torch.float32).reshape(1, 1, h, w) ** 1.5
    wanted = torch.nn.functional.interpolate(x, scale_factor=s, mode="bilinear", align_corners=False)
    made = interpolation(h, s) @ x[0, 0].numpy() @ interpolation(w, s).T
    np.testing.assert_allclose(made, wanted[0, 0].numpy(), rtol=1e-5, atol=1e-4)
