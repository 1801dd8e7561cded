"""Spaces and architectures: totals, extremes, sampling, and the JSON that rebuilds them anywhere."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwnas.errors import HwnasError, InputError
from hwnas.space import SPACES, Architecture, Op, Position, Space, SpaceConfig, build

CHAINS = sorted(set(SPACES) - {"darts", "nasbench201", "nse"})
MOBILE = build(SpaceConfig("mobile", 32, classes=10))


def chain_flops_params(imgsz: int, classes: int) -> tuple[int, int]:
    """MobileNetV2 1.0 (Sandler et al., CVPR 2018, table 2), written out without any code of ours."""
    size, channels = imgsz // 2, 32
    flops, params = 27 * 32 * size * size, 27 * 32 + 64
    rows = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for t, c, n, s in rows:
        for layer in range(n):
            stride, hidden = (s if layer == 0 else 1), t * channels
            if t > 1:
                flops, params = flops + channels * hidden * size * size, params + channels * hidden + 2 * hidden
            size //= stride
            flops += 9 * hidden * size * size + hidden * c * size * size
            params += 9 * hidden + 2 * hidden + hidden * c + 2 * c
            channels = c
    flops += channels * 1280 * size * size + 1280 * classes
    return flops, params + channels * 1280 + 2 * 1280 + 1280 * classes + classes


def mobilenet_v2(imgsz: int = 224) -> Architecture:
    """Kernel 3, expansion 6 in the first n layers of every stage, skips behind them."""
    skip, k3_e6, picked = 6, 1, []
    for layers, n in ((4, 2), (4, 3), (4, 4), (4, 3), (4, 3), (1, 1)):
        picked += [k3_e6] * n + [skip] * (layers - n)
    return build(SpaceConfig("google", imgsz)).architecture(picked)


def test_google_holds_mobilenet_v2_exactly() -> None:
    net = mobilenet_v2()
    assert (net.flops, net.params) == chain_flops_params(224, 1000)
    assert net.params == 3_504_872  # what every published MobileNetV2 1.0 has
    assert net.flops / 1e6 == pytest.approx(300.8, abs=0.05)
    assert net.depth == 16


@pytest.mark.parametrize("name", sorted(SPACES))
def test_what_dpng_adds_up_is_what_an_architecture_costs(name: str) -> None:
    space = build(SpaceConfig(name, 32, classes=10, depth=2))
    flops, params, memory = (space.counts(cost) for cost in ("flops", "params", "memory"))  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    for arch in [space.sample(rng) for _ in range(20)]:
        taken = list(enumerate(arch.choice))
        assert arch.flops == flops[0] + sum(flops[1][i][k] for i, k in taken)
        assert arch.params == params[0] + sum(params[1][i][k] for i, k in taken)
        assert arch.memory_bytes(1) == max(memory[0], *(memory[1][i][k] for i, k in taken))
        placed = [op for i, k in taken for op in space.instances(i, k)]
        assert sorted(op.signature for op in (*space.fixed_ops, *placed)) == sorted(
            op.signature for op in arch.ops if op.timed
        )


@pytest.mark.parametrize("name", CHAINS)
def test_in_a_chain_a_candidate_stands_for_itself(name: str) -> None:
    space = build(SpaceConfig(name, 32, classes=10))
    for i, choice in enumerate(space.choices):
        for k, op in enumerate(choice.ops):
            assert space.instances(i, k) == (() if op.kind == "skip" else (op,))
            assert space.counts("memory")[1][i][k] == op.peak_elements
    assert all(space.sample(np.random.default_rng(0)).live)


@pytest.mark.parametrize("name", CHAINS)
def test_totals_are_sums_and_memory_is_a_maximum(name: str) -> None:
    space = build(SpaceConfig(name, 32, classes=10, depth=1))
    arch = space.sample(np.random.default_rng(1))
    ops = list(arch)
    assert len(ops) == len(space.positions)
    assert arch.flops == sum(op.flops for op in ops)
    assert arch.params == sum(op.params for op in ops)
    assert arch.memory_bytes() == 4 * max(op.peak_elements for op in ops)
    assert arch.memory_bytes(1) * 4 == arch.memory_bytes()


def test_fixed_positions_and_choices_interleave() -> None:
    arch = MOBILE.architecture([0, 1, 2, 3, 4, 5, 6, 0])
    picked = [op for p, op in zip(MOBILE.positions, arch.ops, strict=True) if p.is_choice]
    assert picked == [c.ops[i] for c, i in zip(MOBILE.choices, arch.choice, strict=True)]
    assert [op for p, op in zip(MOBILE.positions, arch.ops, strict=True) if not p.is_choice] == list(MOBILE.fixed_ops)
    assert arch.depth == 7
    assert arch.distance(MOBILE.architecture([0, 1, 2, 3, 4, 5, 5, 1])) == 2


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(sorted(SPACES)), seed=st.integers(0, 1000))
def test_nothing_costs_more_than_the_largest_or_less_than_the_smallest(name: str, seed: int) -> None:
    space = build(SpaceConfig(name, 32, classes=10, depth=2))
    arch = space.sample(np.random.default_rng(seed))
    assert space.smallest().flops <= arch.flops <= space.largest().flops
    assert all(0 <= i < n for i, n in zip(arch.choice, space.sizes, strict=True))


def test_sampling_is_uniform_and_seeded() -> None:
    space = build(SpaceConfig("fbnet", 32, depth=1))
    rng = np.random.default_rng(0)
    draws = np.array([space.sample(rng).choice for _ in range(1800)])
    counts = np.stack([np.bincount(column, minlength=9) for column in draws.T])
    assert (np.abs(counts - 200) < 5 * np.sqrt(200)).all()
    assert space.sample(np.random.default_rng(3)) == space.sample(np.random.default_rng(3))


def test_architectures_are_values() -> None:
    again = build(MOBILE.config).smallest()
    assert again == MOBILE.smallest()
    assert len({again, MOBILE.smallest(), MOBILE.largest()}) == 2


@pytest.mark.parametrize("choice", [[], [0] * 7, [0] * 9, [7] + [0] * 7, [0] * 7 + [-1]], ids=str)
def test_wrong_length_or_index_is_refused(choice: list[int]) -> None:
    with pytest.raises(InputError, match=r"choices; got|choice \d of mobile has ops 0\.\.6; got"):
        MOBILE.architecture(choice)


def test_positions_that_do_not_fit_are_refused() -> None:
    stem = Position("stem", (Op("conv", 3, 8, 8, 8, stride=2),))
    for bad in (Op("conv", 8, 8, 8, 8), Op("conv", 16, 8, 4, 4)):
        with pytest.raises(InputError, match=r"stem gives .* but next takes"):
            Space(MOBILE.config, (stem, Position("next", (bad,))))
    torn = Position("torn", (Op("conv", 3, 8, 8, 8), Op("conv", 3, 16, 8, 8)))
    with pytest.raises(InputError, match="torn gives"):
        Space(MOBILE.config, (torn, Position("next", (Op("conv", 8, 8, 8, 8),))))


def test_tied_positions_must_have_the_same_candidates() -> None:
    first, second = Op("conv", 3, 3, 8, 8), Op("skip", 3, 3, 8, 8)
    with pytest.raises(InputError, match="tied as t must have the same candidates"):
        Space(MOBILE.config, (Position("a", (first, second), tie="t"), Position("b", (second, first), tie="t")))


@settings(max_examples=30, deadline=None)
@given(name=st.sampled_from(sorted(SPACES)), seed=st.integers(0, 1000), mult=st.sampled_from([0.5, 1.0, 1.25]),
       depth=st.sampled_from([None, 1, 3]))
def test_json_rebuilds_the_same_architecture(name: str, seed: int, mult: float, depth: int | None) -> None:
    space = build(SpaceConfig(name, 40, 1, 7, mult, depth))
    arch = space.sample(np.random.default_rng(seed))
    again = Architecture.from_json(json.loads(json.dumps(arch.to_json())))
    assert again == arch
    assert again.ops == arch.ops
    assert again.space.fingerprint == space.fingerprint


def tampered(**changes: Any) -> dict[str, Any]:
    data = copy.deepcopy(MOBILE.smallest().to_json())
    for key, value in changes.items():
        where = data
        *parents, last = key.split("__")
        for parent in parents:
            where = where[parent]
        where[last] = value
    return data


SIGNATURES = [op.signature for op in MOBILE.largest().ops]


@pytest.mark.parametrize(
    "data",
    [
        None, [], 3, {}, tampered(hwnas_architecture=2), tampered(ops=SIGNATURES), tampered(ops=[]), tampered(ops=None),
        tampered(choice=[0] * 8), tampered(choice=[0]), tampered(choice=[99] * 8), tampered(choice=None),
        tampered(choice=["a"] * 8), tampered(choice=[float("inf")] * 8), tampered(space=None), tampered(space={}),
        tampered(space__imgsz=48), tampered(space__imgsz="big"), tampered(space__colour="red"),
        tampered(space__width_mult=0.5), tampered(space__depth=1),
    ],
    ids=lambda d: json.dumps(d)[:60],
)
def test_tampered_json_is_refused(data: Any) -> None:
    with pytest.raises(InputError):
        Architecture.from_json(data)


@pytest.mark.parametrize(
    "data", [tampered(space__name="moble"), tampered(space__imgsz=0), tampered(space__depth=0)],
    ids=["unknown space", "imgsz 0", "depth 0"],
)
def test_a_space_that_cannot_be_built_is_an_input_error(data: Any) -> None:
    """`from_json` promises InputError for an unknown space."""
    with pytest.raises(HwnasError) as caught:
        Architecture.from_json(data)
    assert isinstance(caught.value, InputError)


def test_a_missing_field_is_refused() -> None:
    for key in ("space", "choice", "ops"):
        data = tampered()
        del data[key]
        with pytest.raises(InputError):
            Architecture.from_json(data)
