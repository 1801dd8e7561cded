"""An estimate that was not told who runs the networks: a mean of three, additive, and within its bounds."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import InputError, UnknownName
from hwnas.latency import LatencyModel
from hwnas.latency.estimate import adapt, estimate
from hwnas.latency.estimate.model import EstimatedModel, run_of
from hwnas.latency.estimate.roofline import Roofline
from hwnas.latency.estimate.unsaid import CONVOLUTION, CPU_SLOWER, LAUNCH_MS, framework_ms
from hwnas.latency.estimate.work import works
from hwnas.space import Op, Space, SpaceConfig, build
from hwnas.target import load

MOBILE = build(SpaceConfig("mobile", 32, classes=10, depth=1))
CELLS = build(SpaceConfig("nasbench201", 32, classes=10, depth=1))
SPACES = [MOBILE, CELLS]
NONE, SKIP, CONV3 = 0, 1, 3


def line(name: str) -> Roofline:
    target = load(name)
    assert target.hardware is not None
    return Roofline.of(target, target.hardware)


def test_what_a_framework_pays_by_hand() -> None:
    gpu, cpu = line("jetson-tx2"), line("raspberry-pi-4")
    none, conv = Op("none", 16, 16, 8, 8), Op("conv", 16, 16, 8, 8, kernel=3)
    (work,) = works(conv)
    assert framework_ms(conv, gpu) == pytest.approx(CONVOLUTION * LAUNCH_MS + gpu.running_ms(work))
    assert framework_ms(conv, cpu) == pytest.approx(CONVOLUTION * LAUNCH_MS + CPU_SLOWER * cpu.running_ms(work))
    assert LAUNCH_MS < framework_ms(none, gpu) < 2 * LAUNCH_MS


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
@pytest.mark.parametrize("name", ["jetson-tx2", "raspberry-pi-4"])
def test_each_of_three_has_a_third_of_a_typical_network(space: Space, name: str) -> None:
    model, compiled = estimate(space, load(name)), estimate(space, load(name), "compiled")
    typical = model.mean_ms(space)
    shares = [way.mean_ms(space) / typical for way in model.ways]
    if shares:  # compiled and zeros; eager and shared; arithmetic
        assert [sum(shares[:2]), sum(shares[2:4]), *shares[4:]] == pytest.approx([1 / 3] * 3)
    assert (model.ways == ()) == (not space.branches)
    assert model.calibration.log_spread > compiled.calibration.log_spread
    assert typical > compiled.mean_ms(space), "a framework takes longer, and the centre is between them"


def test_a_dead_convolution_costs_something_and_a_live_one_more() -> None:
    model = estimate(CELLS, load("jetson-tx2"))
    plain, dead, live = (model.predict(CELLS.architecture(choice)).latency_ms for choice in (
        (NONE, NONE, NONE, CONV3, NONE, NONE), (CONV3, NONE, NONE, CONV3, NONE, NONE),
        (CONV3, NONE, NONE, CONV3, CONV3, NONE)))
    assert plain < dead < live
    told = estimate(CELLS, load("jetson-tx2"), "compiled")
    assert told.predict(CELLS.architecture((NONE, NONE, NONE, CONV3, NONE, NONE))).latency_ms == pytest.approx(
        told.predict(CELLS.architecture((CONV3, NONE, NONE, CONV3, NONE, NONE))).latency_ms)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["jetson", "raspberry-pi-4"]), st.sampled_from(SPACES))
def test_costs_of_choices_bound_the_prediction(seed: int, name: str, space: Space) -> None:
    model, arch = estimate(space, load(name)), space.sample(np.random.default_rng(seed))
    fixed, rows = model.costs_ns(space)
    total = fixed + sum(int(row[i]) for row, i in zip(rows, arch.choice, strict=True))
    assert total >= model.predict(arch).latency_ms * 1e6 - 1


def test_at_another_speed_everything_takes_as_much_longer() -> None:
    for space in SPACES:
        model, arch = estimate(space, load("jetson-tx2")), space.largest()
        assert model.at_speed(3.0).predict(arch).latency_ms == pytest.approx(3 * model.predict(arch).latency_ms)
        told = estimate(space, load("jetson-tx2"), "compiled")
        assert told.at_speed(3.0).predict(arch).latency_ms == pytest.approx(3 * told.predict(arch).latency_ms)


def test_it_is_read_back_and_damage_is_refused() -> None:
    model = estimate(CELLS, load("jetson-tx2"))
    document = json.loads(json.dumps(model.to_json()))
    again, arch = LatencyModel.from_json(document), CELLS.sample(np.random.default_rng(0))
    assert isinstance(again, EstimatedModel)
    assert again.predict(arch) == model.predict(arch)
    for ways in ([1], "three", [{**document["ways"][0], "rule": "guessed"}], [document["ways"][0]] * 11):
        with pytest.raises(InputError):
            LatencyModel.from_json({**document, "ways": ways})
    assert model.table_hash != estimate(CELLS, load("jetson-tx2"), "compiled").table_hash


def test_a_rule_that_is_known_needs_no_ways_nor_does_a_model_that_networks_adapted() -> None:
    on, rng = load("jetson-tx2"), np.random.default_rng(0)
    model = estimate(CELLS, on)
    archs = [arch for arch in (CELLS.sample(rng) for _ in range(40)) if arch.connected][:12]
    eager = estimate(CELLS, on, "eager")
    found = adapt(model, on, archs, [2 * eager.predict(arch).latency_ms for arch in archs])
    assert found.ways == model.under("eager").ways == ()
    arch = archs[0]
    assert found.predict(arch).latency_ms == pytest.approx(found.run_ms(run_of(arch, found.rule)))
    with pytest.raises(UnknownName, match="rule of execution"):
        estimate(MOBILE, on, "zeros")
    assert replace(model, ways=()).predict(arch).latency_ms == pytest.approx(model.run_ms(run_of(arch)))
