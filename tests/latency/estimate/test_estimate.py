"""A roofline estimate: a vector by hand, monotone in work, through the same object as a measured table."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import InputError
from hwnas.latency import LatencyModel
from hwnas.latency.estimate.analytic import estimate, op_ms, term_ms
from hwnas.latency.estimate.model import EstimatedModel, run_of
from hwnas.latency.estimate.roofline import BANDWIDTH_REACHED, EFFICIENCY, LAUNCH_MS, Roofline
from hwnas.latency.estimate.rules import COMPILED
from hwnas.latency.estimate.work import KINDS, Work, works
from hwnas.space import Op, SpaceConfig, build
from hwnas.target import Hardware, load, names

WITH_FIGURES = [name for name in names() if load(name).hardware is not None]
MOBILE = build(SpaceConfig("mobile", 32, classes=10))
CELLS = build(SpaceConfig("nasbench201", 32, classes=10, depth=1))


def hardware(peak: float = 1.0, bandwidth: float = 10.0, lanes: int = 8) -> Hardware:
    sources = dict.fromkeys(("peak_tops", "bandwidth_gbs", "lanes"), "test")
    return Hardware(processor="cpu", launch="cpu", peak_tops={"fp32": peak}, bandwidth_gbs=bandwidth, lanes=lanes,
                    sources=sources)


def roofline(**figures: float) -> Roofline:
    return Roofline(hardware(**figures), "fp32", 1, 1)  # type: ignore[arg-type]


def test_a_convolution_by_hand() -> None:
    # 3x3, 16 to 16 on 8x8: 9 * 16 * 16 * 64 = 147456 multiply-accumulates, 1024 values out
    op = Op("conv", 16, 16, 8, 8, kernel=3)
    (work,) = works(op)
    assert work == Work("dense", 147_456, 1024, 2048, 9 * 16 * 16 + 32)
    # 1 TOPS = 5e8 multiply-accumulates a ms, at 0.33 and 1024 / (1024 + 8) of them
    expected = 147_456 / (5e8 * EFFICIENCY["cpu"]["dense"] * 1024 / 1032)
    assert op_ms(op, roofline(bandwidth=100.0)) == pytest.approx(LAUNCH_MS["cpu"] + expected, rel=1e-12)


def test_a_linear_layer_is_bound_by_memory_by_hand() -> None:
    # bytes: (1000 + 10 + 10010 weights) * 4 at 0.7 * 1e6 bytes a ms
    work = works(Op("head", 1000, 10, 1, 1, act="relu"))[-1]
    slow = roofline(bandwidth=1.0)
    assert work.kind == "linear"
    assert slow.running_ms(work) == pytest.approx((1010 + 10_010) * 4 / (1e6 * BANDWIDTH_REACHED))


def test_works_by_kind() -> None:
    block = Op("mbconv", 16, 16, 8, 8, kernel=5, expand=4, act="relu6", se=True)
    assert [w.kind for w in works(block)] == ["pointwise", "depthwise", "pool", "linear", "linear", "elementwise",
                                              "pointwise"]
    plain = works(Op("mbconv", 16, 24, 8, 8, kernel=5, expand=4, act="relu6"))[-1]
    assert works(block)[-1].values == 8 * 8 * (64 + 16 + 16), "the addition reads the block's input"
    assert plain.values == 8 * 8 * (64 + 24)
    assert [w.kind for w in works(Op("preconv", 16, 16, 8, 8, kernel=3, act="relu"))] == ["elementwise", "dense"]
    assert not works(Op("none", 16, 16, 8, 8))
    assert not works(Op("skip", 16, 16, 8, 8))
    assert [w.kind for w in works(Op("fbconv", 16, 16, 8, 8, kernel=3, groups=2))] == [
        "pointwise", "elementwise", "depthwise", "pointwise"]


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(KINDS), st.integers(1, 10**9), st.integers(1, 10**6), st.integers(1, 10**7),
       st.integers(0, 10**7), st.integers(1, 10), st.sampled_from(WITH_FIGURES))
def test_more_work_of_a_kind_is_never_cheaper(kind: str, macs: int, outputs: int, values: int, weights: int,
                                              times: int, name: str) -> None:
    target = load(name)
    assert target.hardware is not None
    line = Roofline.of(target, target.hardware)
    work = Work(kind, macs, outputs, values, weights)
    for more in (Work(kind, macs * times, outputs, values, weights), Work(kind, macs, outputs, values * times, weights),
                 Work(kind, macs, outputs, values, weights * times),
                 Work(kind, macs * times, outputs * times, values * times, weights * times)):
        assert line.running_ms(more) >= line.running_ms(work) * (1 - 1e-12)
    assert 0 < line.occupancy(work) < 1


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(("conv", "mbconv")), st.integers(1, 40), st.integers(1, 32), st.integers(0, 2),
       st.integers(1, 6), st.sampled_from(WITH_FIGURES))
def test_a_wider_or_larger_op_is_never_cheaper(kind: str, width: int, size: int, kernel: int, expand: int,
                                               name: str) -> None:
    target = load(name)
    assert target.hardware is not None
    line = Roofline.of(target, target.hardware)

    def cost(channels: int, pixels: int, k: int, e: int) -> float:
        return op_ms(Op(kind, channels, channels, pixels, pixels, kernel=k, expand=e if kind == "mbconv" else 1), line)

    k = 3 + 2 * kernel
    base = cost(8 * width, size, k, expand)
    assert cost(8 * width + 8, size, k, expand) >= base
    assert cost(8 * width, size + 1, k, expand) >= base
    assert cost(8 * width, size, k + 2, expand) >= base
    assert cost(8 * width, size, k, expand + 1) >= base


@pytest.mark.parametrize("name", WITH_FIGURES)
@pytest.mark.parametrize("space", [MOBILE, CELLS], ids=lambda s: s.name)
@pytest.mark.parametrize(("rule", "band"), [(COMPILED, 4), (None, 8)])
def test_every_target_with_figures_gives_a_model(name: str, space, rule, band) -> None:  # type: ignore[no-untyped-def]
    model = estimate(space, load(name), rule)
    assert model.source == "estimated"
    assert model.target == name
    assert set(model.entries_ms) >= set(space.signatures)
    small, large = model.predict(space.smallest()), model.predict(space.largest())
    assert 0 < small.latency_ms < large.latency_ms
    assert large.measured_share == 0
    assert large.low_ms == pytest.approx(large.latency_ms / band)
    assert large.high_ms == pytest.approx(large.latency_ms * band)


def test_a_target_without_figures_says_what_to_do() -> None:
    with pytest.raises(InputError, match=r"local states no hardware.*hwnas profile --target local"):
        estimate(MOBILE, load("local"), COMPILED)


def test_threads_count_on_a_cpu_and_not_on_a_gpu() -> None:
    largest = MOBILE.largest()

    def ms(name: str, threads: int) -> float:
        return estimate(MOBILE, load(name, threads=threads), COMPILED).predict(largest).latency_ms

    assert ms("raspberry-pi-4", 1) > 2 * ms("raspberry-pi-4", 4)
    assert ms("raspberry-pi-4", 8) == ms("raspberry-pi-4", 4), "there are four cores"
    assert ms("jetson", 1) == ms("jetson", 4)


def test_a_precision_without_a_peak_is_no_faster_than_fp32() -> None:
    pi = Op("conv", 64, 64, 32, 32, kernel=3)
    target = load("raspberry-pi-4", precision="int8")
    assert target.hardware is not None
    int8, fp32 = Roofline.of(target, target.hardware), Roofline(target.hardware, "fp32", 1, 4)
    assert op_ms(pi, int8) == op_ms(pi, fp32)


def test_the_same_estimate_has_the_same_hash_and_another_target_another() -> None:
    first, same, other = (estimate(MOBILE, target, COMPILED).table_hash
                          for target in (load("jetson"), load("jetson-orin-nano"), load("jetson", batch=2)))
    assert first == same != other


def test_a_run_leaves_out_what_is_dead_and_counts_terms() -> None:
    # edges 1_0 2_0 2_1 3_0 3_1 3_2: 3x3, none, none, skip, pool, 1x1; node 2 is empty, so 3_2 is dead
    arch = CELLS.architecture((3, 0, 0, 1, 4, 2))
    cell = [(op.kind, term) for op, term in run_of(arch)][1:3]
    assert cell == [("preconv", 0), ("avgpool", 1)]
    assert len(run_of(arch)) == 1 + 3 * 2 + 2 * 3 + 1


def test_a_pool_pays_for_the_addition_unless_it_is_the_first_term() -> None:
    model = estimate(CELLS, load("jetson"), COMPILED)
    line = Roofline.of(load("jetson"), load("jetson").hardware)  # type: ignore[arg-type]
    first, second = CELLS.architecture((3, 0, 0, 4, 0, 0)), CELLS.architecture((3, 0, 0, 2, 4, 0))
    pools = [op for op, _ in run_of(first) if op.kind == "avgpool"]
    without = CELLS.architecture((3, 0, 0, 2, 3, 0))
    convs = [op for op, _ in run_of(without) if op.kind == "preconv" and op.kernel == 3 and op.stride == 1]
    assert len(pools) == 3
    lone = sum(model.op_cost_ms(op) for op, _ in run_of(second))
    added = sum(term_ms(op, line)[0] for op in pools)
    assert added > 0
    assert model.predict(second).latency_ms == pytest.approx(lone + added)
    assert model.predict(without).latency_ms == pytest.approx(sum(model.op_cost_ms(op) for op, _ in run_of(without)))
    assert convs


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["jetson", "raspberry-pi-4", "jetson-tx2"]))
def test_costs_of_choices_bound_the_prediction(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    for space in (MOBILE, CELLS):
        model = estimate(space, load(name), COMPILED)
        fixed, rows = model.costs_ns(space)
        arch = space.sample(rng)
        total = fixed + sum(int(row[i]) for row, i in zip(rows, arch.choice, strict=True))
        predicted = model.predict(arch).latency_ms * 1e6
        assert total >= predicted - 1
        if space is MOBILE or all(arch.choice):  # nothing dead: no more than the rounding
            assert total <= predicted + 1 + len(rows)


def test_json_round_trip_and_what_is_no_model() -> None:
    model = estimate(CELLS, load("jetson"), COMPILED)
    again = EstimatedModel.from_json(json.loads(json.dumps(model.to_json())))
    assert again == model
    arch = CELLS.sample(np.random.default_rng(0))
    assert again.predict(arch) == model.predict(arch)
    chain = estimate(MOBILE, load("jetson"), COMPILED)
    plain = LatencyModel.from_json(json.loads(json.dumps(chain.to_json())))
    assert plain.predict(MOBILE.largest()).latency_ms == chain.predict(MOBILE.largest()).latency_ms
    with pytest.raises(InputError, match="terms_ms"):
        EstimatedModel.from_json({**model.to_json(), "terms_ms": {"x": [1]}})
