"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine must not fail a test that asserts nothing about time.
settings.register_profile("hwnas", deadline=None)
settings.load_profile("hwnas")
