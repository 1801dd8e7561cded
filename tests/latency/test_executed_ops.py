from dataclasses import replace

import numpy as np
import pytest

from hwnas.latency import Calibration, LatencyModel, live_ops
from hwnas.latency.executed_ops import charged_ops, shared_activations
from hwnas.space import SPACES, Architecture, SpaceConfig, build

CELLS = build(SpaceConfig("nasbench201", 32, 3, 10, depth=1))
CHAIN = build(SpaceConfig("mobile", 16, 3, 10, depth=1))
NONE, SKIP, CONV1, CONV3, POOL = range(5)


def kinds(arch: Architecture) -> list[tuple[str, int]]:
    """(kind, kernel) of the live ops in cells of 16 channels."""
    return [(op.kind, op.kernel) for op in live_ops(arch) if op.in_channels == op.out_channels == 16]


def test_every_op_of_a_chain_is_live() -> None:
    arch = CHAIN.sample(np.random.default_rng(0))
    assert live_ops(arch) == tuple(op for op in arch.ops if op.kind != "skip")


def test_what_nobody_reads_costs_nothing() -> None:
    """Edges 1_0, 2_0, 2_1, 3_0, 3_1, 3_2: only 3_0 reaches the output."""
    arch = CELLS.architecture([CONV3, CONV3, CONV1, POOL, NONE, NONE])
    assert kinds(arch) == [("avgpool", 3)]


def test_what_no_image_reaches_costs_nothing() -> None:
    arch = CELLS.architecture([NONE, NONE, CONV3, CONV1, CONV3, CONV3])
    assert kinds(arch) == [("preconv", 1)]


def test_a_sum_is_paid_by_all_but_the_first() -> None:
    arch = CELLS.architecture([CONV3, NONE, NONE, SKIP, CONV1, NONE])
    assert kinds(arch) == [("preconv", 3), ("preconv", 1), ("identity", 1)]
    assert kinds(CELLS.architecture([NONE, NONE, NONE, SKIP, NONE, NONE])) == []


def test_output_that_no_image_reaches_has_no_live_op() -> None:
    assert live_ops(CELLS.architecture([CONV3, CONV3, CONV3, NONE, NONE, NONE])) == ()


@pytest.mark.parametrize("h", [0.5, 0.0, -0.5])
@pytest.mark.parametrize("name", ["nasbench201", "darts", "mobile"])
def test_costs_are_never_less_than_the_prediction(name: str, h: float) -> None:
    """Whether maps that several ops activate make a network faster or slower; in a chain none are."""
    space, rng = build(SpaceConfig(name, 16, 3, 10, depth=2)), np.random.default_rng(1)
    entries = {s: float(rng.uniform(0.01, 0.1)) for s in space.signatures}
    model = LatencyModel("local", "measured", entries, Calibration(shared_ms_per_mb=h))
    fixed, rows = model.costs_ns(space)
    gaps = []
    for _ in range(100):
        arch = space.sample(rng)
        predicted = model.predict(arch).latency_ms
        gaps.append((fixed + sum(int(row[k]) for row, k in zip(rows, arch.choice, strict=True))) / 1e6 - predicted)
        shared = sum(op.in_channels * op.height * op.width * 4 for op in shared_activations(arch)) / 1e6
        plain = replace(model, calibration=Calibration()).predict(arch).latency_ms
        assert predicted == pytest.approx(plain - h * shared)
    assert min(gaps) >= 0
    assert name != "mobile" or max(gaps) < 1e-4


@pytest.mark.parametrize("name", sorted(SPACES))
def test_a_sum_over_choices_never_charges_less(name: str) -> None:
    space = build(SpaceConfig(name, 32, 3, 10, depth=1))
    rng = np.random.default_rng(0)
    model = LatencyModel("local", "measured", {s: float(rng.uniform(0.01, 1)) for s in space.signatures})
    fixed, rows = charged_ops(space)
    base = sum(model.op_cost_ms(op) for op in fixed)
    gaps = []
    for _ in range(200):
        arch = space.sample(rng)
        charged = base + sum(model.op_cost_ms(op) for i, k in enumerate(arch.choice) for op in rows[i][k])
        gaps.append(charged - model.predict(arch).latency_ms)
    assert min(gaps) >= -1e-9
    exact = name not in ("nasbench201", "darts")  # in chains, and where no node can be empty
    assert (max(gaps) < 1e-9) == exact
