"""Strategies by name: our own from a static table, other people's from the entry-point group `hwnas.strategies`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from hwnas.errors import UsageError
from hwnas.plugins import Plugins
from hwnas.search.restricted import Restricted
from hwnas.search.strategy import Strategy

GROUP = "hwnas.strategies"

TABLE: dict[str, str] = {
    "asng": "hwnas.search.distribution_learning.asng:Asng",
    "ddpnas": "hwnas.search.distribution_learning.ddpnas:Ddpnas",
    "fpnas": "hwnas.search.distribution_learning.fpnas:FpNas",
    "interactions": "hwnas.search.surrogates.interactions:InteractionSearch",
    "gp": "hwnas.search.surrogates.gp:GaussianProcessSearch",
    "local": "hwnas.search.evolution.local:LocalSearch",
    "mdenas": "hwnas.search.distribution_learning.mdenas:Mdenas",
    "migo": "hwnas.search.migo:MigoOptimizer",
    "parsec": "hwnas.search.distribution_learning.parsec:Parsec",
    "pbil": "hwnas.search.distribution_learning.pbil:Pbil",
    "pnas": "hwnas.search.surrogates.pnas:ProgressiveSearch",
    "random": "hwnas.search.random_search:RandomSearch",
    "rea": "hwnas.search.evolution.rea:RegularisedEvolution",
    "reinforce": "hwnas.search.distribution_learning.reinforce:Reinforce",
    "sng": "hwnas.search.distribution_learning.sng:Sng",
}
STRATEGIES = Plugins("strategy", GROUP, TABLE)


def names() -> list[str]:
    """All known strategies, sorted; nothing is imported."""
    return STRATEGIES.names()


def strategy_class(name: str) -> type[Strategy]:
    """Import the class behind a name; our own names cannot be taken over by an entry point.

    Raises:
        UnknownName: no such strategy.
        UsageError: the entry point does not import, or is no Strategy.
    """
    found = STRATEGIES.find(name)
    if not (inspect.isclass(found) and issubclass(found, Strategy)):
        raise UsageError(f"strategy {name!r} ({found!r}) must be a subclass of hwnas.search.strategy.Strategy")
    return found


def create(
    name: str, choices: Sequence[int], *, live: Sequence[Sequence[bool]] | None = None, **options: Any
) -> Strategy:
    """Build a strategy for a space with `choices` ops per choice.

    Args:
        live: per choice, which ops may be asked for; None for all.

    Raises:
        UnknownName: no such strategy, or no such option (with the nearest one).
        UsageError: an option is missing or out of range.
    """
    kind = strategy_class(name)
    STRATEGIES.check(name, kind, options)
    if live is not None:
        return Restricted(choices, live, lambda left: kind.build(left, **options))
    return kind.build(choices, **options)
