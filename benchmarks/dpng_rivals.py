"""What benchmarks/dpng.py compares with: each takes an instance and budgets and gives the operation per layer.

    HiGHS         scipy.optimize.milp with mip_rel_gap=0
    CP-SAT        OR-Tools, one worker, utilities as whole multiples of 1e-9
    ModelOpt LPS  modelopt.torch.opt.searcher.LPS as it is: PuLP writes the problem to a file, CBC solves it
    evolution     evolutionary search as Once-for-all does it (population 100, 500 generations), restated with arrays
    recursion     the generator of the paper's code, restated with arrays: least cost for every sum of floor(100 theta)
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping

import numpy as np
from dpng_instances import Instance, Rows

Budgets = Mapping[str, int]
Choice = list[int]
CP_SCALE, LIMIT_S = 1e9, 90.0


def highs(instance: Instance, budgets: Budgets) -> Choice | None:
    """The optimum at a gap of zero, in floats."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_matrix

    sizes = [len(row) for row in instance.utilities]
    n, layer = sum(sizes), np.repeat(np.arange(len(sizes)), sizes)
    one = csr_matrix((np.ones(n), (layer, np.arange(n))))
    rows = [np.concatenate(rows) for rows in instance.costs.values()]
    scale = [max(float(row.max()), 1.0) for row in rows]
    knapsacks = np.array([row / s for row, s in zip(rows, scale, strict=True)])
    room = np.array([budgets[name] / s for name, s in zip(instance.costs, scale, strict=True)])
    found = milp(-np.concatenate(instance.utilities), integrality=np.ones(n), bounds=Bounds(0, 1),
                 constraints=[LinearConstraint(one, 1, 1), LinearConstraint(knapsacks, -np.inf, room)],
                 options={"mip_rel_gap": 0.0, "time_limit": LIMIT_S})
    return None if found.x is None else _argmax(found.x, sizes)


def cp_sat(instance: Instance, budgets: Budgets) -> Choice | None:
    """The optimum of the utilities rounded to 1e-9."""
    from ortools.sat.python import cp_model

    model = cp_model.CpModel()
    taken = [[model.new_bool_var("") for _ in row] for row in instance.utilities]
    for row in taken:
        model.add_exactly_one(row)
    flat = [variable for row in taken for variable in row]
    for name, rows in instance.costs.items():
        model.add(cp_model.LinearExpr.weighted_sum(flat, np.concatenate(rows).tolist()) <= budgets[name])
    worth = np.rint(np.concatenate(instance.utilities) * CP_SCALE).astype(np.int64).tolist()
    model.maximize(cp_model.LinearExpr.weighted_sum(flat, worth))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers, solver.parameters.max_time_in_seconds = 1, LIMIT_S
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    return [int(np.argmax([solver.value(variable) for variable in row])) for row in taken]


def modelopt(instance: Instance, budgets: Budgets) -> Choice | None:
    """What NVIDIA's solver for choosing a format or a width per layer returns."""
    from modelopt.torch.opt.searcher import LPS

    solver = LPS("dpng", {name: float(bound) for name, bound in budgets.items()},
                 {name: [row.tolist() for row in rows] for name, rows in instance.costs.items()},
                 [row.tolist() for row in instance.utilities], objective_type="maximize")
    choice, status = solver()
    return [int(k) for k in choice] if status == "Optimal" else None


def evolution(instance: Instance, budgets: Budgets) -> Choice | None:
    """Every generation the best quarter stays a parent of 50 mutants (each layer redrawn with probability 0.1) and 50
    crossings; children over a budget are redrawn. Where random choices are all over the budget, first ones are mixed
    with the cheapest choice."""
    return _Evolution(instance, budgets).run()


class _Evolution:
    POPULATION, GENERATIONS, PARENTS, MUTANTS, MUTATION, TRIES = 100, 500, 25, 50, 0.1, 50

    def __init__(self, instance: Instance, budgets: Budgets) -> None:
        self.rng = np.random.default_rng(0)
        self.sizes = np.array([len(row) for row in instance.utilities])
        self.worth = _padded(instance.utilities, -np.inf)
        self.costs = [_padded(rows, 0) for rows in instance.costs.values()]
        self.rooms = list(budgets.values())
        self.layers = np.arange(len(self.sizes))
        scaled = sum(cost / max(cost.max(), 1) for cost in self.costs)
        self.cheapest = np.where(np.isneginf(self.worth), np.inf, scaled).argmin(axis=1)

    def run(self) -> Choice | None:
        pool = self._first()
        if pool is None:
            return None
        for _ in range(self.GENERATIONS):
            parents = pool[np.argsort(-self._fitness(pool))[: self.PARENTS]]
            children = [self._within(self._mutants, parents, self.MUTANTS),
                        self._within(self._crossed, parents, self.POPULATION - self.MUTANTS)]
            pool = np.concatenate([parents, *children])
        return [int(k) for k in pool[np.argmax(self._fitness(pool))]]

    def _fitness(self, pool: np.ndarray) -> np.ndarray:
        return self.worth[self.layers, pool].sum(axis=1)

    def _fits(self, pool: np.ndarray) -> np.ndarray:
        return np.all([cost[self.layers, pool].sum(axis=1) <= room
                       for cost, room in zip(self.costs, self.rooms, strict=True)], axis=0)

    def _draw(self, count: int) -> np.ndarray:
        return (self.rng.random((count, len(self.sizes))) * self.sizes).astype(np.int64)

    def _first(self) -> np.ndarray | None:
        found = np.zeros((0, len(self.sizes)), np.int64)
        for share in np.linspace(0, 1, 21):
            drawn = self._draw(1000)
            drawn = np.where(self.rng.random(drawn.shape) < share, self.cheapest, drawn)
            found = np.concatenate([found, drawn[self._fits(drawn)]])[: self.POPULATION]
            if len(found) == self.POPULATION:
                break
        return found if len(found) else None

    def _within(self, make: Callable[[np.ndarray, int], np.ndarray], parents: np.ndarray, count: int) -> np.ndarray:
        children = parents[self.rng.integers(0, len(parents), count)]
        open_ = np.arange(count)
        for _ in range(self.TRIES):
            drawn = make(parents, len(open_))
            good = self._fits(drawn)
            children[open_[good]] = drawn[good]
            open_ = open_[~good]
            if not len(open_):
                break
        return children

    def _mutants(self, parents: np.ndarray, count: int) -> np.ndarray:
        chosen = parents[self.rng.integers(0, len(parents), count)]
        return np.where(self.rng.random(chosen.shape) < self.MUTATION, self._draw(count), chosen)

    def _crossed(self, parents: np.ndarray, count: int) -> np.ndarray:
        one, other = (parents[self.rng.integers(0, len(parents), count)] for _ in range(2))
        return np.where(self.rng.random(one.shape) < 0.5, one, other)


def recursion(instance: Instance, budgets: Budgets) -> Choice | None:
    """Largest sum of floor(100 theta) within one budget; its last row answers every budget."""
    (name, rows), = instance.costs.items()
    weights = [np.floor(100 * np.exp(row)).astype(np.int64) for row in instance.utilities]
    top = sum(int(row.max()) for row in weights)
    least, back = np.full(top + 1, np.inf), []
    least[0] = 0
    for weight, cost in zip(weights, rows, strict=True):
        best, taken = np.full(top + 1, np.inf), np.zeros(top + 1, np.int64)
        for k in range(len(weight)):
            moved = np.concatenate([np.full(weight[k], np.inf), least[: top + 1 - weight[k]]]) + cost[k]
            better = moved < best
            best[better], taken[better] = moved[better], k
        least, back = best, [*back, taken]
    fits = np.flatnonzero(least <= budgets[name])
    if not len(fits):
        return None
    at, choice = int(fits[-1]), []
    for weight, taken in zip(reversed(weights), reversed(back), strict=True):
        choice.append(int(taken[at]))
        at -= int(weight[choice[-1]])
    return choice[::-1]


def _padded(rows: Rows, fill: float) -> np.ndarray:
    out = np.full((len(rows), max(map(len, rows))), fill, dtype=np.result_type(*rows, type(fill)))
    for layer, row in enumerate(rows):
        out[layer, : len(row)] = row
    return out


def _argmax(flat: np.ndarray, sizes: list[int]) -> Choice:
    return [int(np.argmax(part)) for part in np.split(flat, np.cumsum(sizes)[:-1])]


RIVALS: dict[str, Callable[[Instance, Budgets], Choice | None]] = {
    "HiGHS": highs, "CP-SAT": cp_sat, "ModelOpt LPS": modelopt, "evolution": evolution, "recursion": recursion,
}
EXACT = ("HiGHS", "CP-SAT", "ModelOpt LPS")
NEEDS = {"HiGHS": "scipy", "CP-SAT": "ortools", "ModelOpt LPS": "modelopt"}


def present() -> list[str]:
    """Rivals whose package is here."""
    return [name for name in RIVALS if name not in NEEDS or importlib.util.find_spec(NEEDS[name]) is not None]
