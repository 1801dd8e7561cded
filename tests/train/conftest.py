from __future__ import annotations

import pytest

from hwnas.data import Dataset, load


@pytest.fixture(scope="session")
def digits() -> Dataset:
    """150 training and 60 validation images of 16x16."""
    return load("digits").subset(150, 60, seed=0)
