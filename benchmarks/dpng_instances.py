"""The instances of benchmarks/dpng.py: what is to be chosen, at what cost, from a seed.

Utilities are log-probabilities, so that every method can be asked for the same thing, the recursion that adds up
probabilities included. Costs are whole numbers (nanoseconds, multiply-accumulates).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from hwnas.errors import HwnasError
from hwnas.latency import LatencyModel, Table
from hwnas.space import SpaceConfig, build

Rows = list[np.ndarray]
ROOT = Path(__file__).resolve().parents[1]
SPACES = (SpaceConfig("proxyless", 224), SpaceConfig("ofa", 224), SpaceConfig("mobile", 128, classes=10),
          SpaceConfig("mobile", 32, classes=10), SpaceConfig("mobile", 16, 1, 10))


@dataclass(frozen=True)
class Instance:
    """Utilities (L rows of K_l) and one or more named costs of the same shape."""

    utilities: Rows
    costs: dict[str, Rows]

    def budgets(self, share: float) -> dict[str, int]:
        """Between the cheapest total and that of the choice of highest utility, per cost."""
        best = [int(np.argmax(row)) for row in self.utilities]
        found = {}
        for name, rows in self.costs.items():
            low = sum(int(row.min()) for row in rows)
            high = sum(int(row[k]) for row, k in zip(rows, best, strict=True))
            found[name] = low + int(share * (high - low))
        return found

    def totals(self, choice: list[int]) -> dict[str, int]:
        """Exact total of every cost."""
        return {name: sum(int(row[k]) for row, k in zip(rows, choice, strict=True))
                for name, rows in self.costs.items()}

    def utility(self, choice: list[int]) -> float:
        """Sum of utilities, layer by layer."""
        return float(sum(float(row[k]) for row, k in zip(self.utilities, choice, strict=True)))


def log_softmax(row: np.ndarray) -> np.ndarray:
    """Log-probabilities of a row of scores."""
    shifted = row - row.max()
    return shifted - np.log(np.exp(shifted).sum())


def random(layers: int, width: int, seed: int, costs: int = 1) -> Instance:
    """Independent: normal scores, costs even between 0.01 and 1 ms in ns."""
    rng = np.random.default_rng([layers, width, costs, seed])
    utilities = [log_softmax(rng.normal(size=width)) for _ in range(layers)]
    names = ("latency", "flops", "params")[:costs]
    return Instance(utilities, {name: [rng.integers(10_000, 1_000_000, width) for _ in range(layers)]
                                for name in names})


def correlated(layers: int, width: int, seed: int) -> Instance:
    """As when every op of a trained network is replaced on its own: what costs more is nearly always better.

    Scores rise with the root of the cost, layers differ in weight by a lognormal factor, 5 % noise.
    """
    rng = np.random.default_rng([layers, width, 99, seed])
    utilities, rows = [], []
    for _ in range(layers):
        weight = rng.lognormal(0, 1)
        cost = np.exp(rng.uniform(np.log(2e4), np.log(1e6), width))
        utilities.append(log_softmax(weight * (np.sqrt(cost / 1e6) + rng.normal(0, 0.05, width))))
        rows.append(cost.astype(np.int64))
    return Instance(utilities, {"latency": rows})


def equal_ratios(layers: int, width: int, seed: int) -> Instance:
    """Utility exactly proportional to cost: no bound tells two choices of a total apart."""
    rng = np.random.default_rng([layers, width, 7, seed])
    rows = [np.sort(rng.integers(1, 1000, width)) for _ in range(layers)]
    return Instance([row / 1024 for row in rows], {"cost": rows})


def ties(layers: int, width: int, seed: int) -> Instance:
    """Four different utilities and ten different costs in all."""
    rng = np.random.default_rng([layers, width, 8, seed])
    return Instance([rng.integers(0, 4, width) / 4 for _ in range(layers)],
                    {"cost": [rng.integers(1, 11, width) for _ in range(layers)]})


def zero_costs(layers: int, width: int, seed: int) -> Instance:
    """Half of all operations are free."""
    whole = random(layers, width, seed)
    rng = np.random.default_rng([layers, width, 9, seed])
    return Instance(whole.utilities, {"latency": [row * rng.integers(0, 2, width) for row in whole.costs["latency"]]})


def huge(layers: int, width: int, seed: int) -> Instance:
    """Costs of about 10^15, where a relative tolerance of 10^-6 is a thousand million."""
    rng = np.random.default_rng([layers, width, 10, seed])
    return Instance([log_softmax(rng.normal(size=width)) for _ in range(layers)],
                    {"cost": [rng.integers(10**13, 10**15, width) for _ in range(layers)]})


def equal_layers(layers: int, width: int, seed: int) -> Instance:
    """Every layer the same, as where a network repeats one block: scores normal, costs even."""
    rng = np.random.default_rng([layers, width, 12, seed])
    row, cost = log_softmax(rng.normal(size=width)), rng.integers(10_000, 1_000_000, width)
    return Instance([row] * layers, {"latency": [cost] * layers})


# --- hard ones: utility follows cost, as where a table's utility is FLOPs or parameters -------------------------------


def _costs(layers: int, width: int, most: int, rng: np.random.Generator) -> Rows:
    return [rng.integers(1, most, width) for _ in range(layers)]


def _proportional(rows: Rows, rng: np.random.Generator, noise: float) -> Rows:
    return [row * 0.37e-6 * (1 + noise * rng.normal(size=len(row))) for row in rows]


def _steps(layers: int, width: int, most: int, rng: np.random.Generator) -> Rows:
    """Operations as sums of steps of random size (D. Pisinger, European J. of Operational Research 83(2), 1995)."""
    return [np.sort(rng.integers(1, max(most // width, 2), width)) for _ in range(layers)]


def hard(kind: str, layers: int, width: int, most: int, seed: int) -> Instance:
    """One of `HARD`: costs up to about `most`."""
    rng = np.random.default_rng([layers, width, most, list(HARD).index(kind), seed])
    count = 1 if kind.startswith("equal layers") else layers
    utilities, rows = HARD[kind](count, width, most, rng)
    return Instance(utilities * (layers // count), {"cost": rows * (layers // count)})


def _same(layers: int, width: int, most: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    rows = _costs(layers, width, most, rng)
    return [row.astype(float) for row in rows], rows


def _nearly(noise: float) -> Callable[..., tuple[Rows, Rows]]:
    def make(layers: int, width: int, most: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
        rows = _costs(layers, width, most, rng)
        return _proportional(rows, rng, noise), rows

    return make


def _weak(layers: int, width: int, most: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    rows = _costs(layers, width, most, rng)
    return [row + rng.uniform(-most / 100, most / 100, width) for row in rows], rows


def _strong(layers: int, width: int, most: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    steps = _steps(layers, width, most, rng)
    return [np.cumsum(row + max(most // width // 10, 1)).astype(float) for row in steps], list(map(np.cumsum, steps))


def _inverse(layers: int, width: int, most: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
    utilities, rows = _strong(layers, width, most, rng)
    return [row.astype(float) for row in rows], [row.astype(np.int64) for row in utilities]


def _or_nothing(sign: int) -> Callable[..., tuple[Rows, Rows]]:
    """An operation that costs nothing, and others worth their cost and a tenth of the range more or less."""
    def make(layers: int, width: int, most: int, rng: np.random.Generator) -> tuple[Rows, Rows]:
        rows = [np.r_[0, row[1:] + (most // 10 if sign < 0 else 0)] for row in _costs(layers, width, most, rng)]
        return [np.where(row > 0, row + sign * (most // 10), 0).astype(float) for row in rows], rows

    return make


HARD: dict[str, Callable[..., tuple[Rows, Rows]]] = {
    "subset sum": _same,
    "proportional": _nearly(0.0), "proportional but for 1e-6": _nearly(1e-6),
    "proportional but for 1e-3": _nearly(1e-3),
    "weakly correlated": _weak, "strongly correlated": _strong, "inverse strongly correlated": _inverse,
    "strongly correlated or nothing": _or_nothing(1), "inverse strongly correlated or nothing": _or_nothing(-1),
    "equal layers, proportional": _nearly(0.0), "equal layers, but for 1e-3": _nearly(1e-3),
    "equal layers, strongly correlated": _strong,
}
HARD_SIZES = ((21, 9, 10**3), (30, 12, 10**6), (40, 12, 10**4), (60, 20, 10**3), (60, 20, 10**6))


def measured(space: str, seed: int) -> Instance:
    """Ops of a space with their measured latency; probabilities drawn evenly from the simplex."""
    rng = np.random.default_rng([11, seed])
    rows = dict(tables())[space]
    return Instance([np.log(rng.dirichlet(np.ones(len(row)))) for row in rows], {"latency": rows})


@cache
def tables() -> tuple[tuple[str, Rows], ...]:
    """(space, costs in ns) of every space that a table here holds whole: those that ship, then the user's own."""
    return tuple(_tables())


def _tables() -> Iterator[tuple[str, Rows]]:
    files = [*sorted((ROOT / "latency_tables").rglob("*fp32*.jsonl")),
             *sorted((Path.home() / ".cache/hwnas/latency_tables").rglob("*fp32*.jsonl"))]
    for config in SPACES:
        space = build(config)
        for path in files:
            try:
                model = LatencyModel.from_table(Table.read(path), space)
            except HwnasError:
                continue
            rows = model.costs_ns(space)[1]
            yield f"{config.name} {config.imgsz} px, {path.parent.name} {path.stem} ({model.source})", rows
            break


@dataclass(frozen=True)
class Family:
    """Instances of one kind.

    Args:
        make: seed -> instance.
        seeds: how many; shares: where between cheapest and best the budget lies.
        all_budgets: whether the whole front is asked for.
        slow: rivals that get one budget of one instance only.
        without: rivals that cannot take part.
    """

    make: Callable[[int], Instance]
    seeds: int
    shares: tuple[float, ...] = (0.25, 0.5, 0.75)
    all_budgets: bool = True
    slow: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


def families() -> dict[str, Family]:
    """Every family by name."""
    no_law = ("recursion",)  # it needs probabilities and one budget
    found = {
        "random 21x9": Family(partial(random, 21, 9), 10),
        "random 60x60": Family(partial(random, 60, 60), 5, slow=("CP-SAT", "ModelOpt LPS")),
        "random 200x200": Family(partial(random, 200, 200), 3, (0.5,), slow=("CP-SAT", "ModelOpt LPS", "evolution")),
        "correlated 21x9": Family(partial(correlated, 21, 9), 5),
        "correlated 40x100": Family(partial(correlated, 40, 100), 2, slow=("CP-SAT", "ModelOpt LPS")),
        "equal ratios 21x9": Family(partial(equal_ratios, 21, 9), 2, slow=("CP-SAT",), without=no_law),
        "ties 21x9": Family(partial(ties, 21, 9), 3, without=no_law),
        "equal layers 21x9": Family(partial(equal_layers, 21, 9), 5),
        "zero costs 21x9": Family(partial(zero_costs, 21, 9), 3),
        "huge integers 21x9": Family(partial(huge, 21, 9), 3),
        "two budgets 21x9": Family(partial(random, 21, 9, costs=2), 10, (0.5, 0.75), False, without=no_law),
        "three budgets 21x9": Family(partial(random, 21, 9, costs=3), 5, (0.5, 0.75), False, without=no_law),
    }
    for name, _ in tables():
        found[f"measured: {name}"] = Family(partial(measured, name), 5)
    return found
