"""What is asked of a finished search: the best architectures of all its variants, its front, why a budget binds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.generate.explain import Explanation, Words, explain
from hwnas.pipeline.config.budget import Budget, parse_all, show
from hwnas.pipeline.run.folder import RunFolder
from hwnas.pipeline.selection.answers import Answer, Answers
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver
from hwnas.pipeline.selection.precision_solver import solvers_in
from hwnas.space import FULL, Variant
from hwnas.target import MIXED


@dataclass(frozen=True)
class Point:
    """An architecture on the front of score and latency."""

    latency_ns: float
    predicted_score: float
    variant: Variant
    choice: tuple[int, ...]


def front_of(solvers: Mapping[Variant, ArchitectureSolver]) -> list[Point]:
    """Every architecture of any variant that no other beats in both latency and predicted score, the fastest first.

    Args:
        solvers: as `ArchitectureSolver.all_of_run` gives them.
    """
    points = [Point(p.cost, solver.baseline + p.utility, variant, p.choice)
              for variant, solver in solvers.items() for p in solver.front()]
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.latency_ns, -p.predicted_score)):
        if not found or point.predicted_score > found[-1].predicted_score:
            found.append(point)
    return found


def pick(run: str | Path, budgets: Mapping[str, str | None], *, top: int = 1, min_distance: int = 0,
         precision: str | None = None, confidence: float | None = None) -> Answers:
    """Architectures of a finished search within new budgets, best first; no torch, milliseconds.

    Args:
        run: the folder of a run.
        budgets: as of `CompressConfig`, each one text such as "2ms" or "50%"; on what has to be measured only where the
            run did.
        precision, confidence: as in `ArchitectureSolver.of_run`.

    Raises:
        UsageError: a budget cannot be read, or the run has no such precision.
        RunError: no finished search in that folder.
        BudgetInfeasible: no architecture meets the budgets.
    """
    solvers = solvers_in(RunFolder.open(Path(run)), precision, confidence)
    return Answers(best_of(solvers, solvers[FULL].absolute(parse_all(budgets)), top, min_distance))


def best_of(solvers: Mapping[Variant, ArchitectureSolver], bounds: Mapping[str, float], top: int = 1,
            min_distance: int = 0) -> list[Answer]:
    """The `top` best architectures of all variants within every bound, best first.

    Args:
        solvers: as `ArchitectureSolver.all_of_run` gives them.
        min_distance: any two of one variant differ in at least so many choices.

    Raises:
        BudgetInfeasible: no architecture of any variant meets the bounds; told of the last.
    """
    found: list[Answer] = []
    refusal: BudgetInfeasible | None = None
    for solver in solvers.values():
        try:
            found += solver.answers(bounds, top, min_distance)
        except BudgetInfeasible as err:
            refusal = err
    if refusal is not None and not found:
        raise refusal
    return sorted(found, key=lambda answer: -answer.predicted_score)[:top]


def feasible(kinds: Sequence[Mapping[Variant, ArchitectureSolver]], budgets: Mapping[str, Budget]) -> None:
    """Whether an architecture in any precision and variant is predicted within budgets.

    Args:
        kinds: one a precision, as `ArchitectureSolver.all_of_run` gives them.

    Raises:
        BudgetInfeasible: there is none; told of the first precision.
    """
    refusal: BudgetInfeasible | None = None
    for solvers in kinds:
        try:
            best_of(solvers, solvers[FULL].absolute(budgets))
            return
        except BudgetInfeasible as err:
            refusal = refusal or err
    if refusal is not None:
        raise refusal


def explain_bounds(solver: ArchitectureSolver, bounds: Mapping[str, float]) -> Explanation:
    """Explain the best architecture within bounds, or why there is none.

    Latency counts with the solver's confidence; utilities are effects, in percent points of the score.

    Args:
        bounds: name -> upper bound, in the units of `hwnas.pipeline.config.budget`; at least one.

    Raises:
        UsageError: no bound, or a solver of several precisions.
    """
    if solver.precision == MIXED:
        raise UsageError("what binds a budget is explained for networks of one precision: give --precision as well, "
                         "e.g. --precision fp32")
    fixed, costs = solver.costs(tuple(bounds))
    return explain(solver.utilities(), costs, bounds, fixed=fixed,
                   aggregate={name: "max" for name in costs if name == "memory"})


def words_of(solver: ArchitectureSolver, metric: str = "accuracy") -> Words:
    """Positions by name, costs with their units, effects in points of the task's metric."""
    names = [position.name for position in solver.space.choices]
    return Words(show, names.__getitem__, lambda gain: f"{gain:+.2f} points of predicted {metric}")
