"""A lower precision that was asked for and gains nothing is not shipped without a word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.export import Verdict
from hwnas.pipeline.stages.export import SAME, no_gain
from hwnas.runtime import Measurement


def verdict(precision: str, median: float | None, accuracy: float) -> Verdict:
    timed = None if median is None else Measurement(median, median, median, 100)
    return Verdict(0.0, 100.0, accuracy, 200, timed, None, precision)


def test_both_numbers_of_both_are_said() -> None:
    (told,) = no_gain(verdict("int8", 0.275, 75.0), verdict("fp32", 0.257, 77.5))
    assert told.startswith("int8 is slower and worse than fp32 of the same network on this device: 0.275 ms and "
                           "75.00 % against 0.257 ms and 77.50 %. --precision fp32")


@given(times=st.floats(0.2, 5), gain=st.floats(-20, 20))
def test_it_is_said_when_nothing_is_gained(times: float, gain: float) -> None:
    told = no_gain(verdict("int8", 0.25 * times, 75.0 + gain), verdict("fp32", 0.25, 75.0))
    if times < 1 - 1.01 * SAME:
        assert told == []
    elif times > 1 + 1.01 * SAME:
        assert "is slower" in told[0]
        assert ("and worse" in told[0]) == (75.0 + gain < 75.0)
    elif abs(times - 1) < 0.99 * SAME:
        assert bool(told) == (75.0 + gain < 75.0)


@pytest.mark.parametrize("exact", [None, verdict("fp32", None, 90.0)])
def test_nothing_is_claimed_without_both_numbers(exact: Verdict | None) -> None:
    assert no_gain(verdict("int8", 0.3, 50.0), exact) == []
