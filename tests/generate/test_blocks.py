"""Series and parallel parts against brute force: sums, and the largest branch of a cost that overlaps."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from hwnas.errors import BudgetInfeasible, UnknownName, UsageError
from hwnas.generate import front, solve
from hwnas.generate.blocks import Block, Layer, Parallel, Series, front_blocks, solve_blocks

EXHAUSTIVE = [pytest.mark.slow, pytest.mark.exhaustive, pytest.mark.timeout(1200)]

Ranked = list[tuple[float, tuple[float, ...], tuple[int, ...]]]
Tried = Callable[..., Any]


def layers_of(block: Block) -> Iterator[Layer]:
    if isinstance(block, Layer):
        yield block
    else:
        for part in block.parts:
            yield from layers_of(part)


def total(block: Block, name: str, picks: Iterator[int], overlapped: bool) -> float:
    if isinstance(block, Layer):
        return float(np.asarray(block.costs[name])[next(picks)])
    parts = [total(part, name, picks, overlapped) for part in block.parts]
    return max(parts) if overlapped and isinstance(block, Parallel) else sum(parts)


def brute(block: Block, names: list[str], overlapped: set[str]) -> Ranked:
    layers, found = list(layers_of(block)), []
    for choice in itertools.product(*(range(len(np.asarray(layer.utilities))) for layer in layers)):
        utility = sum(float(np.asarray(layer.utilities)[k]) for layer, k in zip(layers, choice, strict=True))
        costs = tuple(total(block, n, iter(choice), n in overlapped) for n in names)
        if math.isfinite(utility):
            found.append((utility, costs, choice))
    return sorted(found, key=lambda r: (-r[0], r[1], r[2]))


def random_block(rng: np.random.Generator, names: list[str], room: list[int], depth: int = 0) -> Block:
    """A tree of at most `room[0]` layers, three levels deep, with small numbers and ties."""
    if depth == 3 or rng.random() < 0.3 or room[0] <= 1:
        room[0] -= 1
        n = int(rng.integers(1, 4))
        utility = rng.integers(-3, 4, n) / 4
        utility[np.flatnonzero(rng.random(n) < 0.1)[: n - 1]] = -np.inf
        return Layer(utility, {name: rng.integers(0, 7, n) for name in names})
    kind = Series if rng.random() < 0.5 else Parallel
    parts: list[Block] = []
    for _ in range(rng.integers(1, 4)):
        if room[0] > 0:
            parts.append(random_block(rng, names, room, depth + 1))
    return kind(parts)


@pytest.mark.parametrize("count", [300, pytest.param(5000, marks=EXHAUSTIVE)])
def test_equals_brute_force(count: int, tried: Tried) -> None:
    rng = np.random.default_rng(8)
    empty = 0
    for i in range(count):
        names = ["lat", "flops", "lat2"][: rng.integers(1, 4)]
        block = random_block(rng, names, [6])
        overlapped = {n for n in names if n != "flops" and rng.random() < 0.7}
        every = brute(block, names, overlapped)
        budgets = {n: float(every[int(rng.integers(0, len(every)))][1][j]) for j, n in enumerate(names)}
        within = [r for r in every if all(c <= budgets[n] for n, c in zip(names, r[1], strict=True))]
        got = tried(solve_blocks, block, budgets, overlapped=overlapped)
        if isinstance(got, BudgetInfeasible):
            empty += 1
            assert within == [], i
            assert got.least == {n: min(r[1][j] for r in every) for j, n in enumerate(names)}
            continue
        best = {r[2] for r in within if r[:2] == within[0][:2]}
        assert (got.utility, tuple(got.costs.values())) == within[0][:2], i
        assert got.choice in (best if overlapped else {min(best)}), i
        assert got.status == "OPTIMAL"
    assert empty < count / 2


@pytest.mark.parametrize("count", [200, pytest.param(5000, marks=EXHAUSTIVE)])
def test_front_equals_brute_force(count: int) -> None:
    rng = np.random.default_rng(9)
    for i in range(count):
        block, overlapped = random_block(rng, ["lat"], [6]), bool(rng.random() < 0.7)
        want: list[tuple[float, float, tuple[int, ...]]] = []
        for utility, (cost,), choice in sorted(brute(block, ["lat"], {"lat"} if overlapped else set()),
                                               key=lambda r: (r[1], -r[0], r[2])):
            if not want or utility > want[-1][1]:
                want.append((cost, utility, choice))
        got = front_blocks(block, "lat", overlapped=overlapped)
        assert [(p.cost, p.utility) for p in got] == [w[:2] for w in want], i
        for point, (cost, utility, choice) in zip(got, want, strict=True):
            assert total(block, "lat", iter(point.choice), overlapped) == cost
            assert overlapped or point.choice == choice
            assert utility == point.utility


def wide(seed: int, m: int) -> tuple[Block, dict[str, float]]:
    rng = np.random.default_rng(seed)
    names = [f"c{i}" for i in range(m)]

    def layer() -> Layer:
        return Layer(rng.random(6).cumsum(), {n: rng.integers(1, 10**5, 6).cumsum() for n in names})

    parts = [Series([layer(), Parallel([Series([layer(), layer()]), layer()])]) for _ in range(5)]
    return Series(parts), dict.fromkeys(names, 2.5e6)


def test_series_alone_is_solve() -> None:
    rng = np.random.default_rng(1)
    utilities, costs = rng.normal(size=(7, 4)), rng.integers(0, 99, (7, 4))
    block = Series([Layer(u, {"cost": c}) for u, c in zip(utilities, costs, strict=True)])
    a, b = solve(list(utilities), list(costs), 200), solve_blocks(block, {"cost": 200})
    assert (a.choice, a.costs) == (b.choice, b.costs)
    assert [p.choice for p in front(list(utilities), list(costs))] == [p.choice for p in front_blocks(block, "cost")]


def test_overlap_buys_utility_and_budgets_are_kept() -> None:
    block, budgets = wide(0, 2)
    one = solve_blocks(block, budgets)
    both = solve_blocks(block, budgets, overlapped={"c0", "c1"})
    assert both.utility > one.utility
    before = -math.inf
    for share in (0.4, 0.7, 1.0):
        answer = solve_blocks(block, {n: share * b for n, b in budgets.items()}, overlapped={"c0"})
        assert all(answer.costs[n] <= share * b for n, b in budgets.items())
        assert answer.utility >= before
        before = answer.utility


def test_limits_on_work_are_told() -> None:
    block, budgets = wide(1, 3)
    exact = solve_blocks(block, budgets, overlapped={"c0"})
    for options in ({"max_labels": 3}, {"max_seconds": 0.0}):
        short = solve_blocks(block, budgets, overlapped={"c0"}, **options)
        assert short.utility <= exact.utility <= short.utility + short.gap + 1e-9
        assert (short.gap == 0.0) == (short.status == "OPTIMAL")


def test_quantum_and_fixed_part() -> None:
    block = Parallel([Layer([0, 1], {"ms": [0.1, 0.25]}), Layer([0, 1], {"ms": [0.2, 0.4]})])
    answer = solve_blocks(block, {"ms": 0.75}, overlapped={"ms"}, fixed={"ms": 0.5}, quantum={"ms": 0.01})
    assert (answer.choice, answer.costs) == ((1, 0), {"ms": 0.75})
    points = front_blocks(block, "ms", overlapped=True, fixed=0.5, quantum=0.01)
    assert points.costs.tolist() == [0.7, 0.75, 0.9]


@pytest.mark.parametrize(
    "block, options, says",
    [
        (Series([]), {}, "at least one part"),
        (Layer([0, 1]), {}, "no cost"),
        (Layer([0, 1], {"c": [-1, 2]}), {"overlapped": {"c"}}, "must not be negative"),
        (Layer([0, 1], {"c": [1, 2]}), {"budgets": {}}, "budgets must hold"),
        (Layer([0, 1], {"c": [1, 2]}), {"budgets": {"c": math.nan}}, "budgets must hold"),
    ],
)
def test_bad_input(block: Block, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        solve_blocks(block, **{"budgets": {"c": 3}, **options})


def test_unknown_overlap() -> None:
    with pytest.raises(UnknownName, match="unknown cost 'd'"):
        solve_blocks(Layer([0, 1], {"c": [1, 2]}), {"c": 3}, overlapped={"d"})
