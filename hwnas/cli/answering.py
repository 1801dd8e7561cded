"""What `hwnas generate` asks of solvers, and how answers are told: to people and to programs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hwnas.cli.options import TARGET
from hwnas.progress import plural

if TYPE_CHECKING:
    from hwnas.generate.explain import Explanation
    from hwnas.pipeline import Answer, ArchitectureSolver
    from hwnas.pipeline.config.budget import Budget
    from hwnas.pipeline.run.folder import RunFolder
    from hwnas.pipeline.run.reference import Limit
    from hwnas.pipeline.selection.queries import Point
    from hwnas.pipeline.selection.retargeting import Elsewhere
    from hwnas.space import Variant


class Asks(NamedTuple):
    """What is asked beside budgets: flags of the command; `best` asks for the best even without a budget."""

    top: int
    min_distance: int
    front: bool
    explain: bool
    best: bool


def found_by(source: RunFolder, solvers: Mapping[Variant, ArchitectureSolver], there: Elsewhere | None,
             budgets: Mapping[str, Budget], asks: Asks, tell: Callable[[Found], None]) -> Found:
    """What solvers answer.

    Args:
        tell: is told of a refusal that has an explanation, before it is raised.

    Raises:
        BudgetInfeasible: no architecture meets the budgets.
    """
    from hwnas.errors import BudgetInfeasible
    from hwnas.pipeline.run.results import SearchResult
    from hwnas.pipeline.selection.queries import best_of, explain_bounds, front_of
    from hwnas.space import FULL

    solver, run = solvers[FULL], source.path
    bounds, limits = solver.absolute(budgets), solver.limits(budgets)
    metric, wanted = source.found(SearchResult).metric, bool(budgets) or asks.best
    try:
        picks = best_of(solvers, bounds, asks.top, asks.min_distance) if wanted else []
    except BudgetInfeasible:
        if asks.explain:
            least = list(solvers.values())[-1]
            tell(Found(run, solvers, least, bounds, limits, [], None, explain_bounds(least, bounds), there, metric))
        raise
    if picks:
        solver = solvers[_variant(solvers, picks[0])]
    why = explain_bounds(solver, bounds) if asks.explain else None
    line = front_of(solvers) if asks.front or not wanted else None
    return Found(run, solvers, solver, bounds, limits, picks, line, why, there, metric)


@dataclass(frozen=True)
class Found:
    """What was asked and found: `solver` is of the best pick, `there` another device where one was asked about."""

    run: Path
    solvers: Mapping[Variant, ArchitectureSolver]
    solver: ArchitectureSolver
    bounds: dict[str, float]
    limits: dict[str, Limit]
    picks: list[Answer]
    front: list[Point] | None
    why: Explanation | None
    there: Elsewhere | None
    metric: str


def say_found(found: Found) -> None:
    """Print what was found."""
    from hwnas.cli.console import say, say_table
    from hwnas.pipeline.config.budget import show
    from hwnas.pipeline.selection.answers import COSTS, told_positions

    solver = found.solver
    if found.limits:
        say("within " + ", ".join(f"{name} {limit.text()}" for name, limit in found.limits.items()))
    if found.picks:
        rows = [(i, f"{a.predicted_score:.2f}", *(show(n, a.costs[n]) for n in COSTS),
                 _labels(solver, a.architecture.choice, _variant(found.solvers, a).told))
                for i, a in enumerate(found.picks, 1)]
        say_table(("#", found.metric, *COSTS, "operations"), rows)
        say(*(f"{i} is {told_positions(a.precisions)}" for i, a in enumerate(found.picks, 1) if a.precisions))
    if found.why is not None:
        from hwnas.pipeline.selection.queries import words_of

        say(*found.why.text(words_of(solver, found.metric)).split("\n"))
    if found.front is not None:
        say(f"front: {plural(len(found.front), 'architecture')} that no other beats in both {found.metric} and latency")
        points = [(show("latency", p.latency_ns), f"{p.predicted_score:.2f}",
                   _labels(solver, p.choice, p.variant.told)) for p in found.front]
        say_table(("latency", found.metric, "operations"), points)
    say(f"{found.metric}: predicted in percent, with shared weights; a sum of effects, so it can pass 100",
        f"latency: {_origin(found)}")
    if found.there:
        say(f"a percentage of latency is of the reference on {found.there.target} in fp32, "
            f"{found.there.reference_ms:.3f} ms {_word(solver)}")
        if solver.latency.source != "measured":
            say(f"to measure it: {found.there.way_out}")


def _word(solver: ArchitectureSolver) -> str:
    return {"measured": "predicted from measured blocks"}.get(solver.latency.source, solver.latency.source)


def _origin(found: Found) -> str:
    latency = found.solver.latency
    where = f"{latency.target} in {found.solver.precision}"
    if latency.source == "estimated":
        times = math.exp(latency.calibration.log_spread)
        if latency.calibration.form == "adapted":
            return (f"estimated: {latency.calibration.networks} networks that were timed adapted a prior to {where}; "
                    f"90 % lie between 1/{times:.2f} and {times:.2f} times of it")
        of = ("an incomplete table" if found.there and found.there.table else "the public figures")
        return (f"estimated from {of} of {where}, not measured; 90 % lie between 1/{times:.1f} and "
                f"{times:.1f} times of it")
    return f"predicted from a {latency.source} table of {where}"


def found_json(found: Found) -> dict[str, Any]:
    """What was found, for programs."""
    solver, there = found.solver, found.there
    points = None if found.front is None else [
        {"latency_ms": p.latency_ns / 1e6, "predicted_accuracy": p.predicted_score, "variant": p.variant.key,
         "choice": list(p.choice)} for p in found.front
    ]
    another = {} if there is None else {
        **{name: getattr(there.target, name) for name in ("runtime", "batch", "threads")},
        "reference_ms": there.reference_ms, "table": there.table and str(there.table),
        "warnings": list(there.warnings), "next": there.way_out,
    }
    return {
        "run": str(found.run), "target": solver.latency.target, "latency_source": solver.latency.source,
        "precision": solver.precision, "confidence": solver.confidence, "bounds": found.bounds,
        "limits": {name: limit.text() for name, limit in found.limits.items()},
        "units": {"latency": "ns", "flops": "multiply-accumulates", "params": "parameters", "memory": "bytes"},
        "picks": [{**a.to_json(), "variant": _variant(found.solvers, a).key,
                   "ops": _labels(solver, a.architecture.choice).split(" | ")} for a in found.picks],
        "front": points, "explanation": None if found.why is None else found.why.to_json(), **another,
    }


def _variant(solvers: Mapping[Variant, ArchitectureSolver], answer: Answer) -> Variant:
    """Which of them gave it."""
    return next(v for v, solver in solvers.items() if solver.space.config == answer.architecture.space.config)


def _labels(solver: ArchitectureSolver, choice: tuple[int, ...], told: str = "") -> str:
    """Labels are the same in every variant."""
    ops = " | ".join(c.ops[i].label for c, i in zip(solver.space.choices, choice, strict=True))
    return f"{told}: {ops}" if told else ops


def asked_about(run: RunFolder, given: Mapping[str, Any]
                ) -> tuple[Elsewhere | None, Mapping[Variant, ArchitectureSolver]]:
    """The solvers of the device that is asked about; and that device, where nothing was made for it yet.

    Warnings go to standard error.
    """
    from hwnas.pipeline.selection.precision_solver import solvers_in

    overrides = {name: given[name] for name in ("target", "tables", *TARGET) if name in given}
    precision, confidence = overrides.get("precision"), given.get("confidence")
    if set(overrides) <= {"precision"} and precision in (None, *run.precisions):
        return None, solvers_in(run, precision, confidence)
    from hwnas.cli.console import note
    from hwnas.pipeline.selection.retargeting import branch_for, elsewhere, own_precision

    own = own_precision(run, overrides)
    if own is not None:
        return None, solvers_in(run, own, confidence)
    below = branch_for(run, overrides) if "tables" not in overrides else None
    if below is not None and (own := own_precision(below, overrides)) is not None:
        return None, solvers_in(below, own, confidence)
    found = elsewhere(run, overrides, confidence)
    note(*(f"warning: {warning}" for warning in found.warnings))
    return found, found.solvers
