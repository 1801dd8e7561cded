"""Networks of several precisions: predictions, sums that bound them, the tables they come from, and what is chosen."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import BudgetInfeasible, InputError, MissingEntry, TableError, UsageError
from hwnas.generate import solve_precisions
from hwnas.latency import Calibration, Entry, LatencyModel, MixedPrecisionModel, Table, changes_of
from hwnas.latency.estimate import estimate
from hwnas.latency.header import make_header
from hwnas.latency.mixed_costs import memory_bytes, size_bytes
from hwnas.space import Change, Op, Position, Space, SpaceConfig, build
from hwnas.target import VALUE_BYTES, Precision, load

P: tuple[Precision, ...] = ("fp32", "fp16", "int8")
DEVICE: dict[str, Any] = {"cpu": "test", "runtime": "onnxruntime", "runtime_version": "1.0"}


def tiny() -> Space:
    """A chain of a stem, two choices (one with a skip) and a head."""
    conv = Op("conv", 8, 8, 4, 4, act="relu")
    return Space(SpaceConfig("tiny", 8, 3, 4), (
        Position("stem", (Op("conv", 3, 8, 8, 8, kernel=3, stride=2, act="relu"),)),
        Position("one", (conv, conv.replaced(kernel=3), Op("skip", 8, 8, 4, 4))),
        Position("two", (conv, conv.replaced(kernel=5), conv.replaced(kernel=3))),
        Position("head", (Op("head", 8, 4, 4, 4, act="relu", hidden=(6,)),))))


def beside() -> Space:
    """Maps side by side, of which any may be nothing."""
    here: dict[str, Any] = {"reads": "stem", "writes": "join", "merge": "concat"}
    return Space(SpaceConfig("beside", 8, 3, 4), (
        Position("stem", (Op("conv", 3, 8, 8, 8, kernel=3, stride=2, act="relu"),)),
        Position("left", (Op("conv", 8, 8, 4, 4, act="relu"), Op("none", 8, 8, 4, 4)), **here),
        Position("right", (Op("conv", 8, 8, 4, 4, kernel=3, act="relu"), Op("none", 8, 8, 4, 4)), **here),
        Position("mix", (Op("conv", 16, 8, 4, 4, act="relu"), Op("conv", 16, 8, 4, 4, kernel=3, act="relu"))),
        Position("head", (Op("head", 8, 4, 4, 4, act="relu", hidden=(6,)),))))


SPACES = {
    "tiny": tiny(), "beside": beside(), "mobile": build(SpaceConfig("mobile", 16, 3, 10, depth=2)),
    "cells": build(SpaceConfig("nasbench201", 8, 3, 10, depth=1)),
    "detector": build(SpaceConfig("mobile", 64, 3, 3, 0.5, 1, head="fcos")),
    "segmenter": build(SpaceConfig("mobile", 64, 3, 4, 0.5, 1, head="lraspp")),
}
CHAINS = ("tiny", "mobile")


def model_of(space: Space, seed: int = 0, precisions: Sequence[Precision] = P) -> MixedPrecisionModel:
    rng = np.random.default_rng([seed, 5])
    models = {}
    for p in precisions:
        known = Calibration("affine+weights", rng.uniform(0.7, 1.5), rng.uniform(-0.01, 0.05), rng.uniform(0, 0.3),
                            log_spread=rng.uniform(0.05, 0.2), shared_ms_per_mb=rng.uniform(-0.02, 0.02))
        times = {s: float(rng.uniform(0.001, 0.2)) for s in space.signatures}
        models[p] = LatencyModel("local", "measured", times, known, precision=p)
    changes = {c.signature: float(rng.uniform(0.001, 0.05)) for c in changes_of(space, precisions)}
    return MixedPrecisionModel(models, changes)


def drawn(space: Space, rng: np.random.Generator, known: Sequence[Precision] = P) -> tuple[Any, tuple[Precision, ...]]:
    """A random architecture and plan, tied positions alike."""
    costs = size_bytes(space, known)
    choice = [int(rng.integers(len(place.carries))) * len(known) + int(rng.integers(len(known)))
              for place in costs.places]
    return costs.plan(choice)


@pytest.mark.parametrize("name", SPACES)
def test_one_precision_is_what_its_own_model_says(name: str) -> None:
    space = SPACES[name]
    model, rng = model_of(space), np.random.default_rng(1)
    for p in P:
        for arch in (space.largest(), *(space.sample(rng) for _ in range(15))):
            mixed, alone = model.predict(arch, [p] * len(space.positions)), model.models[p].predict(arch)
            assert mixed.latency_ms == pytest.approx(alone.latency_ms)
            assert mixed.high_ms == pytest.approx(alone.high_ms)
            costs = model.costs_ns(space)
            fixed, rows = model.models[p].costs_ns(space)
            total = fixed + sum(int(row[k]) for row, k in zip(rows, arch.choice, strict=True))
            found = costs.total(costs.candidates(arch, [p] * len(space.positions)))
            slack = len(costs.places) + len(rows) + 1
            assert abs(found - total) <= slack if name != "beside" else found >= total - slack


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), name=st.sampled_from(CHAINS))
def test_in_a_chain_the_sum_is_the_prediction(seed: int, name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(seed)
    model = model_of(space, seed)
    costs = model.costs_ns(space)
    arch, plan = drawn(space, rng)
    predicted = model.predict(arch, plan).latency_ms * 1e6
    total = costs.total(costs.candidates(arch, plan))
    assert predicted - 1e-3 <= total <= predicted + len(costs.places) + len(costs.changes) + 1
    assert set(costs.changes) == {(i, i + 1) for i in range(len(costs.places) - 1)}


@pytest.mark.parametrize("name", [name for name in SPACES if name not in CHAINS])
def test_where_positions_write_one_node_the_sum_is_an_upper_bound(name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(2)
    ratios = []
    for seed in range(40):
        model = model_of(space, seed)
        costs = model.costs_ns(space)
        arch, plan = drawn(space, rng)
        predicted = model.predict(arch, plan).latency_ms * 1e6
        total = costs.total(costs.candidates(arch, plan))
        assert predicted - 1e-3 <= total
        ratios.append(total / max(predicted, 1.0))
    assert np.median(ratios) < {"cells": 1.5, "beside": 1.3}.get(name, 1.05)


def test_a_small_network_by_hand() -> None:
    space, model = SPACES["tiny"], model_of(SPACES["tiny"])
    arch, plan = space.architecture([2, 1]), ("fp32", "int8", "int8", "fp16")
    cost = {p: model.models[p].op_cost_ms for p in P}
    maps = {"fp32>int8": (8, 4, 4), "int8>fp16": (8, 4, 4)}
    wanted = cost["fp32"](arch.ops[0]) + cost["int8"](arch.ops[2]) + cost["fp16"](arch.ops[3])
    wanted += sum(model.changes_ms[f"change {way} {'x'.join(map(str, shape))}"] for way, shape in maps.items())
    wanted += (model.models["fp32"].calibration.b_ms + model.models["fp16"].calibration.b_ms) / 2
    assert model.predict(arch, plan).latency_ms == pytest.approx(wanted)  # type: ignore[arg-type]
    widest = max(model.models[p].calibration.log_spread for p in P)
    found = model.predict(arch, plan)  # type: ignore[arg-type]
    assert found.high_ms / found.latency_ms == pytest.approx(np.exp(widest))
    slower = model.at_speed(1.7)
    assert slower.predict(arch, plan).latency_ms == pytest.approx(1.7 * wanted)  # type: ignore[arg-type]


def test_what_is_needed_of_a_table_is_named_once() -> None:
    names = [c.signature for c in changes_of(SPACES["tiny"], ("fp32", "int8"))]
    assert names == ["change fp32>int8 8x4x4", "change int8>fp32 8x4x4"], "the image is there in any precision"
    assert changes_of(SPACES["tiny"], ("fp32",)) == ()


@pytest.mark.parametrize("seed", range(6))
def test_the_best_plan_is_that_of_all_predictions(seed: int) -> None:
    """Every architecture in every plan of the small chain: the solver's is the best of those within the budget."""
    space, rng = SPACES["tiny"], np.random.default_rng([seed, 3])
    model, known = model_of(space, seed), P[: 2 + seed % 2]
    costs = model.costs_ns(space, known)
    utilities = [rng.normal(size=n) for n in space.sizes]
    penalties = [rng.uniform(0, 0.5, len(known)) for _ in costs.places]
    every = []
    for choice in itertools.product(*(range(len(place.carries) * len(known)) for place in costs.places)):
        at = [divmod(k, len(known)) for k in choice]
        worth = sum(utilities[p.choice][k] for p, (k, _) in zip(costs.places, at, strict=True) if p.choice is not None)
        worth -= sum(float(off[q]) for off, (_, q) in zip(penalties, at, strict=True))
        every.append((worth, costs.total(choice), choice))
    budget = float(np.quantile([total for _, total, _ in every], 0.2))
    best = min((row for row in every if row[1] <= budget), key=lambda row: -row[0])
    found = solve_precisions(
        costs.spread(utilities), {"latency": costs.rows}, {"latency": budget}, penalties=penalties,
        changes={"latency": costs.changes}, carries=costs.carries, fixed={"latency": costs.fixed})
    assert found.utility == pytest.approx(best[0])
    arch, plan = costs.plan(found.choice)
    assert model.predict(arch, plan).latency_ms * 1e6 <= found.costs["latency"] <= budget
    assert costs.candidates(arch, plan) == found.choice
    least = min(total for _, total, _ in every)
    with pytest.raises(BudgetInfeasible) as refusal:
        solve_precisions(costs.spread(utilities), {"latency": costs.rows}, {"latency": least - 1},
                         changes={"latency": costs.changes})
    assert refusal.value.least == {"latency": least}


def test_a_precision_that_saves_nothing_is_left_where_changes_cost() -> None:
    """int8 is faster in the middle alone: it is taken there while two changes cost less than it saves."""
    space = SPACES["tiny"]
    times = {p: dict.fromkeys(space.signatures, 1.0) for p in ("fp32", "int8")}
    times["int8"] |= {op.signature: 0.4 for op in space.positions[2].ops if op.kernel == 5}
    times["int8"] |= {space.positions[end].ops[0].signature: 2.0 for end in (0, 3)}
    models = {p: LatencyModel("local", "measured", t, precision=p) for p, t in times.items()}
    for change_ms, wanted in ((0.2, "int8"), (0.4, "fp32")):
        changes = {c.signature: change_ms for c in changes_of(space, ("fp32", "int8"))}
        model = MixedPrecisionModel(models, changes)  # type: ignore[arg-type]
        costs = model.costs_ns(space)
        given: dict[str, Any] = {"penalties": [[0, 1e-6]] * 4, "changes": {"ms": costs.changes}}
        loose = solve_precisions(costs.spread([[0, 0, -9], [0, 1, 0]]), {"ms": costs.rows}, {"ms": 10**9}, **given)
        assert costs.plan(loose.choice)[1] == ("fp32",) * 4, "nothing forces another"
        tight = solve_precisions(costs.spread([[0, 0, -9], [0, 1, 0]]), {"ms": costs.rows}, {"ms": 3_900_000}, **given)
        arch, plan = costs.plan(tight.choice)
        assert plan == ("fp32", "fp32", wanted, "fp32")
        assert arch.ops[2].kernel == 5
        assert (arch.ops[1].kind == "skip") == (wanted == "fp32")


def table_of(path: Path, space: Space, precisions: Sequence[Precision], header: dict[str, Any] | None = None,
             ms: float = 0.1) -> Table:
    """A table whose own precision is the first, with every op and change."""
    entries = [Entry(s, ms * (i + 1), ms, ms * 9, 20, "2026", p) for i, p in enumerate(precisions)
               for s in space.signatures]
    entries += [Entry(c.signature, ms / 9, 0.0, ms, 20, "2026") for c in changes_of(space, precisions)]
    made = header or make_header(load("local", precision=precisions[0]), DEVICE, "measured")
    return Table.assemble(path, made, entries)


def test_from_one_table_of_several_precisions_and_from_several(tmp_path: Path) -> None:
    space = SPACES["tiny"]
    one = table_of(tmp_path / "one.jsonl", space, P)
    model = MixedPrecisionModel.from_tables(one, space)
    assert model.precisions == P
    assert len(model.changes_ms) == 6
    two = [table_of(tmp_path / "a.jsonl", space, ("fp32",)), table_of(tmp_path / "b.jsonl", space, ("int8", "fp16"))]
    with pytest.raises(MissingEntry, match=r"change fp32>int8.*add its line to a table"):
        MixedPrecisionModel.from_tables(two, space, ("fp32", "int8"))
    assert MixedPrecisionModel.from_tables(two, space, ("int8", "fp16")).precisions == ("fp16", "int8")
    assert MixedPrecisionModel.from_tables([*two, one], space).precisions == P
    with pytest.raises(UsageError, match="no table holds ops in bf16; they hold fp32, fp16, int8"):
        MixedPrecisionModel.from_tables(one, space, ("fp32", "bf16"))
    with pytest.raises(UsageError, match="any precision"):
        MixedPrecisionModel.from_tables([], space)


@pytest.mark.parametrize(("change", "says"), [
    ({"target": "other"}, "target: 'local' / 'other'"), ({"threads": 2}, "threads: 1 / 2"), ({"batch": 4}, "batch"),
    ({"device": {**DEVICE, "cpu": "other"}}, "cpu: test / other"),
    ({"device": {**DEVICE, "runtime_version": "2.0"}}, "runtime_version: 1.0 / 2.0"),
    ({"runtime": {"name": "openvino", "version": "1.0"}}, "runtime: 'onnxruntime' / 'openvino'"),
    ({"runtime": {"name": "onnxruntime", "version": "2.0"}, "device": {"cpu": "test"}}, "runtime version: 1.0 / 2.0"),
    ({"source": "imported"}, "source: measured / imported")])
def test_tables_that_cannot_be_added_up_are_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    space = SPACES["tiny"]
    first = table_of(tmp_path / "a.jsonl", space, ("fp32", "int8"))
    header = {**make_header(load("local", precision="int8"), DEVICE, "measured"), **change}
    other = table_of(tmp_path / "b.jsonl", space, ("int8",), header)
    with pytest.raises(TableError, match=rf"must be of one target.*{says}.*one state of one machine"):
        MixedPrecisionModel.from_tables([first, other], space)


def test_it_survives_json() -> None:
    made = model_of(SPACES["tiny"])
    assert MixedPrecisionModel.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize("change", [
    {"hwnas_mixed_precision_model": 2}, {"models": {}}, {"models": 3}, {"changes_ms": {"change fp32>int8": 1.0}},
    {"changes_ms": {"change fp32>int8 8x4x4": -1.0}}, {"changes_ms": None}])
def test_json_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        MixedPrecisionModel.from_json({**model_of(SPACES["tiny"]).to_json(), **change})


def test_a_model_under_the_wrong_precision_is_refused() -> None:
    data = model_of(SPACES["tiny"]).to_json()
    data["models"]["int8"] = data["models"]["fp16"]
    with pytest.raises(InputError, match="the model of int8 says that it is of fp16"):
        MixedPrecisionModel.from_json(data)


def test_models_that_cannot_be_added_up_are_refused() -> None:
    one = model_of(SPACES["tiny"]).models["fp32"]
    with pytest.raises(InputError, match="got none"):
        MixedPrecisionModel({}, {})
    for other, says in ((replace(one, precision="int8", target="x86"), "one target and source"),
                        (replace(one, precision="int8", source="imported"), "one target and source"),
                        (estimate(SPACES["tiny"], load("raspberry-pi-4", precision="int8")), "is an estimate")):
        with pytest.raises(InputError, match=says):
            MixedPrecisionModel({"fp32": one, "int8": other}, {})


def test_plans_that_fit_nothing_are_refused() -> None:
    space, model = SPACES["tiny"], model_of(SPACES["tiny"], precisions=("fp32", "int8"))
    with pytest.raises(UsageError, match="has 4 positions, each with a precision; got 2"):
        model.predict(space.largest(), ["fp32", "int8"])
    with pytest.raises(UsageError, match=r"knows fp32, int8; got 'fp16'"):
        model.predict(space.largest(), ["fp16"] * 4)
    with pytest.raises(UsageError, match="knows fp32, int8"):
        model.costs_ns(space, ("bf16",))
    short = replace(model, changes_ms={})
    with pytest.raises(MissingEntry, match="change fp32>int8 8x4x4"):
        short.predict(space.largest(), ["fp32", "int8", "int8", "int8"])
    with pytest.raises(MissingEntry, match="change fp32>int8 1"):
        short.change_ms(Change("fp32", "int8", (1,)))
    cells = SPACES["cells"]
    with pytest.raises(UsageError, match="must have one precision"):
        size_bytes(cells, P).candidates(cells.largest(), ["fp32"] * 20 + ["int8"] * 6)


@pytest.mark.parametrize("name", SPACES)
def test_memory_and_size_of_one_precision_are_those_of_its_bytes(name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(4)
    for p, wide in (("fp32", 4), ("fp16", 2), ("int8", 1)):
        memory, size = memory_bytes(space, (p,)), size_bytes(space, (p,))  # type: ignore[arg-type]
        for arch in (space.sample(rng) for _ in range(10)):
            choice = memory.candidates(arch, [p] * len(space.positions))  # type: ignore[list-item]
            assert memory.total(choice, most=True) == arch.memory_bytes(wide)
            assert size.total(choice) == wide * arch.params


def test_memory_of_a_chain_holds_a_map_twice_while_it_changes() -> None:
    space = SPACES["tiny"]
    costs = memory_bytes(space, ("fp32", "int8"))
    stem, values = space.positions[0].ops[0], 8 * 4 * 4
    assert costs.changes[0, 1].tolist() == [[0, values * 5], [values * 5, 0]]
    assert costs.rows[0].tolist() == [[stem.peak(False) * 4, stem.peak(False)]]


@pytest.mark.parametrize("name", CHAINS)
def test_memory_and_size_of_a_plan_in_a_chain(name: str) -> None:
    """What an op holds in its precision, and a map twice where it changes; weights are as wide as their op."""
    space, rng = SPACES[name], np.random.default_rng(6)
    memory, size = memory_bytes(space, P), size_bytes(space, P)
    for arch, plan in (drawn(space, rng) for _ in range(50)):
        choice, most = memory.candidates(arch, plan), 0
        for i, (op, p) in enumerate(zip(arch.ops, plan, strict=True)):
            most = max(most, op.peak(keeps_input=False) * VALUE_BYTES[p])
            if i and p != plan[i - 1]:
                both = VALUE_BYTES[p] + VALUE_BYTES[plan[i - 1]]
                most = max(most, op.in_channels * op.height * op.width * both)
        assert memory.total(choice, most=True) == most
        assert size.total(choice) == sum(op.params * VALUE_BYTES[p] for op, p in zip(arch.ops, plan, strict=True))
