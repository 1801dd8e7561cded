"""Settings of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

# A busy machine must not fail a test that asserts nothing about time.
settings.register_profile("hwnas", deadline=None)
settings.load_profile("hwnas")


@pytest.fixture(scope="session", autouse=True)
def no_shipped_tables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whether a table ships for the machine that runs the tests must change none of them."""
    empty = tmp_path_factory.mktemp("no_tables")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hwnas.pipeline.latencies.tables.data_folder", lambda name: empty)
        yield
