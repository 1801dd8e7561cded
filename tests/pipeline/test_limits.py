"""A percentage is of one number, whatever command asks; where a run fixed none, of what it found last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.files import write_json
from hwnas.latency import Calibration, LatencyModel
from hwnas.pipeline import ArchitectureSolver, CompressConfig, RunFolder, parse
from hwnas.pipeline.run.limits import limits_of, promise_of, reference_of
from hwnas.pipeline.run.reference import Reference
from hwnas.pipeline.run.state import RunState
from hwnas.runtime import Measurement
from hwnas.runtime.promise import ESTIMATED, MEASURED, PREDICTED
from hwnas.search.distribution import everything_live
from hwnas.space import SpaceConfig, build
from tests.pipeline import stage_results

SPACE = build(SpaceConfig("mobile", 16, 1, 3, depth=1))
LARGEST = SPACE.largest()
FIXED = Reference.measured(LARGEST, Measurement(0.252, 0.25, 0.26, 100, 0.12))


def model(source: str = "measured", spread: float = 0.04) -> LatencyModel:
    return LatencyModel("local", source, dict.fromkeys(SPACE.signatures, 0.01), Calibration(log_spread=spread))


def timing(median: float) -> dict[str, Any]:
    return Measurement(median, 0.97 * median, 1.1 * median, 200, 0.12).to_json()


def a_run(path: Path, *, budget: str = "50%", fixed: Reference | None = FIXED, source: str = "measured",
          generated: float | None = None, exported: float | None = None) -> RunFolder:
    """A run with what its stages leave of latencies."""
    run = RunFolder.create(path, CompressConfig(budgets={"latency": budget}))
    run.state.reference = fixed
    run.finish("data", stage_results.data(SPACE), [], 0.0)
    write_json(path / "latency.json", model(source).to_json())
    run.finish("profile", stage_results.profile(stage_results.lane()), ["latency.json"], 0.0)
    if generated is not None:
        found = stage_results.generated(reference_measured_ms=timing(generated), predicted_low_ms=0.1,
                                        predicted_high_ms=0.2)
        run.finish("generate", found, [], 0.0)
    if exported is not None:
        reference = stage_results.verdict(latency=timing(exported))
        run.finish("export", stage_results.exported(reference=reference), [], 0.0)
    return run


@pytest.mark.parametrize(("name", "text", "told"), [
    ("latency", "50%", "50 % of 0.252 ms measured = 0.126 ms"),
    ("latency", "12.5 %", "12.5 % of 0.252 ms measured = 0.032 ms"),
    ("latency", "8ms", "8.000 ms"),
    ("flops", "60%", f"60 % of {LARGEST.flops / 1e6:.2f} MFLOPs = {0.6 * LARGEST.flops / 1e6:.2f} MFLOPs"),
    ("flops", "3M", "3.00 MFLOPs"), ("params", "50000", "50000 parameters"), ("memory", "64MB", "64.00 MB"),
])
def test_a_budget_is_told_with_its_number_and_what_that_is_of(name: str, text: str, told: str) -> None:
    assert FIXED.limit(parse(name, text)).text() == told


@given(st.sampled_from(["latency", "flops", "params", "memory"]), st.floats(0.01, 400))
def test_a_percentage_is_of_the_fixed_reference_in_every_picker(name: str, percent: float) -> None:
    budgets = {name: parse(name, f"{percent:.6f}%")}
    slow = model().at_speed(3.0)  # whatever the latency model says of the reference
    solver = ArchitectureSolver(SPACE, everything_live(SPACE.sizes), slow, 0.0, of=FIXED)
    assert solver.absolute(budgets)[name] == pytest.approx(budgets[name].value * FIXED.cost(name))
    assert solver.limits(budgets) == FIXED.limits(budgets)


def test_what_was_not_measured_says_what_it_is() -> None:
    half = parse("latency", "50%")
    assert "ms estimated = " in Reference.said(LARGEST, model("estimated")).limit(half).text()
    assert "ms predicted = " in Reference.said(LARGEST, model("imported")).limit(half).text()


def test_it_is_kept_and_goes_with_the_search_into_another_run(tmp_path: Path) -> None:
    run = a_run(tmp_path / "a", exported=0.3)
    for stage in ("reference", "search"):
        run.finish(stage, {}, [], 0.0)
    other = run.branch(tmp_path / "b", CompressConfig(budgets={"latency": "60%"}))
    assert Reference.model_validate(json.loads((other.path / "run.json").read_text())["reference"]) == FIXED
    assert limits_of(other)["latency"].text() == "60 % of 0.252 ms measured = 0.151 ms"


@pytest.mark.parametrize(("found", "latency_ms", "basis"), [
    ({"generated": 0.2, "exported": 0.3}, 0.3, MEASURED), ({"generated": 0.2}, 0.2, MEASURED),
    ({}, model().predict(LARGEST).latency_ms, PREDICTED),
    ({"source": "estimated"}, model().predict(LARGEST).latency_ms, ESTIMATED),
])
def test_a_run_that_fixed_none_takes_what_it_found_last_and_says_so(
        tmp_path: Path, found: dict[str, Any], latency_ms: float, basis: str) -> None:
    run = a_run(tmp_path / "old", fixed=None, **found)
    reference = reference_of(run)
    assert (reference.latency_ms, reference.basis) == (pytest.approx(latency_ms), basis)
    assert reference.derived
    assert "hwnas 0.1" in limits_of(run)["latency"].text()


def test_a_run_json_of_0_1_is_read(tmp_path: Path) -> None:
    run = a_run(tmp_path / "old", fixed=None, exported=0.3)
    state = json.loads((run.path / "run.json").read_text())
    del state["reference"]
    assert reference_of(RunFolder(run.path, RunState.model_validate(state))).latency_ms == pytest.approx(0.3)


def test_a_percentage_is_promised_at_the_speed_it_was_fixed_at(tmp_path: Path) -> None:
    promise = promise_of(a_run(tmp_path / "run", exported=0.454))
    assert promise is not None
    assert (promise.latency_ms, promise.reference_ms, promise.share, promise.basis) == (0.126, 0.252, 0.5, MEASURED)


def test_milliseconds_are_promised_at_the_speed_of_the_final_check(tmp_path: Path) -> None:
    promise = promise_of(a_run(tmp_path / "run", budget="8ms", exported=0.454))
    assert promise is not None
    assert (promise.latency_ms, promise.reference_ms, promise.share, promise.basis) == (8.0, 0.454, None, MEASURED)


@pytest.mark.parametrize("budget", ["50%", "8ms"])
def test_a_promise_of_what_was_never_timed_is_an_estimate(tmp_path: Path, budget: str) -> None:
    fixed = Reference.said(LARGEST, model("estimated"))
    promise = promise_of(a_run(tmp_path / "run", budget=budget, fixed=fixed, generated=0.2))
    assert promise is not None
    assert (promise.basis, promise.interval, promise.noise) == (ESTIMATED, (0.1, 0.2), 0.0)
    assert promise.soft == (budget == "50%")
