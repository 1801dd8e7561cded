"""Progressive search: choices are opened one after the other, a surrogate picks the prefixes that are worth a score.

Source: Liu et al., Progressive Neural Architecture Search (ECCV 2018), with its MLP ensemble as surrogate. There a
cell grows block by block and every intermediate cell is a network of its own. A space of fixed size has no smaller
networks, so here:

    paper                                        here
    a cell of b blocks                           a prefix: b groups of choices decided, the others open
    it is trained as it is                       it is completed with uniform random ops and then scored
    blocks are embedded, then averaged           one-hot ops, 1/K_i for each op of an open choice
    b = 1 is exhaustive, then K per stage        `evaluations` are shared equally among the stages

The random completions make the score of a prefix an unbiased look at its mean over what is still open. The embedding
and the first layer of the paper's MLP are one matrix here, since nothing bends between them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.errors import UnknownName, UsageError
from hwnas.search.base import PlannedStrategy, incumbent_law
from hwnas.search.distribution import FloatArray, Rows
from hwnas.search.effects import fit_effects
from hwnas.search.evolution.mutation import random_choice, unseen_choice
from hwnas.search.history import History, checked_sample
from hwnas.search.strategy import Choice
from hwnas.search.surrogates.mlp import fit_ensemble
from hwnas.search.surrogates.prefixes import OPEN, checked_prefix, completed, op_shares, widened

# Fewer evaluations than this teach a stage nothing: choices then open several at a time.
LEAST_STAGE = 8
# Prefixes kept while a stage opens several choices; bounds the work, not the answer of any space we know.
WIDEST = 512

Predictor = Callable[[FloatArray], FloatArray]


class ProgressiveSearch(PlannedStrategy):
    """Ask: stage by stage the prefixes that the surrogate likes best among all that grow from those of the last one.

    There are as many stages as choices with two or more ops, fewer if a stage would have less than 8 evaluations;
    the last one, where everything is decided, takes what the division leaves over and repeats nothing.

    Args:
        choices, evaluations, seed, ridge: as in PlannedStrategy; `ridge` is that of the additive surrogate too.
        surrogate: mlp (the paper's ensemble) or additive (ridge regression on one-hot ops, the effects of MIGO).
        order: all choices in the order they open; None is the order of the space.

    Raises:
        UsageError: a setting out of range.
    """

    name = "pnas"
    anytime = False

    def __init__(
        self,
        choices: Sequence[int],
        evaluations: int,
        seed: int = 0,
        *,
        ridge: float = 10.0,
        surrogate: str = "mlp",
        order: Sequence[int] | None = None,
    ) -> None:
        super().__init__(choices, evaluations, seed, ridge=ridge)
        if surrogate not in SURROGATES:
            raise UnknownName("surrogate", surrogate, SURROGATES)
        opened = list(range(len(self.choices))) if order is None else list(order)
        if sorted(opened) != list(range(len(self.choices))):
            raise UsageError(f"order must name each of the {len(self.choices)} choices once, not {opened}")
        self._surrogate, self._order = surrogate, [int(i) for i in opened]
        self._groups = stages(self.choices, self._order, self.evaluations)
        self._stage = 0
        self._beam: list[Choice] = [tuple(OPEN if k > 1 else 0 for k in self.choices)]
        self._plan: list[Choice] = []

    def _ready(self) -> bool:
        """A stage opens once the scores of the one before are there."""
        return bool(self._plan) or self._stage == len(self._groups) or not self.history.pending

    def _draw(self) -> Choice:
        seen = self.history.attempted
        if not self._plan and self._stage < len(self._groups):
            self._open(seen)
        if self._plan:
            return self._plan.pop(0)
        fresh = unseen_choice(self.choices, seen, len(seen), self.rng)
        return fresh or random_choice(self.choices, self.rng)

    def _open(self, seen: set[Choice]) -> None:
        """Start the next stage: a new beam, and one completed architecture per evaluation of the stage."""
        predict = SURROGATES[self._surrogate](self.history, self.ridge, self.rng) if self.history.samples else None
        beam = self._beam
        for i in self._groups[self._stage]:
            beam = self._ranked(widened(beam, i, self.choices), predict)[:WIDEST]
        self._stage += 1
        if self._stage == len(self._groups):
            fresh = [choice for choice in beam if choice not in seen]
            self._beam, self._plan = [], fresh[: self.evaluations - self.asked]
            return
        count = self.evaluations // len(self._groups)
        self._beam = beam[:count]
        self._plan = []
        for j in range(count):
            taken = seen.union(self._plan)
            self._plan.append(completed(self._beam[j % len(self._beam)], self.choices, taken, self.rng))

    def _ranked(self, prefixes: list[Choice], predict: Predictor | None) -> list[Choice]:
        """Best first; in random order before anything is learnt, and among equals."""
        shuffled = [prefixes[j] for j in self.rng.permutation(len(prefixes))]
        if predict is None:
            return shuffled
        ranks = np.argsort(-predict(op_shares(shuffled, self.choices)), kind="stable")
        return [shuffled[j] for j in ranks]

    def law(self) -> Rows:
        return incumbent_law(self.best, self.choices)

    def _options(self) -> dict[str, Any]:
        return {"surrogate": self._surrogate, "order": self._order}

    def _state(self) -> dict[str, Any]:
        beam, plan = ([list(choice) for choice in part] for part in (self._beam, self._plan))
        return {"stage": self._stage, "beam": beam, "plan": plan}

    def _restore(self, state: Mapping[str, Any]) -> None:
        stage = int(state["stage"])
        beam = [checked_prefix(prefix, self.choices) for prefix in state["beam"]]
        plan = [checked_sample(choice, self.choices) for choice in state["plan"]]
        still_open = {i for group in self._groups[stage:] for i in group}
        if not 0 <= stage <= len(self._groups):
            raise ValueError(f"stage {stage} of {len(self._groups)}")
        if any({i for i, op in enumerate(prefix) if op == OPEN} != still_open for prefix in beam):
            raise ValueError(f"the beam does not belong to stage {stage}")
        self._stage, self._beam, self._plan = stage, beam, plan


def stages(choices: Choice, order: Sequence[int], evaluations: int) -> list[list[int]]:
    """The choices that can vary, split in order into groups as even as possible, one per stage."""
    free = [i for i in order if choices[i] > 1]
    count = min(len(free), max(1, evaluations // LEAST_STAGE))
    return [part.tolist() for part in np.array_split(free, count)] if free else []


def _additive(records: History, ridge: float, _: np.random.Generator) -> Predictor:
    effects = fit_effects(records.samples, records.scores, records.cycles, records.choices, ridge).b
    return lambda shares: shares @ effects


def _mlp(records: History, _: float, rng: np.random.Generator) -> Predictor:
    shares = op_shares(records.samples, records.choices)
    return fit_ensemble(shares, np.array(records.scores), rng).predict


SURROGATES: dict[str, Callable[[History, float, np.random.Generator], Predictor]] = {"additive": _additive, "mlp": _mlp}
