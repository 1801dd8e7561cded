"""MIGO for scores that stay: every evaluation is a training of its own, not a look at a supernet that keeps training.

After one fair cycle each ask is the candidate of the highest expected improvement under effects of one, two and three
choices (`interaction_gp`); candidates come from the law and from the neighbourhood of the best. The law moves as in
mode pooled of `hwnas.search.migo`, once for as many scores as the widest choice has ops; nothing is pruned. ADR 0011.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.search.base import PlannedStrategy
from hwnas.search.cycle import fair_cycle
from hwnas.search.distribution import Distribution, FloatArray, Rows
from hwnas.search.distribution_learning.learner import unpack_rows
from hwnas.search.effects import EffectFit, IntArray, fit_effects
from hwnas.search.history import checked_sample
from hwnas.search.settings import positive, share
from hwnas.search.simplex import corrected_move, per_row_move
from hwnas.search.strategy import Choice
from hwnas.search.surrogates.interaction_gp import Posterior, Prior, agreements, quantiles
from hwnas.search.surrogates.proposals import climb, propose

_REFIT = 1.15  # the prior is fitted anew when there are so many times more scores


class InteractionSearch(PlannedStrategy):
    """Ask: a fair cycle, then the highest expected improvement that is found.

    What is out counts as a median score meanwhile (`History.imagined`); the prior is fitted to true scores alone.
    Nothing is asked twice while something is left, failures included.

    Args:
        choices, evaluations, seed, ridge: as in PlannedStrategy; `ridge` drives the law, too.
        delta: Fisher length of one step of the law over all choices together.
        gamma: its momentum.
        per_row: give each choice its own step length delta/sqrt(d) instead of sharing one.

    Raises:
        UsageError: a setting out of range.
    """

    name = "interactions"

    def __init__(self, choices: Sequence[int], evaluations: int, seed: int = 0, *, ridge: float = 10.0,
                 delta: float = 1.0, gamma: float = 0.8, per_row: bool = False) -> None:
        super().__init__(choices, evaluations, seed, ridge=ridge)
        self._delta, self._gamma, self._per_row = positive("delta", delta), share("gamma", gamma), bool(per_row)
        self.theta, self._velocity = self.uniform(), [np.zeros(k) for k in self.choices]
        self._live = [np.ones(k, dtype=np.bool_) for k in self.choices]
        self._open = [i for i, k in enumerate(self.choices) if k > 1]
        self._prior = Prior()
        self._plan: list[Choice] = []

    def _ready(self) -> bool:
        """What follows the fair cycle needs its scores."""
        return bool(self._plan) or len(self.history.samples) >= max(self.choices) or not self.history.pending

    def _draw(self) -> Choice:
        if not self._plan and len(self.history.samples) >= max(self.choices):
            found = self._expected_best()
            if found is not None:
                return found
        if not self._plan:
            self._plan = fair_cycle(self._live, self.rng)
        return self._plan.pop(0)

    def _expected_best(self) -> Choice | None:
        """The highest expected improvement that is found; None if every architecture was asked for."""
        if not self._open:
            return None
        h = self.history
        attempted = np.array([*h.samples, *h.failed, *h.pending.values()], dtype=np.int64)
        true = quantiles(h.scores)
        if len(true) >= _REFIT * self._prior.fitted and true.any():
            seen = np.array(h.samples, dtype=np.int64)[:, self._open]
            self._prior = self._prior.fit(agreements(seen, seen), true, len(self._open))
        with h.imagined():
            seen = np.array(h.samples, dtype=np.int64)
            posterior = Posterior(self._prior, seen[:, self._open], quantiles(h.scores))
            start = propose(seen, h.scores, self.theta, self.rng, attempted)

        def worth(candidates: IntArray) -> FloatArray:
            return posterior.improvement(candidates[:, self._open])

        return climb(start, attempted, self.theta, worth)

    @property
    def answer(self) -> tuple[Choice, float] | None:
        """Scores each come from one noisy training: of the two best the one that all scores together make more likely
        (the higher posterior mean)."""
        y = quantiles(self.history.scores) if self.best is not None else np.zeros(0)
        if not self._open or not y.any():
            return self.best
        seen = np.array(self.history.samples, dtype=np.int64)[:, self._open]
        two = np.argsort(-y, kind="stable")[:2]
        prior = Prior().fit(agreements(seen, seen), y, len(self._open))
        believed, _ = Posterior(prior, seen, y).moments(seen[two])
        at = int(two[np.argmax(believed)])
        return self.history.samples[at], self.history.scores[at]

    def _learn(self) -> None:
        if len(self.history.samples) % max(self.choices) == 0:
            move = per_row_move if self._per_row else corrected_move
            self.theta, self._velocity = move(self.theta, self._velocity, self._fit().rows(), self._live,
                                               self._delta, self._gamma)

    def _fit(self) -> EffectFit:
        h = self.history
        return fit_effects(h.samples, h.scores, h.cycles, h.choices, self.ridge)

    def distribution(self) -> Distribution:
        effects, stderr = self._fit().centred(self._live)
        return Distribution([p / p.sum() for p in self.theta], self._live, effects, stderr)

    def law(self) -> Rows:
        return self.theta

    def _options(self) -> dict[str, Any]:
        return {"delta": self._delta, "gamma": self._gamma, "per_row": int(self._per_row)}

    def _state(self) -> dict[str, Any]:
        return {
            "theta": [row.tolist() for row in self.theta], "velocity": [row.tolist() for row in self._velocity],
            "prior": self._prior.to_json(), "plan": [list(choice) for choice in self._plan],
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        theta, velocity = (unpack_rows(state[name], self.choices) for name in ("theta", "velocity"))
        if any(t.min() < 0 or abs(t.sum() - 1) > 1e-9 for t in theta):
            raise ValueError("every row of theta must be >= 0 and sum to 1")
        prior, plan = Prior.from_json(state["prior"]), [checked_sample(c, self.choices) for c in state["plan"]]
        self.theta, self._velocity, self._prior, self._plan = theta, velocity, prior, plan
