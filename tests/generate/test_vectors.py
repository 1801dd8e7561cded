"""Known answers: a small front by hand, and NAS-Bench-Macro (CVPR 2021) with its real integer costs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hwnas.errors import BudgetInfeasible
from hwnas.generate import front, solve

DATA = Path(__file__).parents[3] / "shared" / "data" / "nasbench_macro" / "nasbench_macro.parquet"

COSTS = [[0, 3, 5], [1, 2, 6], [2, 2, 4]]
UTILITIES = [[0, 4, 5], [1, 3, 6], [1, 2, 5]]
FRONT = "3,3,001 4,5,011 5,6,002 6,8,012 7,9,111 8,10,102 9,12,112 11,13,212 13,15,122 15,16,222"

MACRO_FIXED = 7_713_280
MACRO_COSTS = [
    [0, 4415488, 10141696],
    [0, 6733824, 15040512],
    [0, 4304896, 9527296],
    [0, 6512640, 13811712],
    [0, 6512640, 13811712],
    [0, 4249600, 9220096],
    [0, 6402048, 13197312],
    [0, 6402048, 13197312],
]
MACRO = {  # budget in M: choice, its accuracy, the regret against the best architecture within the budget
    20: ("10100000", 75.217, 6.153),
    40: ("21110100", 91.053, 0.453),
    60: ("21111111", 92.123, 0.443),
    80: ("22211211", 92.780, 0.300),
    100: ("22212222", 92.933, 0.193),
}


def word(choice: tuple[int, ...]) -> str:
    return "".join(map(str, choice))


@pytest.fixture(scope="module")
def macro() -> dict[str, tuple[float, int]]:
    if not DATA.exists():
        pytest.skip("NAS-Bench-Macro is not beside the repository")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(DATA, columns=["arch", "mean_acc", "flops"]).to_pydict()
    return {arch: (acc, n) for arch, acc, n in zip(table["arch"], table["mean_acc"], table["flops"], strict=True)}


@pytest.fixture(scope="module")
def effects(macro: dict[str, tuple[float, int]]) -> list[np.ndarray]:
    """Least-squares main effects of the accuracy, one column per (layer, operation)."""
    digits = np.array([[int(d) for d in arch] for arch in macro])
    design = (digits[:, :, None] == np.arange(3)).reshape(len(digits), -1).astype(float)
    accuracy = np.array([acc for acc, _ in macro.values()])
    return list(np.linalg.lstsq(design, accuracy, rcond=None)[0].reshape(8, 3))


def test_small_front() -> None:
    points = front(UTILITIES, COSTS)
    assert " ".join(f"{p.cost:.0f},{p.utility:.0f},{word(p.choice)}" for p in points) == FRONT


def test_small_front_below_the_least() -> None:
    with pytest.raises(BudgetInfeasible, match=r"least achievable 3, budget 2, short by 1") as caught:
        solve(UTILITIES, COSTS, 2)
    assert caught.value.least == {"cost": 3.0}


def test_macro_flops_are_the_ones_of_the_data(macro: dict[str, tuple[float, int]]) -> None:
    for arch, (_, flops) in macro.items():
        assert MACRO_FIXED + sum(MACRO_COSTS[layer][int(d)] for layer, d in enumerate(arch)) == flops


def test_macro_front(macro: dict[str, tuple[float, int]], effects: list[np.ndarray]) -> None:
    points = front(effects, MACRO_COSTS, fixed=MACRO_FIXED)
    assert len(points) == 56
    for budget, (choice, accuracy, _) in MACRO.items():
        point = points.query(budget * 1_000_000)
        assert word(point.choice) == choice
        assert macro[choice][0] == pytest.approx(accuracy, abs=5e-4)
        assert point.cost == macro[choice][1] <= budget * 1_000_000


@pytest.mark.parametrize("budget", MACRO)
def test_macro_rerank(budget: int, macro: dict[str, tuple[float, int]], effects: list[np.ndarray]) -> None:
    answer = solve(effects, MACRO_COSTS, budget * 1_000_000, fixed=MACRO_FIXED, top=32)
    choices = [answer.choice, *(c.choice for c in answer.others)]
    assert word(answer.choice) == MACRO[budget][0]
    within = [acc for acc, flops in macro.values() if flops <= budget * 1_000_000]
    assert len(set(choices)) == len(choices) == min(32, len(within))
    best = max(within)
    regret = best - max(macro[word(choice)][0] for choice in choices)
    assert -1e-9 <= regret <= MACRO[budget][2] + 5e-4
