"""Which units stay as they are because the user said so: `--keep`, `--only`."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Sequence

from hwnas.documents import brief
from hwnas.errors import UsageError
from hwnas.surgery.unit import Cut, Unit

NEAR = 4  # names that are shown


def frozen_units(cut: Cut, keep: Sequence[str] | None, only: Sequence[str] | None) -> dict[str, str]:
    """Unit -> the flag that keeps it.

    Args:
        keep: patterns of units that stay.
        only: patterns of those that alone may change; None lets all.

    Raises:
        UsageError: a pattern that matches nothing; shows names that are near it.
    """
    names = {unit.name: names_of(cut, unit) for unit in cut.units}
    kept = _matched(names, keep or (), "--keep")
    found = dict.fromkeys(kept, "--keep")
    if only is not None:
        chosen = _matched(names, only, "--only")
        found |= {unit: "--only" for unit in names if unit not in chosen and unit not in found}
    return found


def names_of(cut: Cut, unit: Unit) -> tuple[str, ...]:
    """What a unit may be called by: its own name, and those of its nodes, tensors and weights."""
    nodes = [cut.flow.nodes[i] for i in unit.region.nodes]
    inside = (name for node in nodes for name in (node.name, *node.input, *node.output) if name)
    others = dict.fromkeys(name for name in inside if name != unit.source)  # that is of the unit before
    return unit.name, *others


def _matched(names: dict[str, tuple[str, ...]], patterns: Iterable[str], flag: str) -> set[str]:
    found: set[str] = set()
    for pattern in patterns:
        units = {unit for unit, every in names.items() if any(fnmatch.fnmatchcase(name, pattern) for name in every)}
        if not units:
            raise UsageError(f"{flag} {brief(pattern)} is the name of no unit, and of no tensor or weight in one; "
                             f"{_near(names, pattern)}: `hwnas inspect` shows all units")
        found |= units
    return found


def _near(names: dict[str, tuple[str, ...]], pattern: str) -> str:
    every = list(dict.fromkeys(name for names_of_unit in names.values() for name in names_of_unit))
    near = difflib.get_close_matches(pattern.strip("*"), every, n=NEAR, cutoff=0.4) or list(names)[:NEAR]
    return f"near it are {', '.join(near)}" if near else "the network has no units"
