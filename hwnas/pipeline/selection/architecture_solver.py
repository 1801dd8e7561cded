"""From a distribution and costs to architectures within budgets. No torch; milliseconds.

Costs are integers: latency in nanoseconds, FLOPs, parameters, and bytes of activations (a maximum over the ops, the
others are sums). Utilities are the effects of the distribution, so that a sum of them reads as predicted score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np

from hwnas.documents import read_json
from hwnas.errors import BudgetInfeasible, InputError, RunError, UsageError
from hwnas.generate import Front, front, solve, solve_uncertain
from hwnas.generate.chance_condition import NAME as UNCERTAIN
from hwnas.latency import LatencyModel, Prediction
from hwnas.latency.margin import UncertainCosts
from hwnas.pipeline.config.budget import Budget, cost_of, show
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.run.limits import reference_of, spends_of
from hwnas.pipeline.run.reference import Limit, Reference
from hwnas.pipeline.run.results import GenerateResult, SearchResult
from hwnas.pipeline.run.spends import NOTHING_MEASURED, Bounds, Spends
from hwnas.pipeline.selection.answers import Answer
from hwnas.pipeline.selection.bounds import bounds_within
from hwnas.search.distribution import Distribution
from hwnas.space import FULL, Architecture, Space, Variant, scaled
from hwnas.space.costs import Cost
from hwnas.target import VALUE_BYTES, NetworkPrecision


@dataclass(frozen=True)
class ArchitectureSolver:
    """Everything DPNG needs about one run.

    Args:
        space: what can be built.
        distribution: which ops are live and what they are worth.
        latency: the latency model of the target.
        baseline: mean score of the architectures from which the effects were estimated, percent.
        confidence: probability with which an answer is to measure within its latency budget.
        reference_ratio: latency of the fp32 reference over what `latency` gives for it.
        of: what percentages are of, as the run fixed it; None takes what `latency` says.
        variant: what networks of `space` have of the reference's channels and pixels.
        full: the solver of all of them, which knows the reference; None if this is it.
        spends: what budgets leave that are not of the costs that are added up.
    """

    space: Space
    distribution: Distribution
    latency: LatencyModel
    baseline: float
    confidence: float = 0.5
    reference_ratio: float = 1.0
    variant: Variant = FULL
    full: ArchitectureSolver | None = None
    of: Reference | None = None
    spends: Spends = NOTHING_MEASURED

    @classmethod
    def of_run(cls, run: RunFolder, precision: str | None = None,
               confidence: float | None = None) -> ArchitectureSolver:
        """From a run folder whose search is finished: of the variant that ships; before that is known, the full one.

        Args:
            precision: one of those the run has a latency model for; None takes the one that ships, before that is
                known the first.
            confidence: None takes that of the run.

        Raises:
            RunError: the search is not finished, or a file does not fit.
            UnknownName: the run has no such precision.
        """
        generated = run.found_if_done(GenerateResult)
        ships = Variant.read(generated.variant) if generated else FULL
        return cls.all_of_run(run, precision, confidence)[ships]

    @classmethod
    def all_of_run(cls, run: RunFolder, precision: str | None = None,
                   confidence: float | None = None) -> dict[Variant, ArchitectureSolver]:
        """Variant -> solver, the full one first; arguments and errors as of `of_run`."""
        searched, lane = run.found(SearchResult), run.lane(precision)
        files = {FULL: lane.file, **{Variant.read(key): file for key, file in lane.variants.items()}}
        run.check_file("search", "distribution.json")
        for file in files.values():
            run.check_file("profile", file)
        try:
            space = run.space
            law = Distribution.from_json(read_json(run.path / "distribution.json"))
            models = {variant: LatencyModel.from_json(read_json(run.path / file)) for variant, file in files.items()}
            offsets = {FULL.key: 0.0, **searched.offsets}
            baselines = {variant: searched.baseline + offsets[variant.key] for variant in models}
        except (KeyError, InputError, UsageError) as err:  # KeyError: a variant without an offset
            raise RunError(f"{run.path} does not hold a usable search: {err}") from err
        if law.choices != space.sizes:
            raise RunError(f"{run.path}: distribution.json has {law.choices} ops, the space {space.sizes}")
        sure = (run.state.config.target.confidence if confidence is None else confidence) or 0.5
        full = cls(space, law, models[FULL].check(space), baselines[FULL], sure, lane.reference_ratio,
                   of=reference_of(run, space), spends=spends_of(run, lane.precision))
        return {FULL: full} | {variant: full.scaled(variant, model, baselines[variant])
                               for variant, model in models.items() if variant != FULL}

    def scaled(self, variant: Variant, latency: LatencyModel, baseline: float) -> ArchitectureSolver:
        """The same search and the same reference, for networks of a variant."""
        return replace(self, space=scaled(self.space, variant), latency=latency, baseline=baseline, variant=variant,
                       full=self)

    @property
    def reference(self) -> Architecture:
        """What percentages are of: the reference of the space with all channels and pixels."""
        return (self.full or self).space.reference

    def knowing(self, arch: Architecture) -> ArchitectureSolver:
        """This solver, or the full one where the architecture is of that."""
        return self if self.full is None or arch.space.config == self.space.config else self.full

    def predict(self, arch: Architecture) -> Prediction:
        """Latency of an architecture of this variant, or of the reference."""
        return self.knowing(arch).latency.predict(arch)

    def cost(self, name: str, arch: Architecture) -> float:
        """Total of one cost of an architecture of this variant, or of the reference."""
        if name == "latency":
            return self.predict(arch).latency_ms * 1e6
        return float({"flops": arch.flops, "params": arch.params, "memory": arch.memory_bytes(self._bytes)}[name])

    def answers(self, budgets: Mapping[str, float], top: int = 1, min_distance: int = 0) -> list[Answer]:
        """The `top` best architectures within every budget, best first.

        Args:
            budgets: name -> upper bound, in the units of `hwnas.pipeline.config.budget`.
            min_distance: any two differ in at least so many choices.

        Raises:
            BudgetInfeasible: no architecture meets them; names the least achievable cost of each.
        """
        wanted = top
        while True:
            solved = self._solved(budgets, wanted, min_distance)
            # a cell without a path from the image to the classes is an architecture, but no classifier
            found = [answer for choice in solved if (answer := self.answer(choice)).architecture.connected]
            if len(found) >= top or len(solved) < wanted:
                break
            wanted *= 4
        if not found:
            text = "no architecture within the budgets lets the image reach the classes: raise a budget"
            raise BudgetInfeasible(text, dict(budgets), dict(budgets))
        return found[:top]

    def _solved(self, budgets: Mapping[str, float], top: int, min_distance: int) -> list[tuple[int, ...]]:
        """The `top` best choices within every budget, best first."""
        try:
            first = self._surest(budgets)
            return self._bounded(budgets, top, min_distance) if first is None else [
                first, *(self._others(first, budgets, top - 1, max(min_distance, 1)) if top > 1 else [])]
        except BudgetInfeasible as err:
            raise self.explained(err, budgets) from err

    def _bounded(self, budgets: Mapping[str, float], top: int, min_distance: int) -> list[tuple[int, ...]]:
        """The same, with the latency as a sum, which above a confidence of 0.5 is a little more than it has to be."""
        fixed, costs = self.costs(tuple(budgets) or ("latency",))
        best = solve(self.utilities(), costs, dict(budgets), fixed=fixed, top=top, min_distance=min_distance,
                     aggregate=self.aggregates(costs))
        return [best.choice, *(other.choice for other in best.others)]

    def _surest(self, budgets: Mapping[str, float]) -> tuple[int, ...] | None:
        """The best choice with mean and margin of its latency within the budget; None where a sum says the same."""
        sure = self._uncertain if "latency" in budgets else None
        if sure is None:
            return None
        others = {name: bound for name, bound in budgets.items() if name != "latency"}
        fixed, costs = self.costs(tuple(others))
        try:
            return solve_uncertain(
                self.utilities(), sure.means, sure.variances, budgets["latency"], z=sure.z, relative=sure.relative,
                fixed_mean=sure.fixed[0], fixed_variance=sure.fixed[1], costs=costs, budgets=others, fixed=fixed,
                aggregate=self.aggregates(costs),
            ).choice
        except BudgetInfeasible as err:
            named = ({"latency" if name == UNCERTAIN else name: value for name, value in part.items()}
                     for part in (err.least, err.budgets))
            raise BudgetInfeasible(str(err), *named) from err

    def _others(
        self, first: tuple[int, ...], budgets: Mapping[str, float], count: int, distance: int
    ) -> list[tuple[int, ...]]:
        """The next best, far enough from the first and from each other; with the latency as a sum."""
        wanted = count + 1
        while True:
            try:
                found = self._bounded(budgets, wanted, distance)
            except BudgetInfeasible:  # the first one is within by less than the sum is too much
                return []
            far = [one for one in found if sum(a != b for a, b in zip(one, first, strict=True)) >= distance]
            if len(far) >= count or len(found) < wanted:
                return far[:count]
            wanted *= 2

    def front(self) -> Front:
        """Every architecture that no other beats in both latency (ns) and predicted score."""
        fixed, costs = self.costs(("latency",))
        return front(self.utilities(), costs["latency"], fixed=fixed["latency"])

    def absolute(self, budgets: Mapping[str, Budget], tighten: float = 1.0) -> Bounds:
        """Bounds in units, of what is added up; percentages are of the reference in fp32.

        Args:
            tighten: factor on what is left of latency.

        Raises:
            UsageError: a budget needs what was not measured in this run.
            BudgetInfeasible: no share of activations and weights within a budget of measured memory leaves a network.
        """
        def activations() -> tuple[float, list[np.ndarray]]:
            fixed, rows = self.costs(("memory",))
            return fixed["memory"], rows["memory"]

        def best(bounds: Bounds) -> float:
            return self.answers(bounds)[0].predicted_score

        return bounds_within(self.limits(budgets), self.spends, tighten, activations, best)

    def limits(self, budgets: Mapping[str, Budget]) -> dict[str, Limit]:
        """What budgets come to, and of what."""
        of = self.of or Reference.said(self.reference, self.knowing(self.reference).latency, self.reference_ratio,
                                       batch=self.spends.batch)
        return of.limits(budgets)

    def within(self, choice: tuple[int, ...], bounds: Mapping[str, float]) -> bool:
        """Whether an architecture meets every bound, latency with the confidence that is asked for."""
        sure = self._uncertain if "latency" in bounds else None
        if sure is not None:
            p, v = (sure.fixed[i] + sum(float(row[k]) for row, k in zip(rows, choice, strict=True))
                    for i, rows in enumerate((sure.means, sure.variances)))
            if p + math.hypot(sure.relative * p, sure.z * math.sqrt(v)) > bounds["latency"] * (1 + 1e-12):
                return False
            bounds = {name: bound for name, bound in bounds.items() if name != "latency"}
        fixed, costs = self.costs(tuple(bounds))
        parts = {n: (fixed[n], *(row[k] for row, k in zip(costs[n], choice, strict=True))) for n in bounds}
        most = self.aggregates(parts)
        return all((max if most[n] == "max" else sum)(parts[n]) <= bound for n, bound in bounds.items())

    def best_within(self, choice: tuple[int, ...], bounds: Mapping[str, float]) -> Answer | None:
        """An architecture with its predictions; None where it is not within every bound."""
        return self.answer(choice) if self.within(choice, bounds) else None

    def predicted(self, answer: Answer) -> Prediction:
        """The latency of an answer, with its interval."""
        return self.predict(answer.architecture)

    @property
    def precision(self) -> NetworkPrecision:
        """What networks are in."""
        return cast("NetworkPrecision", self.latency.precision)

    @property
    def _bytes(self) -> int:
        return VALUE_BYTES[self.latency.precision]

    def answer(self, choice: tuple[int, ...]) -> Answer:
        """Any architecture with its predictions."""
        utility = sum(float(row[k]) for row, k in zip(self.distribution.effects, choice, strict=True))
        arch = self.space.architecture(choice)
        costs = {name: self.cost(name, arch) for name in ("latency", "flops", "params", "memory")}
        return Answer(arch, self.baseline + utility, costs)

    def utilities(self) -> list[np.ndarray]:
        """What DPNG adds up: effects in percent points, one row per choice, -inf on dropped ops."""
        return list(self.distribution.utilities("effect"))

    def costs(self, names: tuple[str, ...]) -> tuple[dict[str, float], dict[str, list[np.ndarray]]]:
        """The fixed part and one row per choice of every named cost, in the units of `hwnas.pipeline.config.budget`."""
        for name in names:
            if name not in self._known_costs:
                self._known_costs[name] = self._costs_of(name)
        known = {name: self._known_costs[name] for name in names}
        fixed = {name: always for name, (always, _) in known.items()}
        return fixed, {name: list(rows) for name, (_, rows) in known.items()}

    @cached_property
    def _uncertain(self) -> UncertainCosts | None:
        """Means and variances of latencies where a sum over ops would say too much."""
        if self.confidence <= 0.5:
            return None
        found = self.latency.uncertain_costs(self.space, self.confidence)
        uncertain = found.fixed[1] > 0 or any(row.any() for row in found.variances)
        return found if uncertain and found.relative < 1 else None

    @cached_property
    def _known_costs(self) -> dict[str, tuple[float, list[np.ndarray]]]:
        """Fixed part and rows of what was asked for before: selection asks for every finalist of every round."""
        return {}

    def _costs_of(self, name: str) -> tuple[float, list[np.ndarray]]:
        if name == "latency":
            always, rows = self.latency.costs_ns(self.space, self.confidence)
        else:
            width = self._bytes if name == "memory" else 1
            counted, counts = self.space.counts(cast("Cost", name))
            always, rows = counted * width, [np.array(row, np.int64) * width for row in counts]
        for row in rows:
            row.setflags(write=False)
        return always, rows

    @staticmethod
    def aggregates(costs: Mapping[str, object]) -> dict[str, str]:
        """Memory is what is alive at once, the other costs are sums."""
        return {name: "max" if cost_of(name) == "memory" else "sum" for name in costs}

    def explained(self, err: BudgetInfeasible, bounds: Mapping[str, float]) -> BudgetInfeasible:
        """A refusal of the solver with costs in their units and the way out."""
        because = bounds.because if isinstance(bounds, Bounds) else {}
        how = {name: f"left by {because[name]}" if name in because else "asked" for name in err.least}
        parts = [
            f"{name} {show(name, max(err.budgets[name], 0.0))} {how[name]}, at least {show(name, least)} needed"
            for name, least in err.least.items()
        ]
        together = all(err.least[n] <= err.budgets[n] for n in err.least)
        why = "each budget alone can be met, together they cannot" if together else "over the least the space can do"
        text = f"no architecture meets the budgets ({'; '.join(parts)}): {why}. Raise a budget or take another space"
        return BudgetInfeasible(text, err.least, err.budgets)
