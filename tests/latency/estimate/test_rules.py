"""Rules of execution: what each has run of a cell, which is found from latencies, and what bounds what."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import InputError, UnknownName
from hwnas.latency import LatencyModel
from hwnas.latency.estimate import adapt, choose, estimate
from hwnas.latency.estimate.adapt import best_rule, fits
from hwnas.latency.estimate.model import EstimatedModel
from hwnas.latency.estimate.rules import ASKED, Rule, rules_of, run_of
from hwnas.space import Architecture, SpaceConfig, build
from hwnas.space.nasbench201 import EDGES, first_alike, unique_string
from hwnas.target import load

BOARD = load("jetson-tx2")
CELLS = build(SpaceConfig("nasbench201", 32, classes=10, depth=1))
MOBILE = build(SpaceConfig("mobile", 32, classes=10))
CHOICES = st.tuples(*[st.integers(0, 4)] * 6)
NONE, SKIP, CONV1, CONV3, POOL = range(5)


def kinds(choice: tuple[int, ...], rule: Rule) -> Counter[str]:
    """Kinds of ops in one cell beyond those of a cell of skips alone between input and output."""
    counts, base = (Counter(op.kind for op, _ in run_of(CELLS.architecture(c), rule))
                    for c in (choice, (NONE, NONE, NONE, SKIP, NONE, NONE)))
    return Counter({kind: n for kind in {*counts, *base} if (n := counts[kind] - base[kind])})


def test_a_dead_op_and_a_none_cost_what_the_rule_says() -> None:
    dead = (POOL, NONE, NONE, CONV3, NONE, NONE)  # edge 1_0 is read by `none` edges alone
    assert kinds(dead, "compiled") == {"preconv": 3}
    assert kinds(dead, "zeros") == {"preconv": 3}
    assert kinds(dead, "eager") == {"preconv": 3, "avgpool": 3, "none": -3}
    assert Counter(op.kind for op, _ in run_of(CELLS.architecture(dead), "eager"))["none"] == 3 * 4
    unreached = (NONE, NONE, NONE, CONV3, POOL, NONE)  # edge 3_1 reads a map of zeros
    assert kinds(unreached, "compiled") == {"preconv": 3}
    assert kinds(unreached, "zeros") == {"preconv": 3, "avgpool": 3}


def test_a_framework_adds_at_every_edge_but_the_first() -> None:
    """Three additions a cell, whatever is on its edges: an eager network is a plain sum over its choices."""
    for choice in ((NONE,) * 6, (CONV3,) * 6, (SKIP, NONE, POOL, CONV1, SKIP, NONE)):
        run = run_of(CELLS.architecture(choice), "eager")
        assert sum(op.kind == "identity" for op, _ in run) == 3 * 3 + 2  # and one at each of two reductions


@settings(max_examples=50, deadline=None)
@given(CHOICES)
def test_rules_contain_each_other(choice: tuple[int, ...]) -> None:
    arch = CELLS.architecture(choice)
    compiled, zeros, eager = (Counter(op.signature for op, _ in run_of(arch, rule) if not op.passes)
                              for rule in ("compiled", "zeros", "eager"))
    assert compiled <= zeros <= eager
    assert run_of(arch, "shared") == run_of(CELLS.architecture(first_alike(choice)), "eager")


def test_cells_that_are_alike_are_those_of_the_benchmark() -> None:
    every = list(itertools.product(range(5), repeat=6))
    assert len({unique_string(choice) for choice in every}) == 6466  # Dong & Yang 2020: unique topologies
    for choice in every[::500]:
        assert first_alike(first_alike(choice)) == first_alike(choice)
        assert unique_string(first_alike(choice)) == unique_string(choice)


def test_a_chain_has_one_rule_and_others_are_refused_by_name() -> None:
    archs = [MOBILE.sample(np.random.default_rng(i)) for i in range(5)]
    assert rules_of(MOBILE) == ("compiled",)
    assert rules_of(CELLS) == ASKED
    with pytest.raises(UnknownName, match=r"rule of execution.*eager.*compiled"):
        adapt(estimate(MOBILE, BOARD), BOARD, archs, [1.0] * 5, rule="eager")


def drawn(rng: np.random.Generator, count: int) -> list[Architecture]:
    return list({arch.choice: arch for arch in (CELLS.sample(rng) for _ in range(2 * count)) if arch.connected}
                .values())[:count]


def times(archs: list[Architecture], rule: Rule, rng: np.random.Generator, noise: float = 0.02) -> np.ndarray:
    """A device that takes what an estimate says for some parts, twice it for others, and 0.02 ms for a `none`."""
    costs = estimate(CELLS, BOARD)
    cost = {op: costs.op_cost_ms(op) * (2.0 if op.kernel == 3 else 1.0) if not op.cuts else 0.02
            for arch in archs for each in ASKED for op, _ in run_of(arch, each)}
    exact = np.array([1.0 + sum(cost[op] for op, _ in run_of(arch, rule)) for arch in archs])
    return exact * np.exp(rng.normal(0, noise, len(archs)))


@pytest.mark.parametrize("rule", ASKED)
def test_twenty_networks_say_which_rule_holds(rule: Rule) -> None:
    rng = np.random.default_rng(0)
    archs = drawn(rng, 80)
    y = times(archs, rule, rng)
    model = adapt(estimate(CELLS, BOARD), BOARD, archs[:20], y[:20].tolist())
    assert model.rule == rule
    assert np.abs(model.predict_ms(archs[20:]) / y[20:] - 1).mean() < 0.05
    again = LatencyModel.from_json(model.to_json())
    assert isinstance(again, EstimatedModel)
    assert again.rule == rule
    assert again.predict_ms(archs[:3]) == pytest.approx(model.predict_ms(archs[:3]))
    inside = [p.low_ms <= ms <= p.high_ms for p, ms in zip(map(model.predict, archs[20:]), y[20:], strict=True)]
    assert np.mean(inside) > 0.75
    if rule == "shared":
        return  # what stands in for a network is not what a sum over its choices is of
    fixed, rows = model.costs_ns(CELLS)
    for arch in archs:
        total = fixed + sum(int(row[i]) for row, i in zip(rows, arch.choice, strict=True))
        assert total >= model.predict(arch).latency_ms * 1e6 - 1
        if rule == "eager":
            assert total == pytest.approx(model.predict(arch).latency_ms * 1e6, rel=1e-4)


def test_what_a_rule_knows_is_kept_under_another() -> None:
    rng = np.random.default_rng(1)
    archs = drawn(rng, 20)
    eager = adapt(estimate(CELLS, BOARD), BOARD, archs, times(archs, "eager", rng).tolist(), rule="eager")
    exported = eager.under("compiled")
    assert exported.entries_ms == eager.entries_ms
    assert all(exported.predict(arch).latency_ms <= eager.predict(arch).latency_ms for arch in archs)
    cut = CELLS.architecture((NONE,) * 6)
    assert exported.predict(cut).latency_ms < eager.predict(cut).latency_ms
    low, high = eager.predict(cut).low_ms, eager.predict(cut).high_ms
    assert low < eager.predict(cut).latency_ms < high


def test_every_rule_is_reported_with_its_error_and_the_right_one_has_the_least() -> None:
    rng = np.random.default_rng(2)
    archs = drawn(rng, 20)
    y = times(archs, "eager", rng, noise=0.005)
    runs = {rule: [run_of(arch, rule) for arch in archs] for rule in rules_of(CELLS)}
    found = fits(estimate(CELLS, BOARD), BOARD, runs, y.tolist())
    assert set(found) == set(ASKED)
    assert best_rule(found) == "eager" == min(found, key=lambda rule: found[rule].error)


def test_a_design_is_telling_under_every_rule() -> None:
    archs = drawn(np.random.default_rng(3), 60)
    picked = choose(estimate(CELLS, BOARD), BOARD, archs, 8)
    assert len(set(picked)) == 8
    ops = Counter(op for i in picked for op in archs[i].choice)
    assert all(ops[op] >= 3 for op in range(5))


def test_a_file_with_an_unknown_rule_is_refused() -> None:
    data = estimate(CELLS, BOARD).to_json()
    with pytest.raises(InputError, match="rule"):
        LatencyModel.from_json({**data, "rule": "magic"})


def test_edges_are_where_the_tests_say() -> None:
    assert EDGES == ((1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2))
