"""One line of a comparison: a strategy with its options, built for a number of evaluations."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from hwnas.errors import UsageError
from hwnas.search.registry import create, strategy_class
from hwnas.search.strategy import Strategy

OURS = ("evaluations", "seed")


@dataclass(frozen=True)
class StrategySpec:
    """A strategy by name, with options other than `evaluations` and `seed`.

    Args:
        strategy: a name of the registry of strategies.
        options: plain values that its constructor takes.

    Raises:
        UsageError: options that the comparison sets itself, or that are no plain values.
    """

    strategy: str
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if taken := [name for name in OURS if name in self.options]:
            raise UsageError(f"{taken[0]} is no option of {self.strategy!r} here: every strategy gets the same ones")
        try:
            plain = json.loads(json.dumps(dict(self.options), allow_nan=False))
        except (TypeError, ValueError) as err:
            raise UsageError(f"options of {self.strategy!r} must be plain values ({err})") from err
        object.__setattr__(self, "options", plain)

    @property
    def label(self) -> str:
        """`migo`, or `migo mode=corrected s=3`."""
        return " ".join([self.strategy, *(f"{name}={value}" for name, value in sorted(self.options.items()))])

    @cached_property
    def kind(self) -> type[Strategy]:
        """The class; looked up once, since entry points are slow to read.

        Raises:
            UnknownName: no such strategy.
            UsageError: a plug-in that is none.
        """
        return strategy_class(self.strategy)

    def build(self, choices: Sequence[int], evaluations: int, seed: int) -> Strategy:
        """The strategy for a space with `choices` ops per choice and at most `evaluations` evaluations.

        It gets `seed` and `evaluations` where it takes them, but no `evaluations` where the options hold the `s` that
        decides them.

        Raises:
            UnknownName: no such strategy or option.
            UsageError: an option out of range, or a plan of more evaluations.
        """
        settings = dict(self.options)
        if self._takes("seed"):
            settings["seed"] = seed
        if self._takes("evaluations") and "s" not in settings:
            settings["evaluations"] = evaluations
        strategy = create(self.strategy, choices, **settings)
        if not 0 < strategy.evaluations <= evaluations:
            raise UsageError(f"{self.label} plans {strategy.evaluations} evaluations where {evaluations} are allowed: "
                             "compare at other counts, or change its options")
        return strategy

    def _takes(self, name: str) -> bool:
        parameters = inspect.signature(self.kind).parameters
        return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def is_anytime(strategy: Strategy) -> bool:
    """Whether a longer search begins with the shorter one, so that one is enough for all counts."""
    return getattr(strategy, "anytime", False) is True


Entrant = StrategySpec  # the name of hwnas 0.1; goes with the next version
