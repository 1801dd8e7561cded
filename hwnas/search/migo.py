"""MIGO: learn a distribution over architectures from fair cycles, pruning the weakest op of every choice as it goes.

Source: Zheng et al., MIGO-NAS (TPAMI 43(9):2936-2952, 2021) and its released search. Three modes:

    mode           effects that drive the step             step                             prunes the least
    reference      mean rank weight, this cycle            clamped, momentum after trust    probability
    corrected      mean rank weight, this cycle            exponential, length delta        probability
    pooled         ridge regression on all samples         exponential, length delta        effect

What is left of a number of evaluations are further cycles before the first pruning. The asks of a cycle may be out at
once; the next cycle begins when all of them are answered, since it depends on what was pruned. An evaluation that
failed is missing in the effects of its cycle. For scores that stay, `surrogates.interactions` goes on where this asks
fair cycles to the end.

Deviations from the paper, all ours: `corrected` and `pooled` as a whole; equal scores share their
weight in every mode; `keep` (the paper prunes to one op) and `protect` (the paper protects none); a choice narrower
than the widest waits with its pruning until the others are as narrow (on equal rows this is the paper; on ragged
additive objectives it found architectures 0.3 to 0.5 standard deviations better than pruning every row each time, and
was equal within noise on pairwise ones); `distribution()` reports no mass on pruned ops, also in mode reference, where
the internal law keeps it as released.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hwnas.errors import UnknownName, UsageError
from hwnas.search.cycle import Protected, cycle_effects, fair_cycle, planned_evaluations, protected_ops, weakest
from hwnas.search.distribution import BoolArray, Distribution, Rows
from hwnas.search.effects import EffectFit, fit_effects
from hwnas.search.history import History, HistoryStrategy, checked_sample, is_whole
from hwnas.search.rank_weights import WEIGHTS
from hwnas.search.simplex import Move, corrected_move, per_row_move, reference_move
from hwnas.search.state import checked_header, pack_generator, reading_state, seeded_generator, unpack_generator
from hwnas.search.strategy import Choice, Strategy
from hwnas.search.surrogates.interactions import InteractionSearch

INTERACTIONS = "interactions"  # the mode that is a strategy of its own


@dataclass(frozen=True)
class MigoOptions:
    """Settings of the optimiser; see `MigoOptimizer`."""

    mode: str
    evaluations: int
    s: int
    delta: float
    gamma: float
    h: float
    ridge: float
    keep: int
    protect: list[int | list[int]]
    utility: str
    per_row: bool

    def check(self, choices: Choice) -> None:
        """Raise UsageError on the first setting that cannot be."""
        if self.mode not in _MODES:
            raise UnknownName("mode", self.mode, _MODES)
        if self.utility not in WEIGHTS:
            raise UnknownName("utility", self.utility, WEIGHTS)
        for name, low in (("delta", 0.0), ("h", 0.0), ("ridge", 0.0)):
            if not low < getattr(self, name) < math.inf:
                raise UsageError(f"{name} must be a finite number above 0, not {getattr(self, name)}")
        if not 0 <= self.gamma < 1:
            raise UsageError(f"gamma must be at least 0 and below 1, not {self.gamma}")
        self._check_pruning(choices)
        if self.mode == "reference" and (len(set(choices)) > 1 or self.per_row):
            raise UsageError(
                "mode 'reference' needs the same number of ops in every choice and no per_row: use mode 'pooled' "
                f"(ops per choice {list(choices)}, per_row {self.per_row})"
            )

    def _check_pruning(self, choices: Choice) -> None:
        for name in ("s", "keep", "evaluations"):
            if not is_whole(getattr(self, name)) or getattr(self, name) < 1:
                raise UsageError(f"{name} must be a whole number of at least 1, not {getattr(self, name)}")
        if self.keep >= max(choices) > 1:
            raise UsageError(f"keep must be below the {max(choices)} ops of the widest choice, not {self.keep}")
        if self.protect and len(self.protect) != len(choices):
            raise UsageError(f"protect needs one op per choice ({len(choices)}), not {len(self.protect)}")
        for i, k in enumerate(choices):
            for op in protected_ops(self.protect, i):
                if not is_whole(op) or not 0 <= op < k:
                    raise UsageError(f"protect of choice {i} must be an op index from 0 to {k - 1}, not {op}")


class MigoOptimizer(HistoryStrategy):
    """Fair sampling, natural-gradient steps, progressive pruning.

    A cycle has as many evaluations as the widest choice has live ops. After each cycle the law moves; after `s`
    cycles every choice that is as wide loses its weakest op, until all are down to `keep`. Evaluations:
    s * sum_{n=keep+1..max K} n, or as many as were asked for.

    Args:
        choices: number of ops of each choice; rows may differ except in mode reference.
        mode: reference, corrected or pooled (table at the top of the file); None is pooled. The registry gives
            `surrogates.interactions` for the mode of that name, and for None where `evaluations` is given.
        evaluations: how many in all; decides `s`, the largest whose cycles fit, at least 1.
        s: cycles between two prunings, 3 by default; instead of `evaluations`.
        delta: Fisher length of one step over all choices together.
        gamma: momentum.
        h: scale of the rank weights; modes reference and corrected.
        ridge: prior precision of the effects, in samples; drives mode pooled, and the reported effects of all.
        keep: live ops per choice at which pruning stops; 1 is the paper.
        protect: op index per choice, or several, that is never pruned (the cheapest op, so that tight budgets stay in
            reach); where these are more than `keep`, all of them stay.
        seed: of the private generator.
        utility: log or distance_log; modes reference and corrected.
        per_row: give each choice its own step length delta/sqrt(d) instead of sharing one; corrected and pooled.

    Raises:
        UsageError: a setting out of range; the message says which.
    """

    @classmethod
    def build(cls, choices: Sequence[int], **options: Any) -> Strategy:
        """`InteractionSearch` where scores stay: of mode interactions, or of no mode and with `evaluations`."""
        mode = options.get("mode") or (INTERACTIONS if options.get("evaluations") is not None else "pooled")
        if mode != INTERACTIONS:
            return cls(choices, **options)
        checked = cls(choices, **options | {"mode": "pooled"}).options  # the settings that it has no use for
        planned = options.get("evaluations")
        return InteractionSearch(
            choices, checked.evaluations if planned is None else planned, options.get("seed", 0), ridge=checked.ridge,
            delta=checked.delta, gamma=checked.gamma, per_row=checked.per_row,
        )

    def __init__(
        self,
        choices: Sequence[int],
        *,
        mode: str | None = None,
        evaluations: int | None = None,
        s: int | None = None,
        delta: float = 1.0,
        gamma: float = 0.8,
        h: float = 0.4,
        ridge: float = 10.0,
        keep: int = 1,
        protect: Protected | None = None,
        seed: int = 0,
        utility: str = "log",
        per_row: bool = False,
    ) -> None:
        self.history = History(choices)
        guarded = [] if protect is None else [list(ops) if isinstance(ops, Sequence) else ops for ops in protect]
        if evaluations is not None and s is not None:
            raise UsageError("give evaluations or s, not both: the one decides the other")
        mode = mode or "pooled"
        cycles, planned = 3 if s is None else s, 1 if evaluations is None else evaluations
        options = MigoOptions(mode, planned, cycles, delta, gamma, h, ridge, keep, guarded, utility, per_row)
        options.check(self.choices)
        unit, widest, self._extra = planned_evaluations(self.choices, 1, keep), max(self.choices), 0
        if evaluations is not None:
            cycles = max(1, planned // max(unit, 1))
            self._extra = max(0, planned - cycles * unit) // widest if unit else 0
        made = cycles * unit + self._extra * widest
        planned = made if evaluations is None else min(planned, made)
        self.options = dataclasses.replace(options, s=cycles, evaluations=planned)
        self.rng = seeded_generator(seed)
        self.theta: Rows = [np.full(k, 1 / k) for k in self.choices]
        self._velocity: Rows = [np.zeros(k) for k in self.choices]
        self._live: list[BoolArray] = [np.ones(k, dtype=np.bool_) for k in self.choices]
        self._cycle = 0
        self._plan: list[Choice] = []

    @property
    def evaluations(self) -> int:
        return self.options.evaluations

    def _ready(self) -> bool:
        return bool(self._plan) or not self.history.pending

    def _draw(self) -> Choice:
        if not self._plan:
            self._plan = fair_cycle(self._live, self.rng)
        return self._plan.pop(0)

    def _cycle_label(self) -> int:
        return self._cycle

    def _learn(self) -> None:
        if not self._plan and not self.history.pending:
            self._end_cycle()

    def _learn_failure(self) -> None:
        self._learn()

    def distribution(self) -> Distribution:
        law = [np.where(mask, theta, 0.0) for theta, mask in zip(self.theta, self._live, strict=True)]
        effects, stderr = self._fit().centred(self._live)
        return Distribution([p / p.sum() for p in law], self._live, effects, stderr)

    def _fit(self) -> EffectFit:
        r = self.history
        return fit_effects(r.samples, r.scores, r.cycles, r.choices, self.options.ridge)

    def _end_cycle(self) -> None:
        rule, o = _MODES[self.options.mode], self.options
        effects = rule.estimate(self)
        move = per_row_move if o.per_row else rule.move
        self.theta, self._velocity = move(self.theta, self._velocity, effects, self._live, o.delta, o.gamma)
        self._cycle += 1
        if self._cycle > self._extra and (self._cycle - self._extra) % o.s == 0:
            rank = effects if rule.prunes_by_effect else self.theta
            self._prune(rank, effects, rule.keeps_dead_mass)

    def _prune(self, rank: Rows, effects: Rows, keeps_dead_mass: bool) -> None:
        weak = [weakest(rank[i], effects[i], mask, protected_ops(self.options.protect, i))
                for i, mask in enumerate(self._live)]
        widest = max((int(mask.sum()) for mask, op in zip(self._live, weak, strict=True) if op is not None), default=0)
        for i, (mask, op) in enumerate(zip(self._live, weak, strict=True)):
            if op is None or mask.sum() < max(widest, self.options.keep + 1):
                continue
            self._live[i] = mask & (np.arange(len(mask)) != op)
            if not keeps_dead_mass:
                theta = np.where(self._live[i], self.theta[i], 0.0)
                self.theta[i] = theta / theta.sum()
                self._velocity[i] = np.where(self._live[i], self._velocity[i], 0.0)

    def _rank_effects(self) -> Rows:
        at = [j for j, cycle in enumerate(self.history.cycles) if cycle == self._cycle]
        if not at:
            return [np.zeros(k) for k in self.choices]
        weights = WEIGHTS[self.options.utility](np.array([self.history.scores[j] for j in at]), self.options.h)
        return cycle_effects([self.history.samples[j] for j in at], weights, self.choices)

    def _pooled_effects(self) -> Rows:
        return self._fit().rows()

    def _header(self) -> dict[str, Any]:
        options = {name: _plain(value) for name, value in dataclasses.asdict(self.options).items()}
        return {"hwnas_strategy": 1, "strategy": "migo", "choices": list(self.choices), "options": options}

    def state_dict(self) -> dict[str, Any]:
        return self._header() | {
            "records": self.history.state(),
            "probabilities": [row.tolist() for row in self.theta],
            "velocity": [row.tolist() for row in self._velocity],
            "live": [row.astype(int).tolist() for row in self._live],
            "cycle": self._cycle,
            "plan": [list(sample) for sample in self._plan],
            "generator": pack_generator(self.rng),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        with reading_state():
            checked_header(state, self._header())
            records = History.from_state(self.choices, state["records"])
            theta = [np.array(row, dtype=np.float64) for row in state["probabilities"]]
            velocity = [np.array(row, dtype=np.float64) for row in state["velocity"]]
            live = [np.array(row, dtype=np.bool_) for row in state["live"]]
            self._check_rows(theta, velocity, live)
            cycle, plan = int(state["cycle"]), [checked_sample(sample, self.choices) for sample in state["plan"]]
            rng = unpack_generator(state["generator"])
        self.history, self.theta, self._velocity, self._live = records, theta, velocity, live
        self._cycle, self._plan, self.rng = cycle, plan, rng

    def _check_rows(self, theta: Rows, velocity: Rows, live: list[BoolArray]) -> None:
        for rows in (theta, velocity, live):
            if tuple(row.shape for row in rows) != tuple((k,) for k in self.choices):
                raise ValueError("probabilities, velocity and live must have one row per choice")
        for t, v, mask in zip(theta, velocity, live, strict=True):
            if not (np.isfinite(v).all() and t.min() >= 0 and abs(t.sum() - 1) < 1e-9 and t[mask].sum() > 0):
                raise ValueError("probabilities must be a law on the live ops and velocities finite")


@dataclass(frozen=True)
class _Mode:
    estimate: Callable[[MigoOptimizer], Rows]
    move: Move
    prunes_by_effect: bool
    keeps_dead_mass: bool


_MODES: dict[str, _Mode] = {
    "reference": _Mode(MigoOptimizer._rank_effects, reference_move, False, True),
    "corrected": _Mode(MigoOptimizer._rank_effects, corrected_move, False, False),
    "pooled": _Mode(MigoOptimizer._pooled_effects, corrected_move, True, False),
}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if is_whole(value):
        return int(value)
    return value if isinstance(value, str) else float(value)
