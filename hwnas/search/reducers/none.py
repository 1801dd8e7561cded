"""Nothing is removed but what the strategy itself has dropped."""

from __future__ import annotations

from hwnas.search.cycle import Protected
from hwnas.search.roles import Mask, Reducer, SearchOutcome
from hwnas.space import Space


class NoReduction(Reducer):
    """The live ops of the outcome; takes the arguments of every reducer and has no use for them."""

    def __init__(self, keep: int, protect: Protected | None = None) -> None:
        pass

    def reduce(self, space: Space, outcome: SearchOutcome) -> Mask:
        return outcome.distribution.live
