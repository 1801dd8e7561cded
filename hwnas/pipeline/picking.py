"""From a distribution and costs to architectures within budgets. No torch; milliseconds.

Costs are integers: latency in nanoseconds, FLOPs, parameters, and bytes of activations (a maximum over the ops, the
others are sums). Utilities are the effects of the distribution, so that a sum of them reads as predicted accuracy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwnas.errors import BudgetInfeasible, InputError, RunError
from hwnas.files import read_json
from hwnas.generate import Front, front, solve
from hwnas.latency import LatencyModel
from hwnas.pipeline.budget import Budget, parse_all, show
from hwnas.pipeline.run import RunFolder
from hwnas.search.distribution import Distribution
from hwnas.space import Architecture, Op, Space, SpaceConfig, build

BYTES = {"fp32": 4}


@dataclass(frozen=True)
class Answer:
    """An architecture with what it should reach and cost.

    Args:
        architecture: within every budget.
        predicted_accuracy: percent on the held-out part of the training set, with shared weights.
        costs: name -> total, in the units of `hwnas.pipeline.budget`.
    """

    architecture: Architecture
    predicted_accuracy: float
    costs: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return {
            "architecture": self.architecture.to_json(),
            "predicted_accuracy": self.predicted_accuracy,
            "costs": self.costs,
        }


@dataclass(frozen=True)
class Picker:
    """Everything DPNG needs about one run.

    Args:
        space: what can be built.
        distribution: which ops are live and what they are worth.
        latency: the latency model of the target.
        baseline: mean score of the architectures from which the effects were estimated, percent.
    """

    space: Space
    distribution: Distribution
    latency: LatencyModel
    baseline: float

    @classmethod
    def of_run(cls, run: RunFolder) -> Picker:
        """From a run folder whose search is finished.

        Raises:
            RunError: the search is not finished, or a file does not fit.
        """
        result = run.result("search")
        run.check_file("search", "distribution.json")
        run.check_file("profile", "latency.json")
        try:
            space = build(SpaceConfig(**run.result("data")["space"]))
            distribution = Distribution.from_json(read_json(run.path / "distribution.json"))
            latency = LatencyModel.from_json(read_json(run.path / "latency.json"))
        except (KeyError, TypeError, InputError) as err:
            raise RunError(f"{run.path} does not hold a usable search: {err}") from err
        if distribution.choices != space.sizes:
            raise RunError(f"{run.path}: distribution.json has {distribution.choices} ops, the space {space.sizes}")
        return cls(space, distribution, latency, float(result["baseline"]))

    def cost(self, name: str, arch: Architecture) -> float:
        """Total of one cost of an architecture."""
        if name == "latency":
            return self.latency.predict(arch).latency_ms * 1e6
        return float({"flops": arch.flops, "params": arch.params, "memory": arch.memory_bytes(self._bytes)}[name])

    def answers(self, budgets: Mapping[str, float], top: int = 1, min_distance: int = 0) -> list[Answer]:
        """The `top` best architectures within every budget, best first.

        Args:
            budgets: name -> upper bound, in the units of `hwnas.pipeline.budget`.
            min_distance: any two differ in at least so many choices.

        Raises:
            BudgetInfeasible: no architecture meets them; names the least achievable cost of each.
        """
        fixed, costs = self._costs(tuple(budgets) or ("latency",))
        try:
            best = solve(self._utilities(), costs, dict(budgets), fixed=fixed, top=top, min_distance=min_distance,
                         aggregate={name: "max" if name == "memory" else "sum" for name in costs})
        except BudgetInfeasible as err:
            raise self._explained(err) from err
        return [self.answer(choice) for choice in (best.choice, *(c.choice for c in best.others))]

    def front(self) -> Front:
        """Every architecture that no other beats in both latency (ns) and predicted accuracy."""
        fixed, costs = self._costs(("latency",))
        return front(self._utilities(), costs["latency"], fixed=fixed["latency"])

    def absolute(self, budgets: Mapping[str, Budget], tighten: float = 1.0) -> dict[str, float]:
        """Bounds in units; percentages are of the largest network of the space.

        Args:
            tighten: factor on the latency budget.
        """
        largest = self.space.largest()
        bounds = {name: b.absolute(self.cost(name, largest)) for name, b in budgets.items()}
        if "latency" in bounds:
            bounds["latency"] *= tighten
        return bounds

    @property
    def _bytes(self) -> int:
        return BYTES[self.latency.precision]

    def answer(self, choice: tuple[int, ...]) -> Answer:
        """Any architecture with its predictions."""
        utility = sum(float(row[k]) for row, k in zip(self.distribution.effects, choice, strict=True))
        arch = self.space.architecture(choice)
        costs = {name: self.cost(name, arch) for name in ("latency", "flops", "params", "memory")}
        return Answer(arch, self.baseline + utility, costs)

    def _utilities(self) -> list[np.ndarray]:
        return list(self.distribution.utilities("effect"))

    def _costs(self, names: tuple[str, ...]) -> tuple[dict[str, float], dict[str, list[np.ndarray]]]:
        fixed: dict[str, float] = {}
        costs: dict[str, list[np.ndarray]] = {}
        for name in names:
            if name == "latency":
                fixed[name], costs[name] = self.latency.costs_ns(self.space)
            else:
                fixed_values = [self._op_cost(name, op) for op in self.space.fixed_ops]
                fixed[name] = max(fixed_values) if name == "memory" else sum(fixed_values)
                rows = [[self._op_cost(name, op) for op in choice.ops] for choice in self.space.choices]
                costs[name] = [np.array(row, np.int64) for row in rows]
        return fixed, costs

    def _op_cost(self, name: str, op: Op) -> int:
        return {"flops": op.flops, "params": op.params, "memory": op.peak_elements * self._bytes}[name]

    @staticmethod
    def _explained(err: BudgetInfeasible) -> BudgetInfeasible:
        parts = [
            f"{name} {show(name, err.budgets[name])} asked, at least {show(name, least)} needed"
            for name, least in err.least.items()
        ]
        together = all(err.least[n] <= err.budgets[n] for n in err.least)
        why = "each budget alone can be met, together they cannot" if together else "over the least the space can do"
        text = f"no architecture meets the budgets ({'; '.join(parts)}): {why}. Raise a budget or take another space"
        return BudgetInfeasible(text, err.least, err.budgets)


def pick(run: str | Path, budgets: Mapping[str, str | None], *, top: int = 1, min_distance: int = 0) -> list[Answer]:
    """Architectures of a finished search within new budgets, best first; no torch, milliseconds.

    Args:
        run: the folder of a run.
        budgets: `latency`, `flops`, `params`, `memory` -> text such as "2ms" or "50%".

    Raises:
        UsageError: a budget cannot be read.
        RunError: no finished search in that folder.
        BudgetInfeasible: no architecture meets the budgets.
    """
    picker = Picker.of_run(RunFolder.open(Path(run)))
    return picker.answers(picker.absolute(parse_all(budgets)), top, min_distance)
