"""Budgets on what cannot be added up: what they leave for what can, against brute force over a whole space."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwnas.errors import BudgetInfeasible, UsageError, VerificationFailed
from hwnas.latency import LatencyModel
from hwnas.latency.calibrate import Calibration
from hwnas.pipeline import CompressConfig, RunFolder, parse, parse_all
from hwnas.pipeline.config.budget import Asked
from hwnas.pipeline.latencies.spending import check_measurable
from hwnas.pipeline.run.limits import time_limit
from hwnas.pipeline.run.reference import Reference
from hwnas.pipeline.run.result_parts import EnergyResult, SpentResult, TailResult
from hwnas.pipeline.run.spends import Bounds, Line, Spends
from hwnas.pipeline.run.state import RunState
from hwnas.pipeline.selection import bounds
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.candidates import TRIES
from hwnas.pipeline.stages.export import OverBudget
from hwnas.runtime import Measurement
from hwnas.search.distribution import everything_live
from hwnas.space import SpaceConfig, build
from hwnas.target import load

SPACE = build(SpaceConfig("mobile", 16, 1, 3, depth=1))
EVERY = [SPACE.architecture(choice) for choice in itertools.islice(itertools.product(*map(range, SPACE.sizes)), 4000)]
BATCH = 4
FIXED = Reference.measured(SPACE.reference, Measurement(0.252, 0.25, 0.26, 100, 0.12), batch=BATCH)
MEMORY, FILE = Line(intercept=300_000, slope=16.0), Line(intercept=5_000, slope=4.0)
TAIL, JOULES = Line(intercept=20_000.0, slope=1.25), Line(intercept=10.0, slope=2e-3)
SPENDS = Spends(BATCH, {"peak_memory": MEMORY, "file_size": FILE, "latency_p99": TAIL, "energy": JOULES})


def solver(spends: Spends = SPENDS, seed: int = 0) -> ArchitectureSolver:
    rng = np.random.default_rng(seed)
    entries = {signature: float(value) for signature, value in zip(
        SPACE.signatures, rng.uniform(0.005, 0.05, len(SPACE.signatures)), strict=True)}
    law = replace(everything_live(SPACE.sizes), effects=tuple(tuple(rng.normal(size=n).tolist()) for n in SPACE.sizes))
    return ArchitectureSolver(SPACE, law, LatencyModel("local", "measured", entries, Calibration()), 50.0, of=FIXED,
                              spends=spends)


@given(st.floats(1, 1e9), st.floats(1, 1e9), st.floats(1, 1e9), st.floats(1, 1e9))
def test_a_line_and_its_inverse(x: float, y: float, share: float, less: float) -> None:
    x0, y0 = x / (1 + share), y / (1 + less)
    line = Line.through((x, y), (x0, y0))
    assert line.at(x) == pytest.approx(y, rel=1e-6)
    assert line.intercept >= 0
    assert line.slope >= 0
    if line.slope > 0:
        assert line.most(line.at(x)) == pytest.approx(x, rel=1e-4, abs=1e-4 * (x + line.intercept / line.slope))


@pytest.mark.parametrize("small", [(50.0, 30.0), (100.0, 5.0), (50.0, 1.0)])
def test_a_line_that_chance_has_bent_goes_through_nothing(small: tuple[float, float]) -> None:
    line = Line.through((100.0, 20.0), small)
    assert line.intercept == 0 or line.at(small[0]) == pytest.approx(small[1])
    assert line.at(100.0) == pytest.approx(20.0)


def test_nothing_is_left_of_less_than_the_intercept() -> None:
    assert Line(intercept=5.0, slope=1.0).most(3.0) < 0
    assert Line(intercept=5.0, slope=0.0).most(3.0) < 0
    assert Line(intercept=5.0, slope=0.0).most(6.0) == math.inf


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_best_within_measured_memory_is_that_of_brute_force(share: float, seed: int) -> None:
    """A sum over weights beside a maximum over activations, which the solver cannot add up."""
    made = solver(seed=seed)

    def peak(arch: object) -> float:
        return MEMORY.at(arch.params) + BATCH * arch.memory_bytes()  # type: ignore[attr-defined]

    known = [peak(arch) for arch in EVERY]
    limit = min(known) + share * (max(known) - min(known))
    found = made.answers(made.absolute(parse_all({"peak_memory": f"{limit:.0f}B"})))[0]
    assert peak(found.architecture) <= limit * (1 + 1e-9)
    best = max(made.answer(arch.choice).predicted_score for arch, y in zip(EVERY, known, strict=True) if y <= limit - 1)
    assert found.predicted_score >= best - 1e-9


def test_levels_that_are_left_out_leave_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "LEVELS", 2)
    made = solver()
    wanted = made.absolute(parse_all({"peak_memory": "2MB"}))
    assert set(wanted) <= {"params", "memory"}
    assert made.answers(wanted)


def test_each_budget_bounds_what_it_hangs_on() -> None:
    made = solver()
    assert made.absolute({"throughput": parse("throughput", "1000/s")}) == {"latency": 1e6 * BATCH}
    assert made.absolute({"throughput": parse("throughput", "200%")}) == {"latency": pytest.approx(0.126e6)}
    assert made.absolute({"file_size": parse("file_size", "205KB")}) == {"params": pytest.approx(50_000)}
    assert made.absolute({"energy": parse("energy", "1mJ")}) == {"latency": pytest.approx((1000 - 10) / 2e-3)}
    both = made.absolute(parse_all({"latency": "100us", "latency_p99": "1ms", "throughput": "90000/s"}))
    assert both == {"latency": pytest.approx(1e9 / 90000 * BATCH)}
    assert isinstance(both, Bounds)
    assert both.because == {"latency": "--throughput 90000/s"}


def test_a_median_is_never_over_the_percentile_whatever_the_line_says() -> None:
    made = solver(Spends(1, {"latency_p99": Line(intercept=0, slope=0.5)}))
    assert made.absolute({"latency_p99": parse("latency_p99", "1ms")}) == {"latency": 1e6}


def test_what_measured_over_is_tightened_alone() -> None:
    made = solver(replace(SPENDS, tightened={"file_size": 0.5}))
    found = made.absolute(parse_all({"file_size": "205KB", "latency": "1ms"}))
    assert found == {"params": pytest.approx((102_500 - 5_000) / 4), "latency": 1e6}


def test_a_refusal_names_the_budget_and_the_way_out() -> None:
    made = solver()
    with pytest.raises(BudgetInfeasible, match=r"left by --file-size 6KB, at least .* needed"):
        made.answers(made.absolute(parse_all({"file_size": "6KB"})))
    with pytest.raises(BudgetInfeasible, match="--peak-memory 300KB"):
        made.absolute(parse_all({"peak_memory": "300KB"}))
    with pytest.raises(UsageError, match="was not measured in this run"):
        solver(Spends()).absolute(parse_all({"energy": "5mJ"}))


def test_percentages_are_of_what_was_measured() -> None:
    known = FIXED.model_copy(update={"p99_ms": 0.4, "peak_memory_bytes": 8_000_000, "energy_mj": 2.0})
    assert known.limit(parse("latency_p99", "50%")).text() == "50 % of 0.400 ms measured = 0.200 ms"
    assert known.limit(parse("peak_memory", "50%")).text() == "50 % of 8.00 MB measured = 4.00 MB"
    assert known.limit(parse("energy", "50%")).text() == "50 % of 2.000 mJ measured = 1.000 mJ"
    assert known.limit(parse("throughput", "150%")).text() == "150 % of 15,873/s measured = 23,810/s"
    with pytest.raises(UsageError, match="--file-size in percent"):
        known.limit(parse("file_size", "50%"))
    assert known.limit(parse("file_size", "1MB")).text() == "1.00 MB"
    asked = Asked("local", parse_all({"file_size": "50%", "energy": "50%"}))
    assert known.told([asked]) == {  # a branch of a run that did not ask
        "file_size": "50%", "energy": "50 % of 2.000 mJ measured = 1.000 mJ"}


def test_a_reference_that_nobody_asked_more_of_reads_as_before() -> None:
    plain = Reference.measured(SPACE.reference, Measurement(0.252, 0.25, 0.26, 100, 0.12))
    assert set(plain.model_dump()) == {"latency_ms", "basis", "low_ms", "high_ms", "kernel_ms", "flops", "params",
                                       "memory_bytes", "derived"}
    more = FIXED.model_copy(update={"p99_ms": 0.4})
    assert Reference.model_validate(more.model_dump()) == more


def test_of_latency_and_throughput_the_one_that_allows_less_is_promised() -> None:
    limits = FIXED.limits(parse_all({"latency": "50%", "throughput": "1000/s"}))
    assert time_limit(limits, BATCH) == limits["latency"]
    assert time_limit(FIXED.limits(parse_all({"throughput": "40000/s", "latency": "50%"})), BATCH) == FIXED.limit(
        parse("throughput", "40000/s")).as_latency(BATCH)
    assert time_limit({}, BATCH) is None


def test_what_a_result_spent_is_held_against_its_budgets() -> None:
    tail = TailResult(p99_ms=9.0, low_ms=8.0, high_ms=9.5, median_ms=1.0, calm_ms=2.0, busy=0.5, runs=1000)
    energy = EnergyResult(millijoules=3.0, low=2.9, high=3.2, watts=5.0, meter="INA VDD_IN", runs=40)
    spent = SpentResult(tail=tail, energy=energy, peak_memory_bytes=4_200_000, file_bytes=300_000)
    verdicts = {name: spent.kept(name, limit, again=again).verdict for name, limit, again in (
        ("latency_p99", 5e6, False), ("energy", 3_050.0, False), ("peak_memory", 4e6, True),
        ("file_size", 299e3, True))}
    assert verdicts == {"latency_p99": "open", "energy": "good", "peak_memory": "good", "file_size": "slow"}
    assert spent.kept("peak_memory", 4e6, again=False).failed
    assert "5.0 W by INA VDD_IN" in spent.kept("energy", 1e3, again=False).sentence
    assert SpentResult(file_bytes=1).kept("energy", 1e3, again=False).verdict == "open"
    assert SpentResult.model_validate(spent.to_json()) == spent


def test_what_a_device_elsewhere_cannot_be_asked() -> None:
    board = load("raspberry-pi-4")
    check_measurable(["file_size"], board, here=False)
    for name, way_out in (("latency_p99", "--latency"), ("energy", "--latency"), ("peak_memory", "--memory")):
        with pytest.raises(UsageError, match=f"--{name.replace('_', '-')}: it is measured on the device.*{way_out}"):
            check_measurable([name], board, here=False)


def test_a_result_over_its_budget_tightens_that_one_alone_and_is_remembered(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", CompressConfig(budgets={"file_size": "1MB"}))
    run.state.spends = {"fp32": {"file_size": FILE}}
    for number in range(TRIES):
        OverBudget("file_size", "file size 2.00 MB, budget 1.00 MB", 0.5).amend(run)
        run.save()
        again = RunFolder.open(run.path).state  # as after a kill
        assert (again.tightened, again.tighten, again.attempts) == ({"file_size": 0.5 ** (number + 1)}, 1.0, number + 1)
        assert again.spends == run.state.spends
    with pytest.raises(VerificationFailed, match=r"over budget after 3 tries: file size 2\.00 MB.*raise the budget"):
        OverBudget("file_size", "file size 2.00 MB, budget 1.00 MB", 0.5).amend(run)


def test_a_run_of_before_knows_of_no_spends(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", CompressConfig())
    stored = run.state.model_dump()
    del stored["spends"], stored["tightened"]
    assert RunState.model_validate(stored).spends == {}
