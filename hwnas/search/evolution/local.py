"""Local search: look at every one-op neighbour, step to the best one, start anew where none is better.

Source: White, Nolen and Savani, Exploring the Loss Landscape in Neural Architecture Search (UAI 2021), the plain form.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwnas.search.base import PlannedStrategy, incumbent_law
from hwnas.search.distribution import Rows
from hwnas.search.evolution.mutation import neighbours, random_choice, unseen_choice
from hwnas.search.history import checked_sample
from hwnas.search.strategy import Choice


class LocalSearch(PlannedStrategy):
    """Ask: the neighbours of the centre in random order, those evaluated before left out.

    Once all are known, the best of them becomes the centre if its score is higher; otherwise the centre is a local
    optimum and the search starts again at an architecture it has not seen. Nothing is evaluated twice while something
    is left (ours; the paper may come back to one). The first centre is a uniform draw.

    Args:
        choices, evaluations, seed, ridge: as in PlannedStrategy.
    """

    name = "local"
    _centre: Choice | None = None
    _queue: tuple[Choice, ...] = ()

    def _ready(self) -> bool:
        """What follows the neighbours of a centre depends on the scores of all of them."""
        return bool(self._queue) or not self.history.pending

    def _draw(self) -> Choice:
        known = self._known()
        while not self._queue:
            self._advance(known)
        first, *rest = self._queue
        self._queue = tuple(rest)
        return first

    def _known(self) -> dict[Choice, float]:
        """First score of every evaluated architecture."""
        r = self.history
        return dict(zip(reversed(r.samples), reversed(r.scores), strict=True))

    def _advance(self, known: dict[Choice, float]) -> None:
        around = neighbours(self._centre, self.choices) if self._centre else []
        attempted = self.history.attempted
        fresh = [choice for choice in around if choice not in attempted]
        if fresh:
            self._queue = tuple(fresh[j] for j in self.rng.permutation(len(fresh)))
            return
        best = max((choice for choice in around if choice in known), key=known.__getitem__, default=None)
        if best and self._centre in known and known[best] > known[self._centre]:
            self._centre = best
            return
        start = unseen_choice(self.choices, attempted, len(attempted), self.rng)
        self._centre = start or random_choice(self.choices, self.rng)
        self._queue = (self._centre,)

    def law(self) -> Rows:
        return incumbent_law(self.best, self.choices)

    def _options(self) -> dict[str, Any]:
        return {}

    def _state(self) -> dict[str, Any]:
        return {"centre": list(self._centre or ()), "queue": [list(choice) for choice in self._queue]}

    def _restore(self, state: Mapping[str, Any]) -> None:
        queue = tuple(checked_sample(choice, self.choices) for choice in state["queue"])
        centre = checked_sample(state["centre"], self.choices) if state["centre"] else None
        if centre and centre not in {*self.history.attempted, *queue}:
            raise ValueError(f"the centre {list(centre)} was neither evaluated nor asked")
        self._centre, self._queue = centre, queue
