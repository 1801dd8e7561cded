"""One search for many budgets: every evaluation tells something about all of them.

The scores and the cost of the evaluated architectures each get a model (`surrogates.interaction_gp`). The next
architecture is the one whose score is expected to raise the answers most, added up over the budgets it may keep:

    worth(x) = sum_b P(cost(x) <= b) E max(0, y(x) - best_b)

where best_b is the best y evaluated within b. It is climbed from the law's candidates and from those that DPNG picks
for each budget by additive effects of score and cost. An answer has been evaluated and its cost measured, so it is
within its budget.

    symbol    meaning                                                    shape
    b         budgets, in the unit of the cost                           (B,)
    y         scores as normal quantiles of their ranks                  (N,)
    cost      measured costs, standardised for the model                 (N,)
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.errors import BudgetInfeasible, UsageError
from hwnas.generate import solve
from hwnas.search.cycle import fair_cycle
from hwnas.search.distribution import FloatArray, Rows
from hwnas.search.effects import IntArray, fit_effects
from hwnas.search.history import checked_choices, checked_sample, checked_score, is_whole
from hwnas.search.state import checked_header, pack_generator, reading_state, seeded_generator, unpack_generator
from hwnas.search.strategy import Choice
from hwnas.search.surrogates.interaction_gp import Posterior, Prior, agreements, below, expected_gain, quantiles
from hwnas.search.surrogates.proposals import climb, propose, unseen

_REFIT, _RIDGE, _TICKS, _TOP = 1.15, 1.0, 10_000, 4
_LOWEST = -3.0  # what a budget without an answer is at, in y: worse than all but one in seven hundred


class ManyBudgets:
    """Ask and tell, with a cost beside the score; larger scores are better.

    Args:
        choices: number of ops of each choice.
        budgets: b, at least one.
        evaluations: how many architectures in all, for all budgets together.
        seed: of the private generator.
        fair: fair cycles before the models are asked.
        among: the architectures that may be asked for, where that is not the whole space, (n, d).

    Raises:
        UsageError: no budget, or a number out of range.
    """

    def __init__(
        self, choices: Sequence[int], budgets: Sequence[float], evaluations: int, seed: int = 0, *, fair: int = 2,
        among: Sequence[Sequence[int]] | None = None,
    ) -> None:
        self.choices = checked_choices(choices)
        self.budgets = np.array([checked_score(b) for b in budgets])
        if not len(self.budgets):
            raise UsageError("there is no budget: give at least one")
        for name, value in (("evaluations", evaluations), ("fair", fair)):
            if not is_whole(value) or value < 1:
                raise UsageError(f"{name} must be a whole number of at least 1, not {value}")
        self.evaluations, self._fair = int(evaluations), int(fair)
        self._among = None if among is None else np.array([checked_sample(x, self.choices) for x in among])
        self._rng = seeded_generator(seed)
        self._samples: list[Choice] = []
        self._scores: list[float] = []
        self._costs: list[float] = []
        self._plan: list[Choice] = []
        self._pending: Choice | None = None
        self._score_prior = self._cost_prior = Prior()
        self._picked = np.empty((0, len(self.choices)), dtype=np.int64)

    @property
    def done(self) -> bool:
        """True once every planned evaluation was told."""
        return len(self._samples) == self.evaluations

    def ask(self) -> Choice:
        """The next architecture to evaluate and to measure; the same one until it was told.

        Raises:
            UsageError: the search is done.
        """
        if self.done:
            raise UsageError(f"the search is done: all {self.evaluations} evaluations were asked and told")
        if self._pending is None:
            self._pending = self._draw()
        return self._pending

    def tell(self, choice: Sequence[int], score: float, cost: float) -> None:
        """Record the score and the cost of the outstanding ask.

        Raises:
            UsageError: another architecture, or no finite number; nothing changes.
        """
        if self._pending is None or tuple(choice) != self._pending:
            raise UsageError(f"tell must answer the last ask {self._pending}, not {tuple(choice)}")
        value, paid = checked_score(score), checked_score(cost)
        self._samples.append(self._pending)
        self._scores.append(value)
        self._costs.append(paid)
        self._pending = None

    def answers(self) -> list[tuple[Choice, float, float] | None]:
        """Per budget the best evaluated architecture within it, its score and its cost; None where there is none."""
        return [None if i is None else (self._samples[i], self._scores[i], self._costs[i]) for i in self._answers()]

    def state_dict(self) -> dict[str, Any]:
        """Everything the following asks depend on; plain values."""
        return self._header() | {
            "samples": [list(x) for x in self._samples], "scores": list(self._scores), "costs": list(self._costs),
            "plan": [list(x) for x in self._plan], "pending": list(self._pending or ()),
            "picked": self._picked.tolist(), "generator": pack_generator(self._rng),
            "priors": [prior.to_json() for prior in (self._score_prior, self._cost_prior)],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state` was taken; the following asks are the same, bit for bit.

        Raises:
            RunError: the state is broken or belongs to another search; nothing changes.
        """
        with reading_state():
            checked_header(state, self._header())
            samples, plan, picked = (
                [checked_sample(x, self.choices) for x in state[name]] for name in ("samples", "plan", "picked")
            )
            scores, costs = ([checked_score(v) for v in state[name]] for name in ("scores", "costs"))
            if not len(samples) == len(scores) == len(costs):
                raise ValueError("samples, scores and costs differ in length")
            pending = checked_sample(state["pending"], self.choices) if state["pending"] else None
            score_prior, cost_prior = (Prior.from_json(value) for value in state["priors"])
            rng = unpack_generator(state["generator"])
        self._samples, self._scores, self._costs, self._plan, self._pending = samples, scores, costs, plan, pending
        self._picked = np.array(picked, dtype=np.int64).reshape(-1, len(self.choices))
        self._score_prior, self._cost_prior, self._rng = score_prior, cost_prior, rng

    def _header(self) -> dict[str, Any]:
        among = None if self._among is None else hashlib.sha256(self._among.tobytes()).hexdigest()[:16]
        return {
            "hwnas_many_budgets": 1, "choices": list(self.choices), "budgets": self.budgets.tolist(),
            "evaluations": self.evaluations, "fair": self._fair, "among": among,
        }

    def _answers(self) -> list[int | None]:
        found: list[int | None] = []
        for budget in self.budgets.tolist():
            within = [i for i, cost in enumerate(self._costs) if cost <= budget]
            found.append(max(within, key=lambda i: (self._scores[i], -i)) if within else None)
        return found

    def _draw(self) -> Choice:
        if not self._plan and len(self._samples) < self._fair * max(self.choices):
            self._plan = self._first()
        if self._plan:
            return self._plan.pop(0)
        found = self._most_worth()
        return found if found is not None else self._samples[int(self._rng.integers(len(self._samples)))]

    def _first(self) -> list[Choice]:
        if self._among is None:
            return fair_cycle([np.ones(k, dtype=np.bool_) for k in self.choices], self._rng)
        rows = self._rng.choice(len(self._among), min(max(self.choices), len(self._among)), replace=False)
        return [tuple(row) for row in self._among[rows].tolist()]

    def _most_worth(self) -> Choice | None:
        open_ = [i for i, k in enumerate(self.choices) if k > 1]
        if not open_:
            return None
        every = np.array(self._samples, dtype=np.int64)
        seen, y, costs = every[:, open_], quantiles(self._scores), np.array(self._costs)
        unit, zero = float(costs.std()) or 1.0, float(costs.mean())
        if len(y) >= _REFIT * self._score_prior.fitted:
            self._refit(seen, y, (costs - zero) / unit)
            self._picked = np.array(self._generated(costs), dtype=np.int64).reshape(-1, len(self.choices))
        scores = Posterior(self._score_prior, seen, y)
        paid = Posterior(self._cost_prior, seen, (costs - zero) / unit)
        best = np.array([_LOWEST if i is None else y[i] for i in self._answers()])
        limits = (self.budgets - zero) / unit

        def worth(candidates: IntArray) -> FloatArray:
            inside = candidates[:, open_]
            mean, deviation = paid.moments(inside)
            within = below((limits[:, None] - mean[None, :]) / deviation)
            total: FloatArray = (within * expected_gain(*scores.moments(inside), best)).sum(axis=0)
            return total

        if self._among is not None:
            left = unseen(self._among, every)
            return tuple(left[int(worth(left).argmax())].tolist()) if len(left) else None
        law: Rows = [np.full(k, 1 / k) for k in self.choices]
        start = np.concatenate([self._picked, propose(every, self._scores, law, self._rng)])
        return climb(unseen(start, every), every, law, worth)

    def _refit(self, seen: IntArray, y: FloatArray, costs: FloatArray) -> None:
        m, d = agreements(seen, seen), seen.shape[1]
        self._score_prior = self._score_prior.fit(m, y, d) if y.any() else self._score_prior
        self._cost_prior = self._cost_prior.fit(m, costs, d) if costs.any() else self._cost_prior

    def _generated(self, costs: FloatArray) -> list[Choice]:
        """What DPNG picks for every budget by additive effects of the scores and the costs."""
        labels = [0] * len(costs)
        effects = fit_effects(self._samples, self._scores, labels, self.choices, _RIDGE).rows()
        prices = fit_effects(self._samples, costs.tolist(), labels, self.choices, _RIDGE).rows()
        tick = max(float(costs.max()), 1e-12) / _TICKS
        whole = [np.round(row / tick).astype(np.int64) for row in prices]
        mean = round(float(costs.mean()) / tick)
        found: list[Choice] = []
        for budget in self.budgets.tolist():
            try:
                solution = solve(effects, whole, round(budget / tick) - mean, top=_TOP)
            except BudgetInfeasible:
                continue
            found += [solution.choice, *(other.choice for other in solution.others)]
        return found
