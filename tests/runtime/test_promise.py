"""A promise is judged at the speed it was made at; an estimate is judged as one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.runtime.promise import ESTIMATED, GOOD, NOISE, OPEN, PREDICTED, SLOW, Promise, judge

MS = st.floats(1e-3, 1e4)
SPEED = st.floats(0.05, 20)
HALF = Promise(0.126, reference_ms=0.252, share=0.5)


@given(limit=MS, share=st.floats(0.05, 0.95), used=st.floats(0.1, 1.0), speed=SPEED)
def test_a_busy_device_fails_nothing(limit: float, share: float, used: float, speed: float) -> None:
    reference = limit / share
    found = judge(Promise(limit, reference_ms=reference, share=share), used * limit * speed, reference * speed)
    assert found.verdict == GOOD
    assert found.corrected_ms == pytest.approx(used * limit)
    assert found.speed == pytest.approx(speed)


@given(limit=MS, share=st.floats(0.05, 0.95), over=st.floats(1.01 + NOISE, 10), speed=st.floats(1, 20))
def test_a_model_that_is_too_slow_is_not_excused_by_a_busy_device(limit: float, share: float, over: float,
                                                                  speed: float) -> None:
    reference = limit / share
    found = judge(Promise(limit, reference_ms=reference, share=share), over * limit * speed, reference * speed)
    assert found.failed
    assert "over" in found.sentence


@given(limit=MS, measured=MS)
def test_milliseconds_decide_where_the_speed_is_not_known(limit: float, measured: float) -> None:
    assert judge(Promise(limit, noise=0.0), measured).failed == (measured > limit)
    assert judge(Promise(limit), measured).failed == (measured > limit * (1 + NOISE))


@given(measured=MS, basis=st.sampled_from([PREDICTED, ESTIMATED]))
def test_a_share_of_an_estimate_is_broken_by_no_milliseconds(measured: float, basis: str) -> None:
    found = judge(Promise(0.5, basis, reference_ms=1.0, share=0.5), measured)
    assert found.verdict == OPEN
    assert basis in found.sentence
    assert "never measured" in found.sentence


@given(now=MS, ratio=st.floats(0.01, 2))
def test_a_share_of_an_estimate_is_judged_by_the_measured_share(now: float, ratio: float) -> None:
    found = judge(Promise(0.5, ESTIMATED, reference_ms=1.0, share=0.5, noise=0.0), ratio * now, now)
    assert found.failed == (ratio * now / now > 0.5)


def test_a_limit_in_ms_that_was_only_estimated_to_be_kept_says_so() -> None:
    found = judge(Promise(8.0, ESTIMATED, interval=(4.1, 12.2)), 9.0)
    assert found.verdict == SLOW
    assert found.sentence == ("9.000 ms measured, 12.5 % over 8.000 ms, which the model was only estimated to keep "
                              "(4.100-12.200 ms)")


def test_every_number_that_decided_is_named() -> None:
    found = judge(HALF, 0.201, 0.454)
    assert found.sentence == (
        "0.201 ms measured (44.3 % of the reference beside it) while the device runs 1.80 times slower than at the "
        "time of the promise (the reference takes 0.454 ms, then 0.252 ms): 0.112 ms at that speed, within 50 % of "
        "0.252 ms measured = 0.126 ms"
    )


def test_noise_is_called_noise() -> None:
    found = judge(HALF, 0.128, 0.252)
    assert not found.failed
    assert "1.6 % over, as two measurements may differ," in found.sentence


def test_a_faster_device_keeps_the_promise_in_ms_and_is_called_faster() -> None:
    found = judge(HALF, 0.120, 0.200)
    assert not found.failed
    assert "1.26 times faster" in found.sentence
    assert "60.0 % of the reference" in found.sentence


@pytest.mark.parametrize("promise", [HALF, Promise(8.0, ESTIMATED, interval=(4.0, 12.0))])
def test_a_promise_is_read_back(promise: Promise) -> None:
    assert Promise.from_json(json.loads(json.dumps(promise.to_json()))) == promise


@pytest.mark.parametrize("data", [{}, {"latency_ms": 1.0, "wrong": 2}, {"latency_ms": 1.0, "interval": [1.0]}, []])
def test_what_is_no_promise_is_refused(data: Any) -> None:
    with pytest.raises(InputError, match="not a promised latency"):
        Promise.from_json(data)
