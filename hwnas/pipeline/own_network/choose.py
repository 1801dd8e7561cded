"""Stage plan: which option every unit gets. An exact program proposes, truth decides, for up to three rounds.

The least loss before tuning is not the least after it (of eight plans for ResNet-20 the first was the worst one), so
the best few that differ are tuned for a twelfth of the steps each, and the one that is best then is chosen.

Every plan whose truth is known is a line of plans.jsonl, and a further one whenever more was found out about it, so
that a killed run asks for nothing twice, and neither does the next of several budgets, which takes over what was found
for those before it.
The user's network itself and its uniform int8 always take part: the result is never slower than the one within the
budget, and never worse than the other where that is within it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.errors import BudgetInfeasible, MissingDependency, TrainingDiverged, UsageError
from hwnas.files import append_line, read_lines
from hwnas.pipeline.own_network.context import OwnContext, keys_of, plan_of
from hwnas.pipeline.own_network.score import losses_of
from hwnas.pipeline.own_network.tune import FINALISTS, learns, short_loss
from hwnas.pipeline.run.own_results import PlanResult, PlanRow, UnitsResult
from hwnas.pipeline.stages.stage import Stage
from hwnas.progress import plural
from hwnas.surgery.plan import AS_IT_IS, FLOAT, Plan
from hwnas.surgery.planning import DISTANCE, Losses, plans_within
from hwnas.surgery.residual import corrected
from hwnas.surgery.unit_costs import UnitCosts

FILE = "plans.jsonl"
ROUNDS, TRUTHS = 3, 8  # truths a round
FURTHER = 3  # rounds while nothing measures within the budget
SWEEPS = 20
SHOWN = 6  # names of units in a message
AS_GIVEN = "as given"
ALONE = "alone"  # share of the network as given, timed with nothing beside the two
TRIED = "tried"  # loss after a short tuning
TRIVIAL, KNOWN = "trivial", "known"  # rounds of plans that need no solver, and of those of other budgets
HOPE = 1.10  # times the limit that the fastest plan may be predicted at and still be tried
SPARE = 0.01  # over the fastest, so that there is more than one plan to try
SURE = 0.99  # of the limit that a plan has to measure within: one that ships over it is tuned for nothing
MARGIN = 0.975  # of the limit that plans are predicted within: a measurement scatters by about a percent


class PlanStage(Stage[PlanResult]):
    """Solves, and asks for the truth about the best."""

    name = PlanResult.stage

    def run(self, context: OwnContext) -> PlanResult:
        """Choose.

        Raises:
            BudgetInfeasible: no plan is within the budget; says what the fastest takes.
        """
        return _Choosing(context).found()

    def leaves(self, found: PlanResult) -> Sequence[str]:
        return [FILE]


class _Choosing:
    """Rounds of plans and truths of one run."""

    def __init__(self, context: OwnContext) -> None:
        self._context = context
        self._path = context.run.path / FILE
        if not self._path.is_file():
            for row in _of_other_budgets(context):
                append_line(self._path, row)
        lines = read_lines(self._path) if self._path.is_file() else []
        self._rows: list[dict[str, Any]] = list({repr(row["plan"]): row for row in lines}.values())  # the last counts

    def found(self) -> PlanResult:
        context, first = self._context, losses_of(self._context.run.path, self._context.places)
        uniform = {f"uniform {p}": context.places.uniform(p) for p in context.precisions if p != FLOAT}
        self._tell(TRIVIAL, {AS_GIVEN: {}, **uniform}, first, context.costs)
        rounds = 0
        for rounds in range(1, ROUNDS + FURTHER + 1):
            if rounds > ROUNDS and self._best() is not None:
                break
            costs, losses = self._learnt(context.costs, first)
            proposed = self._proposed(costs, losses)
            fresh = {f"plan {rounds}.{i + 1}": plan for i, plan in enumerate(self._unknown(proposed)[:TRUTHS])}
            if not fresh:
                break
            self._tell(f"round {rounds}", fresh, losses, costs)
            self._best()
        best = self._best() or self._best(1.0)
        if best is None:
            nearest = min(self._rows, key=self._now)
            raise BudgetInfeasible(
                f"no plan measures within {self._limit_ms:.3f} ms; the nearest of {len(self._rows)}, "
                f"{nearest['name']}, takes {self._now(nearest):.3f} ms: raise the budget",
                {"latency": self._now(nearest) * 1e6}, {"latency": self._limit_ms * 1e6})
        best = self._raced(best)
        return PlanResult(chosen=best["plan"], name=best["name"], rounds=rounds, whole_ms=self._whole_ms,
                          limit_ms=self._limit_ms, rows=[self._told(row) for row in self._rows])

    @property
    def _limit_ms(self) -> float:
        return self._context.limit_ms

    @property
    def _whole_ms(self) -> float:
        return self._context.costs.whole_ms

    def _now(self, row: Mapping[str, Any]) -> float:
        """What a plan takes at the speed that the limit is of, beside the network as given and nothing else.

        Among many models in turns none finds its weights in the cache, and the one with the most loses most by that:
        the network as given. So a plan that was timed among others takes a larger share of it alone, by as much as
        those did that were timed both ways.
        """
        if ALONE in row:
            return float(row[ALONE]) * self._whole_ms
        both = [float(r[ALONE]) / _share(r) for r in self._rows if ALONE in r]
        return _share(row) * self._whole_ms * (max(1.0, float(np.median(both))) if both else 1.0)

    def _best(self, share: float = SURE) -> dict[str, Any] | None:
        """The plan of least loss within the budget; timed as it is judged at the end, so that none is by luck.

        Args:
            share: of the budget that it has to be within, unless it is the network as given.
        """
        while True:
            within = [row for row in self._rows if self._now(row) <= self._limit_ms * (share if row["plan"] else 1.0)]
            best = min(within, key=lambda row: float(row["loss"]), default=None)
            if best is None or ALONE in best or not best["plan"]:
                return best
            self._add(best, ALONE, self._share_alone(plan_of(best["plan"])))

    def _add(self, row: dict[str, Any], word: str, value: float) -> dict[str, Any]:
        """What was found out about a plan later on."""
        place = self._rows.index(row)
        self._rows[place] = {**row, word: value}
        append_line(self._path, self._rows[place])
        return self._rows[place]

    def _raced(self, best: dict[str, Any]) -> dict[str, Any]:
        """The plan of the least loss after a short tuning, where the best few have something to learn."""
        if self._context.config.model.tune_epochs == 0 or not learns(plan_of(best["plan"])):
            return best
        found = self._finalists()
        if len(found) < 2:
            return best
        try:
            found = [row if TRIED in row else self._add(row, TRIED, short_loss(self._context, plan_of(row["plan"])))
                     for row in found]
        except (ImportError, MissingDependency, UsageError, TrainingDiverged):
            return best  # stage tune says why
        return min(found, key=lambda row: float(row[TRIED]))

    def _finalists(self) -> list[dict[str, Any]]:
        """The best few within the budget that have something to learn and differ; each timed as it is judged."""
        while True:
            found: list[dict[str, Any]] = []
            for row in sorted(self._rows, key=lambda row: float(row["loss"])):
                plan = row["plan"]
                if learns(plan_of(plan)) and self._now(row) <= self._limit_ms * SURE and len(found) < FINALISTS and all(
                        apart(plan, other["plan"]) >= DISTANCE for other in found):
                    found.append(row)
            lacking = next((row for row in found if ALONE not in row), None)
            if lacking is None:
                return found
            self._add(lacking, ALONE, self._share_alone(plan_of(lacking["plan"])))

    def _share_alone(self, plan: Plan) -> float:
        """Of the time of the network as given, with nothing else in turns."""
        context = self._context
        models = {"it": context.assembler.model(plan), AS_GIVEN: context.assembler.model({})}
        times = context.timed(models, SWEEPS)
        return times["it"].median_ms / times[AS_GIVEN].median_ms

    def _within(self, row: Mapping[str, Any]) -> bool:
        return self._now(row) <= self._limit_ms

    def _proposed(self, costs: UnitCosts, losses: Losses) -> list[dict[str, Any]]:
        """Plans within the limit; where none is predicted there, the fastest, as predictions are off by a little.

        Raises:
            BudgetInfeasible: even the fastest is predicted well over the limit.
        """
        places, limit = self._context.places, self._limit_ms
        try:
            return list(plans_within(places, costs, losses, limit * MARGIN))
        except BudgetInfeasible as err:
            least = err.least["latency"] / 1e6
            if least <= limit * HOPE:
                return list(plans_within(places, costs, losses, max(limit, least * (1 + SPARE))))
            raise BudgetInfeasible(
                f"the fastest plan is predicted at {least:.3f} ms, {100 * least / self._whole_ms:.0f} % of the "
                f"network's {self._whole_ms:.3f} ms, and the budget is {limit:.3f} ms{self._held()}: raise the budget",
                err.least, {"latency": limit * 1e6}) from None

    def _held(self) -> str:
        """Which units stay as they are whatever the budget is, and what they take."""
        options = self._context.places.options
        frozen = [unit for unit in self._context.run.found(UnitsResult).units if len(options[unit.name]) == 1]
        if not frozen:
            return ""
        ms = sum(unit.alone_ms[AS_IT_IS.key] for unit in frozen)
        names = ", ".join(unit.name for unit in frozen[:SHOWN]) + (", ..." if len(frozen) > SHOWN else "")
        flags = " and ".join(dict.fromkeys(unit.frozen for unit in frozen if unit.frozen))
        share = f"{100 * ms / self._whole_ms:.0f} % of the network"
        return (f"; {plural(len(frozen), 'unit')} that {'stays' if len(frozen) == 1 else 'stay'} as given"
                f"{f' by {flags}' if flags else ''} ({names}) {'takes' if len(frozen) == 1 else 'take'} {ms:.3f} ms "
                f"alone, {share}")

    def _unknown(self, plans: Sequence[Plan]) -> list[Plan]:
        known = [row["plan"] for row in self._rows]
        return [plan for plan in plans if keys_of(plan) not in known]

    def _learnt(self, costs: UnitCosts, first: Losses) -> tuple[UnitCosts, Losses]:
        """Beliefs after all that is known, from the first ones and not from those of the round before."""
        plans = [plan_of(row["plan"]) for row in self._rows]
        changed = [(plan, row) for plan, row in zip(plans, self._rows, strict=True) if plan]
        times = [self._now(row) for _, row in changed]
        own = [(plan, row["loss"]) for plan, row in changed if row["round"] != TRIVIAL]
        updated = costs.after([plan for plan, _ in changed], times)
        return updated, corrected(first, [p for p, _ in own], [loss for _, loss in own]) if own else first

    def _tell(self, number: str, plans: Mapping[str, Plan], losses: Losses, costs: UnitCosts) -> None:
        """The truth about some plans that is not known yet."""
        context = self._context
        fresh = {name: plan for name, plan in plans.items() if keys_of(plan) not in [r["plan"] for r in self._rows]}
        if not fresh:
            return
        models = {name: context.assembler.model(plan) for name, plan in fresh.items()}
        times = context.timed({AS_GIVEN: context.assembler.model({}), **models}, SWEEPS)
        for i, (name, plan) in enumerate(fresh.items()):
            context.progress("judging plans", i, len(fresh))
            score = context.scoring.score(context.running(models[name]))
            row = {"name": name, "round": number, "plan": keys_of(plan), "measured_ms": times[name].median_ms,
                   "whole_ms": times[AS_GIVEN].median_ms, "loss": score.mean, "loss_se": score.error,
                   "predicted_ms": float(costs.predict([plan])[0][0]), "predicted_loss": losses.predict(plan)}
            append_line(self._path, row)
            self._rows.append(row)
        context.progress("judging plans", len(fresh), len(fresh))

    def _told(self, row: Mapping[str, Any]) -> PlanRow:
        return PlanRow(name=row["name"], predicted_ms=max(row["predicted_ms"], 0.0),
                       predicted_loss=max(row["predicted_loss"], 0.0), loss=row["loss"],
                       loss_se=min(row["loss_se"], 1e18), measured_ms=self._now(row), within=self._within(row),
                       changed=len(row["plan"]), tried=row.get(TRIED))


def apart(one: Mapping[str, str], other: Mapping[str, str]) -> int:
    """In how many places two plans differ."""
    return sum(one.get(place) != other.get(place) for place in {*one, *other})


def _share(row: Mapping[str, Any]) -> float:
    """Of the network as given, timed among others."""
    return float(row["measured_ms"]) / float(row["whole_ms"])


def _of_other_budgets(context: OwnContext) -> list[dict[str, Any]]:
    """Truths about plans that were found for the other budgets of a run on the same target, each plan once; under names
    of their own."""
    found: dict[str, dict[str, Any]] = {}
    branches = context.parent.run.branches if context.parent is not None else ()
    target = next((branch.target for branch in branches if branch.path == context.run.path), None)
    for branch in branches:
        file = branch.path / FILE
        if branch.target != target or branch.path == context.run.path or not file.is_file():
            continue
        for row in read_lines(file):
            own = row["round"] not in (TRIVIAL, KNOWN)
            known = {**row, "name": f"{branch.name} {row['name']}", "round": KNOWN} if own else row
            found[repr(row["plan"])] = known  # the last counts
    return list(found.values())
