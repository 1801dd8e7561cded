"""What budgets do to the answer of a run, in the words of its space and units."""

from __future__ import annotations

from collections.abc import Mapping

from hwnas.generate.explain import Explanation, Words, explain
from hwnas.pipeline.config.budget import show
from hwnas.pipeline.selection.architecture_solver import ArchitectureSolver


def explain_bounds(solver: ArchitectureSolver, bounds: Mapping[str, float]) -> Explanation:
    """Explain the best architecture within bounds, or why there is none.

    Latency counts with the solver's confidence; utilities are effects, in percent points of accuracy.

    Args:
        bounds: name -> upper bound, in the units of `hwnas.pipeline.config.budget`; at least one.

    Raises:
        UsageError: no bound.
    """
    fixed, costs = solver.costs(tuple(bounds))
    return explain(solver.utilities(), costs, bounds, fixed=fixed,
                   aggregate={name: "max" for name in costs if name == "memory"})


def words_of(solver: ArchitectureSolver) -> Words:
    """Positions by name, costs with their units, effects in points."""
    names = [position.name for position in solver.space.choices]
    return Words(show, names.__getitem__, lambda gain: f"{gain:+.2f} points of predicted accuracy")
