"""Ops and precisions of a run chosen together, by one exact program over tables of several precisions.

A candidate of a place is an op in a precision; what it takes that two neighbours differ in it is a cost of the program,
and what a precision takes off the score at a place was measured (`sensitivity`). An architecture comes with its best
precisions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any, cast

import numpy as np

from hwnas.documents import read_json
from hwnas.errors import BudgetInfeasible, RunError
from hwnas.generate import Front, Solution, front_precisions, solve_precisions
from hwnas.latency import MixedCosts, MixedPrecisionModel, Prediction
from hwnas.latency.mixed_costs import memory_bytes
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.results import GenerateResult, ProfileResult
from hwnas.pipeline.selection.answers import Answer
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.sensitivity import Sensitivity
from hwnas.space import Architecture, Variant
from hwnas.target import MIXED, NetworkPrecision, Precision

Z90 = NormalDist().inv_cdf(0.95)  # half width of a 90 % interval, in standard deviations
FLOATS = "fp32"
MORE = 4  # plans that are asked for per architecture that is wanted: many plans are of one


@dataclass(frozen=True, kw_only=True)
class PrecisionSolver(ArchitectureSolver):
    """DPNG over ops and precisions.

    Args:
        mixed: what ops cost in every precision, and changes between them.
        sensitivity: what precisions cost the score.
        made: the choice of a network that was made, and position -> its precision; None where none was.
    """

    mixed: MixedPrecisionModel
    sensitivity: Sensitivity
    made: tuple[tuple[int, ...], Mapping[str, str]] | None = None

    @property
    def precision(self) -> NetworkPrecision:
        return MIXED

    @property
    def known(self) -> tuple[Precision, ...]:
        """The precisions of a place."""
        return self.mixed.precisions

    def answers(self, budgets: Mapping[str, float], top: int = 1, min_distance: int = 0) -> list[Answer]:
        """The best architectures within every budget, each with its best precisions; arguments as of the other."""
        wanted = top * MORE
        while True:
            solved = self._solve(budgets, wanted, min_distance)
            plans = [self._plan(choice) for choice in _choices(solved)]
            first = {arch.choice: (arch, plan) for arch, plan in reversed(plans) if arch.connected}
            order = dict.fromkeys(arch.choice for arch, _ in plans if arch.choice in first)
            if len(order) >= top or len(plans) < wanted or wanted >= top * MORE**3:
                break
            wanted *= MORE
        if not order:
            raise BudgetInfeasible("no architecture within the budgets lets the image reach the classes: raise a "
                                   "budget", dict(budgets), dict(budgets))
        return [self._answer(*first[choice]) for choice in list(order)[:top]]

    def best_within(self, choice: tuple[int, ...], bounds: Mapping[str, float]) -> Answer | None:
        try:
            [found] = _choices(self._solve(bounds, 1, 0, choice))
        except BudgetInfeasible:
            return None
        return self._answer(*self._plan(found))

    def within(self, choice: tuple[int, ...], bounds: Mapping[str, float]) -> bool:
        return self.best_within(choice, bounds) is not None

    def predicted(self, answer: Answer) -> Prediction:
        if answer.precisions is None:
            return self.predict(answer.architecture)
        return self.mixed.predict(answer.architecture, _in_order(answer.architecture, answer.precisions))

    def predict(self, arch: Architecture) -> Prediction:
        """Of the network that was made as it is; of any other in fp32."""
        plan = self._made(arch)
        return super().predict(arch) if plan is None else self.mixed.predict(arch, plan)

    def cost(self, name: str, arch: Architecture) -> float:
        plan = self._made(arch)
        if name != "memory" or plan is None:
            return super().cost(name, arch)
        return float(self._costs(name).total(self._latency.candidates(arch, plan), most=True))

    def _made(self, arch: Architecture) -> list[Precision] | None:
        """The precisions of the network that was made, where this is it."""
        if self.made is None or arch.space.config != self.space.config or arch.choice != self.made[0]:
            return None
        return _in_order(arch, self.made[1])

    def front(self) -> Front:
        """Best score less what precisions cost, against latency; choices are of ops."""
        costs = self._latency
        found = front_precisions(
            self._worth(self.utilities()), list(costs.rows), penalties=self._penalties, changes=costs.changes,
            carries=costs.carries, fixed=costs.fixed)
        choices = np.array([self._plan(point.choice)[0].choice for point in found], dtype=np.int16)
        return Front(found.costs, found.utilities, choices.reshape(len(found.costs), -1), found.gap)

    def _solve(self, bounds: Mapping[str, float], top: int, min_distance: int,
               only: tuple[int, ...] | None = None) -> Solution:
        """Raises BudgetInfeasible."""
        names = tuple(bounds) or ("latency",)
        costs = {name: self._costs(name) for name in names}
        rows = self.utilities() if only is None else [
            np.where(np.arange(size) == k, 0.0, -np.inf) for size, k in zip(self.space.sizes, only, strict=True)]
        limits = {name: bound / (self._margin if name == "latency" else 1.0) for name, bound in bounds.items()}
        try:
            return solve_precisions(
                self._worth(rows), {name: list(found.rows) for name, found in costs.items()}, limits,
                penalties=self._penalties, changes={name: found.changes for name, found in costs.items()},
                carries=self._latency.carries, fixed={name: found.fixed for name, found in costs.items()},
                aggregate={name: "max" if name == "memory" else "sum" for name in names}, top=top,
                min_distance=min_distance)
        except BudgetInfeasible as err:
            raise self.explained(err, bounds) from err

    def _plan(self, choice: Any) -> tuple[Architecture, dict[str, str]]:
        arch, precisions = self._latency.plan(choice)
        return arch, {p.name: str(q) for p, q in zip(arch.space.positions, precisions, strict=True)}

    def _answer(self, arch: Architecture, plan: dict[str, str]) -> Answer:
        found, precisions = self.answer(arch.choice), _in_order(arch, plan)
        candidates = self._latency.candidates(arch, precisions)
        lost = sum(float(row[c % len(self.known)]) for row, c in zip(self._penalties, candidates, strict=True))
        costs = {**found.costs, "latency": self.mixed.predict(arch, precisions).latency_ms * 1e6,
                 "memory": float(self._costs("memory").total(candidates, most=True))}
        return Answer(arch, found.predicted_score, costs, plan, lost)

    def _worth(self, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        return self._latency.spread([row.tolist() for row in rows])

    @cached_property
    def _latency(self) -> MixedCosts:
        return self.mixed.costs_ns(self.space)

    @cached_property
    def _penalties(self) -> list[np.ndarray]:
        return self.sensitivity.rows(self._latency.places, self.known)

    @cached_property
    def _counted(self) -> dict[str, MixedCosts]:
        return {}

    def _costs(self, name: str) -> MixedCosts:
        if name == "latency":
            return self._latency
        if name not in self._counted:
            self._counted[name] = memory_bytes(self.space, self.known) if name == "memory" else self._same(name)
        return self._counted[name]

    def _same(self, name: str) -> MixedCosts:
        """A cost that no precision changes."""
        fixed, rows = self.costs((name,))
        places, wide = self._latency.places, (1, len(self.known))
        found = tuple(np.tile(np.asarray([0] if p.choice is None else rows[name][p.choice], np.int64)[:, None], wide)
                      for p in places)
        return MixedCosts(self.space, self.known, places, found, {}, int(fixed[name]))

    @cached_property
    def _margin(self) -> float:
        """What a latency is multiplied by for the confidence: the widest interval of its precisions."""
        spread = max(model.calibration.log_spread for model in self.mixed.models.values())
        return math.exp(max(0.0, NormalDist().inv_cdf(self.confidence)) / Z90 * spread)


def _choices(found: Solution) -> list[tuple[int, ...]]:
    return [found.choice, *(other.choice for other in found.others)]


def _in_order(arch: Architecture, plan: Mapping[str, str]) -> list[Precision]:
    return [as_precision(plan[position.name]) for position in arch.space.positions]


def as_precision(name: str) -> Precision:
    """A precision by its name, which the schema of the models holds."""
    return cast(Precision, name)


def mixed_models(run: RunFolder) -> dict[Variant, MixedPrecisionModel]:
    """Variant -> latency model of several precisions.

    Raises:
        RunError: the run has none; says why.
    """
    found = run.found(ProfileResult)
    if not found.mixed:
        why = found.mixed_out or "it began without --precision mixed or auto"
        raise RunError(f"{run.path} knows no latencies of networks of several precisions: {why}")
    for file in found.mixed.values():
        run.check_file("profile", file)
    return {Variant.read(key): MixedPrecisionModel.from_json(read_json(run.path / file))
            for key, file in found.mixed.items()}




def solvers_in(run: RunFolder, precision: str | None = None,
               confidence: float | None = None) -> dict[Variant, ArchitectureSolver]:
    """`ArchitectureSolver.all_of_run`, for `mixed` too: None takes what ships.

    Raises:
        RunError: the search is not finished, a file does not fit, or nothing is known of several precisions; says why.
        UnknownName: the run has no such precision.
    """
    generated = run.found_if_done(GenerateResult)
    if precision != MIXED and (precision is not None or generated is None or generated.precision != MIXED):
        return ArchitectureSolver.all_of_run(run, precision, confidence)
    models, sensitivity = mixed_models(run), Sensitivity.read(run.path)
    made = None
    if generated is not None and generated.precisions:
        made = tuple(generated.choice), generated.precisions
    exact = ArchitectureSolver.all_of_run(run, FLOATS, confidence)
    fields = ArchitectureSolver.__dataclass_fields__
    return {variant: PrecisionSolver(**{name: getattr(exact[variant], name) for name in fields}, mixed=model,
                                     sensitivity=sensitivity, made=made)
            for variant, model in models.items() if variant in exact}


def solver_of(run: RunFolder) -> ArchitectureSolver:
    """Of the variant and in the precision that ship; raises as `solvers_in`."""
    ships = Variant.read(run.found(GenerateResult).variant)
    return solvers_in(run)[ships]
