"""Units and plans timed on this machine: the shapes of what comes out, and not how long anything took."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hwnas.errors import InputError
from hwnas.latency import Entry
from hwnas.runtime import LocalDevice, open_runtime
from hwnas.surgery import NOTHING, Cut
from hwnas.surgery.assembler import Assembler
from hwnas.surgery.measuring import LEAST_PLANS, MOST_PLANS, TIES, UnitTimes, measure_units
from hwnas.surgery.plan import Option, Places
from hwnas.surgery.unit import graph_signature
from tests.surgery.networks import Drawing, chain


@pytest.fixture(scope="module")
def device() -> LocalDevice:
    return LocalDevice(open_runtime("onnxruntime"))


@pytest.fixture(scope="module")
def measured(device: LocalDevice) -> tuple[Assembler, Places, UnitTimes]:
    cut = Cut.of(chain(10, size=16))
    base = Places.of(cut, ("int8",))
    assembler = Assembler(cut, [], forms={("u01", "none"): NOTHING})
    places = Places(cut, {**base.options, "u01": (*base.options["u01"], Option("none"))})
    told: list[tuple[str, int, int]] = []
    times = measure_units(assembler, places, device, max_seconds=1.5, seed=1, progress=lambda *said: told.append(said))
    assert told[-1][1] == told[-1][2] == 1
    return assembler, places, times


def test_every_kind_of_unit_is_timed_in_every_option(measured: tuple[Assembler, Places, UnitTimes]) -> None:
    _, places, times = measured
    wanted = {(u.signature, o.key) for u in places.cut.units for o in places.options[u.name]}
    assert set(times.alone_ms) == wanted
    assert len(wanted) < 2 * len(places.cut.units)  # equal units once
    assert all(0 < ms < 1e3 for (_, key), ms in times.alone_ms.items() if key != "none/float")
    assert times.alone_ms[places.cut["u01"].signature, "none/float"] == 0  # what is not there takes nothing
    assert 0 < times.whole_ms < 1e3


def test_random_plans_are_timed_whole_and_learned_from(measured: tuple[Assembler, Places, UnitTimes]) -> None:
    _, places, times = measured
    assert LEAST_PLANS <= len(times.plans) == len(times.plans_ms) <= MOST_PLANS
    assert all(places.allowed(plan) for plan in times.plans)
    assert all(0 < ms < 1e3 for ms in times.plans_ms)
    facts = times.facts
    assert facts["plans"] == len(times.plans)
    assert facts["models"] == len(times.alone_ms) - 1 + len(times.plans) + 4  # whole, change, two sentinels
    assert facts["sweeps"] >= 4
    assert np.isfinite([facts["error_alone"], facts["error_left_out"]]).all()
    assert facts["seconds_sweeps"] > 0
    # What was learned fits what it was learned from better than a belief could.
    mean, spread = times.costs.predict(times.plans)
    assert np.isfinite(mean).all()
    assert np.isfinite(spread).all()
    assert times.costs.whole_ms == times.whole_ms
    assert np.abs(mean / np.asarray(times.plans_ms) - 1).mean() < 0.5


def test_units_of_a_table_are_not_timed_again(measured: tuple[Assembler, Places, UnitTimes], device: LocalDevice
                                              ) -> None:
    assembler, places, first = measured
    every = {(entry.signature, entry.precision or "float"): entry for entry in first.timed}
    assert {entry.signature for entry in first.timed} == {unit.signature for unit in places.cut.units}
    spread = {key: replace(entry, p10_ms=entry.median_ms / 50, p90_ms=50 * entry.median_ms)  # on a busy machine, too
              for key, entry in every.items()}
    again = measure_units(assembler, places, device, known=spread, max_seconds=0.5, seed=1)
    assert (again.facts["units_known"], again.facts["units_timed"]) == (len(every), min(TIES, len(every)))
    assert list(again.timed) == []
    assert set(again.alone_ms) == set(first.alone_ms)


def test_a_table_that_no_one_speed_explains_is_not_believed(measured: tuple[Assembler, Places, UnitTimes],
                                                            device: LocalDevice) -> None:
    assembler, places, first = measured
    off = {(entry.signature, entry.precision or "float"): replace(
        entry, median_ms=f * entry.median_ms, p10_ms=f * entry.p10_ms, p90_ms=f * entry.p90_ms)
        for f, entry in zip((40, 0.02) * len(first.timed), first.timed, strict=False)}
    again = measure_units(assembler, places, device, known=off, max_seconds=0.3, seed=1)
    assert (again.facts["units_known"], again.facts["units_distrusted"]) == (0, len(off))
    assert len(again.timed) == len(first.timed)


def test_what_was_timed_on_a_busy_machine_is_timed_again_on_a_calm_one(
        measured: tuple[Assembler, Places, UnitTimes], device: LocalDevice) -> None:
    assembler, places, first = measured
    then = {(e.signature, e.precision or "float"): replace(e, p10_ms=e.median_ms / 50, p90_ms=50 * e.median_ms)
            for e in first.timed}
    again = measure_units(assembler, places, device, known=then, calm_kernel_ms=20 * first.kernel_ms, max_seconds=0.3)
    assert again.facts["units_distrusted"] == len(then)
    assert again.facts["calm_kernel_ms"] == again.kernel_ms


def test_units_that_met_no_calm_machine_say_so(measured: tuple[Assembler, Places, UnitTimes], device: LocalDevice
                                               ) -> None:
    assembler, places, first = measured
    assert first.company == ""
    busy = measure_units(assembler, places, device, calm_kernel_ms=first.kernel_ms / 20, max_seconds=0.3)
    assert "other work held the machine" in busy.company
    assert busy.facts["calm_kernel_ms"] == pytest.approx(first.kernel_ms / 20, abs=1e-6)


def test_what_decides_a_units_time_is_its_graph(measured: tuple[Assembler, Places, UnitTimes]) -> None:
    assembler, places, _ = measured
    for unit in places.cut.units:
        assert graph_signature(places.cut.model_of(unit)) == unit.signature == assembler.signature(unit, "teacher")
        assert Entry(unit.signature, 1.0, 1.0, 1.0, 1, "").is_unit


def test_conditions_are_told(measured: tuple[Assembler, Places, UnitTimes]) -> None:
    assert measured[2].conditions is not None


def test_a_network_without_units(device: LocalDevice) -> None:
    d = Drawing((1, 3, 32, 32))
    cut = Cut.of(d.shaped(d.relu("image")))
    times = measure_units(Assembler(cut, []), Places.of(cut, ("int8",)), device, max_seconds=0.3)
    assert (times.alone_ms, list(times.plans)) == ({}, [])
    assert times.whole_ms > 0
    assert times.costs.predict([{}])[0][0] == times.whole_ms


def test_nothing_to_choose(device: LocalDevice) -> None:
    cut = Cut.of(chain(2))
    times = measure_units(Assembler(cut, []), Places.of(cut, ()), device, max_seconds=0.3)
    assert list(times.plans) == []
    assert len(times.alone_ms) == len({u.signature for u in cut.units})


def test_what_the_runtime_cannot_execute_is_said(device: LocalDevice) -> None:
    d = Drawing((1, 3, 8, 8))
    x = d.relu(d.conv("image", 4))
    cut = Cut.of(d.shaped(d.node("Mystery", x, domain="stranger"), domains=("stranger",)))
    with pytest.raises(InputError, match="Mystery"):
        measure_units(Assembler(cut, []), Places.of(cut, ()), device, max_seconds=0.3)
