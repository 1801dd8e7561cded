"""What budgets do to the answer of a run, in the words of its space and units."""

from __future__ import annotations

from collections.abc import Mapping

from hwnas.generate.explain import Explanation, Words, explain
from hwnas.pipeline.budget import show
from hwnas.pipeline.picking import Picker


def explain_bounds(picker: Picker, bounds: Mapping[str, float]) -> Explanation:
    """Explain the best architecture within bounds, or why there is none.

    Latency counts with the picker's confidence; utilities are effects, in percent points of accuracy.

    Args:
        bounds: name -> upper bound, in the units of `hwnas.pipeline.budget`; at least one.

    Raises:
        UsageError: no bound.
    """
    fixed, costs = picker.costs(tuple(bounds))
    return explain(picker.utilities(), costs, bounds, fixed=fixed,
                   aggregate={name: "max" for name in costs if name == "memory"})


def words_of(picker: Picker) -> Words:
    """Positions by name, costs with their units, effects in points."""
    names = [position.name for position in picker.space.choices]
    return Words(show, names.__getitem__, lambda gain: f"{gain:+.2f} points of predicted accuracy")
