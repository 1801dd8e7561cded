"""Strategies by name: our own from a static table, other people's from the entry-point group `hwnas.strategies`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from hwnas.errors import UnknownName, UsageError
from hwnas.search.strategy import Strategy

GROUP = "hwnas.strategies"

TABLE: dict[str, str] = {
    "migo": "hwnas.search.migo:MigoOptimizer",
    "random": "hwnas.search.random_search:RandomSearch",
}


def names() -> list[str]:
    """All known strategies, sorted; nothing is imported."""
    return sorted({*TABLE, *(point.name for point in entry_points(group=GROUP))})


def strategy_class(name: str) -> type[Strategy]:
    """Import the class behind a name; our own names cannot be taken over by an entry point.

    Raises:
        UnknownName: no such strategy.
        UsageError: the entry point does not import, or is no Strategy.
    """
    if name in TABLE:
        module, attribute = TABLE[name].split(":")
        found = getattr(import_module(module), attribute)
    else:
        found = _load(_entry_point(name))
    if not (inspect.isclass(found) and issubclass(found, Strategy)):
        raise UsageError(f"strategy {name!r} ({found!r}) must be a subclass of hwnas.search.strategy.Strategy")
    return found


def create(name: str, choices: Sequence[int], **options: Any) -> Strategy:
    """Build a strategy for a space with `choices` ops per choice.

    Raises:
        UnknownName: no such strategy, or no such option (with the nearest one).
        UsageError: an option is missing or out of range.
    """
    kind = strategy_class(name)
    _, *parameters = inspect.signature(kind).parameters.values()
    known = {parameter.name: parameter for parameter in parameters}
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    for option in options:
        if option not in known and not open_ended:
            raise UnknownName(f"option of strategy {name!r}:", option, known)
    missing = [key for key, p in known.items() if p.default is p.empty and not _variadic(p) and key not in options]
    if missing:
        raise UsageError(f"strategy {name!r} needs the option {missing[0]!r}")
    # The interface leaves the constructor to each class; the signature was checked above.
    build: Callable[..., Strategy] = kind
    return build(choices, **options)


def _variadic(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)


def _entry_point(name: str) -> EntryPoint:
    for point in entry_points(group=GROUP):
        if point.name == name:
            return point
    raise UnknownName("strategy", name, names(), f'More come from packages with the entry point "{GROUP}".')


def _load(point: EntryPoint) -> Any:
    try:
        return point.load()
    except (ImportError, AttributeError) as err:
        raise UsageError(f"strategy {point.name!r} ({point.value}) does not import: {err}") from err
