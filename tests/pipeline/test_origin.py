"""Where latencies are from is said by what was measured, on what, for which target."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.latency.calibrate import MOST_ERROR, Calibration, fit
from hwnas.pipeline.latencies.origin import misfit, origin
from hwnas.target import Target, load

PI, LOCAL = load("raspberry-pi-4"), load("local")
CORTEX: dict[str, Any] = {"cpu": "Cortex-A72", "machine": "aarch64", "runtime": "onnxruntime", "gpu": None}
XEON: dict[str, Any] = {"cpu": "Xeon", "machine": "x86_64", "runtime": "onnxruntime", "gpu": None}


@pytest.mark.parametrize(("target", "device", "why"), [
    (PI, CORTEX, None), (PI, XEON, "of type x86_64, that of raspberry-pi-4 is aarch64"), (PI, {}, None),
    (PI, {**CORTEX, "runtime": "openvino"}, "it ran openvino"), (LOCAL, XEON, None),
    (PI, {**CORTEX, "gpu": "Orin"}, "Orin computed"),
])
def test_a_device_that_cannot_be_the_target_is_found(target: Target, device: dict[str, Any], why: str | None) -> None:
    found = misfit(target, device)
    assert found is None if why is None else why in str(found)


@pytest.mark.parametrize(("source", "device", "here", "said"), [
    ("estimated", None, False, "estimated from the public figures of raspberry-pi-4"),
    ("measured", CORTEX, False, "predicted from a table that was measured on Cortex-A72"),
    ("measured", CORTEX, True, "measured on this machine (Cortex-A72)"),
    ("imported", CORTEX, False, "predicted from a table that was imported, of Cortex-A72"),
    ("measured", XEON, False, "predicted from a table that was measured on Xeon, which is no raspberry-pi-4: its "
                              "processor is of type x86_64, that of raspberry-pi-4 is aarch64"),
])
def test_the_statement(source: str, device: dict[str, Any] | None, here: bool, said: str) -> None:
    assert origin(source, PI, device, here=here) == said


@given(error=st.floats(0, 2000), held=st.booleans())
def test_a_calibration_that_is_far_off_is_a_contradiction(error: float, held: bool) -> None:
    made = Calibration(held_out={"mape": error}) if held else Calibration(loo_mape=error)
    assert (made.contradiction() is not None) == (error > MOST_ERROR)


def test_times_that_have_nothing_to_do_with_each_other_are_one() -> None:
    rng = np.random.default_rng(0)
    sums, weights = rng.uniform(1, 2, 20), rng.uniform(1, 2, 20)
    assert fit(sums, weights, 1.1 * sums).contradiction() is None
    made = fit(sums, weights, np.exp(rng.normal(0, 3, 20)))
    assert replace(made, held_out={}).contradiction() is not None
