"""NSE: a large pool of branches is tried subset by subset; what stands on the Pareto front goes on.

    symbol     meaning                                                                        shape
    layer      the choices that switch the branches of one node; N of them
    subset     the branches of a layer that a round can use: K = 1 + ceil((N - 1) / rounds)
    b          effects of switching a branch on, by scores of architectures drawn fairly, in points
    front      architectures that no other beats in both FLOPs and score; kept from round to round

Source: Ci et al., Evolving search space for neural architecture search, ICCV 2021 (27 branches, 5 at a time, 6 rounds).
Theirs: subsets that are the union of what the front uses, filled up with branches not tried yet; that every round
trains anew; that the front is scored again in every round. Ours: three rounds of larger subsets; branches that are
switched fairly and effects by regression, in place of gates learnt by gradients; DPNG over the switches for the
candidates of every budget, in place of 2,000 random draws. What was reproduced: benchmarks/indicators.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hwnas.errors import UsageError
from hwnas.generate import solve
from hwnas.search.cycle import Protected, fair_cycle, protected_ops
from hwnas.search.distribution import BoolArray, Rows
from hwnas.search.effects import fit_effects
from hwnas.search.roles import Evaluator, Mask, SearchOutcome, StagedReducer
from hwnas.search.strategy import Choice
from hwnas.space import Space

ROUNDS = 3
SCORED = 40  # architectures a round, at least, whose scores give the effects; as many as switches
BUDGETS = 12  # candidates a round
RIDGE = 10.0


class EvolvingSubsets(StagedReducer):
    """The branches that the front of the last round uses are left, each of them on or off.

    Args:
        keep: of no use here: a branch that is left can be on and off.
        protect: per choice an op that is to stay; what is off stays in any case.
    """

    stages = ROUNDS
    scored = SCORED + BUDGETS
    renews = True

    def __init__(self, keep: int, protect: Protected | None = None) -> None:
        self._seed, self._protect = 0, protect
        self._front: list[Choice] = []

    def begin(self, evaluator: Evaluator) -> None:
        self._seed = int(getattr(evaluator, "seed", 0))

    def first(self, space: Space) -> Mask:
        return self._mask(space, self._filled(space, [set() for _ in layers_of(space)], 0))

    def shrink(self, space: Space, live: Mask, stage: int, evaluator: Evaluator) -> Mask:
        cycles = max(SCORED, sum(bool(row.all()) for row in live)) // 2
        rng = np.random.default_rng((self._seed, 7, stage))
        samples = [choice for _ in range(cycles) for choice in fair_cycle(live, rng)]
        scores = [evaluator.evaluate(choice, space).value for choice in samples]
        effects = fit_effects(samples, scores, [0] * len(samples), tuple(space.sizes), RIDGE).centred(live)[0]
        found = dict.fromkeys([*self._front, *candidates(space, effects, live)])
        points = [(space.architecture(choice).flops, evaluator.evaluate(choice, space).value) for choice in found]
        self._front = [choice for choice, stays in zip(found, on_front(points), strict=True) if stays]
        used = [{i for i in layer if any(choice[i] == _switch(space, i)[1] for choice in self._front)}
                for layer in layers_of(space)]
        if stage == self.stages - 1:
            return self._mask(space, used)
        return self._mask(space, self._filled(space, used, stage + 1))

    def reduce(self, space: Space, outcome: SearchOutcome) -> Mask:
        return [np.array(row) for row in outcome.distribution.live]

    def state_dict(self) -> dict[str, Any]:
        return {"front": [list(choice) for choice in self._front]}

    def load(self, state: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
        self._front = [tuple(int(k) for k in choice) for choice in state["front"]]

    def _filled(self, space: Space, used: Sequence[set[int]], stage: int) -> list[set[int]]:
        """Every layer's subset of a round: what is used, and the next K - 1 branches of its order, K in the first."""
        found = []
        for number, (layer, own) in enumerate(zip(layers_of(space), used, strict=True)):
            order = np.random.default_rng((self._seed, 8, number)).permutation(layer).tolist()
            size = subset_size(len(layer))
            begin = stage and size + (stage - 1) * (size - 1)
            found.append(own | set(order[begin : size + stage * (size - 1)]))
        return found

    def _mask(self, space: Space, subsets: Sequence[set[int]]) -> list[BoolArray]:
        on = set().union(*subsets)
        mask = [np.ones(2, dtype=np.bool_) for _ in space.sizes]
        for i, row in enumerate(mask):
            row[_switch(space, i)[1]] = i in on or _switch(space, i)[1] in protected_ops(self._protect, i)
        return mask


def subset_size(count: int) -> int:
    """K for a layer of so many branches: all of them were tried after the last round if one goes on in each."""
    return min(count, 1 + -(-(count - 1) // ROUNDS))


def layers_of(space: Space) -> list[list[int]]:
    """The choices of every layer, in network order.

    Raises:
        UsageError: a choice that is no switch.
    """
    layers: dict[str, list[int]] = {}
    for edge, choice in zip(space.edges, space.choice_of, strict=True):
        if choice is not None and choice not in layers.setdefault(edge.target, []):
            _switch(space, choice)
            layers[edge.target].append(choice)
    return list(layers.values())


def _switch(space: Space, choice: int) -> tuple[int, int]:
    """The candidates of a switch that stand for off and on."""
    ops = space.choices[choice].ops
    if len(ops) != 2 or ops[0].cuts == ops[1].cuts:
        raise UsageError(f"--reduce evolve switches branches on and off, and {space.choices[choice].name} of space "
                         f"{space.name} is a choice of {len(ops)} ops: take --space nse, or --reduce migo")
    return (0, 1) if ops[0].cuts else (1, 0)


def candidates(space: Space, effects: Rows, live: Mask, count: int = BUDGETS) -> list[Choice]:
    """The cheapest architecture, which no other beats in FLOPs, and those of most effect within `count` budgets on
    them, from the least that is left to the most."""
    utilities = [np.where(row, effect, -np.inf) for effect, row in zip(effects, live, strict=True)]
    costs = [np.array(row, dtype=np.int64) for row in space.counts("flops")[1]]
    least, most = (sum(int(pick(row[mask])) for row, mask in zip(costs, live, strict=True))
                   for pick in (np.min, np.max))
    budgets = np.linspace(least, most, count + 1)[1:]
    cheapest = tuple(min(np.flatnonzero(mask).tolist(), key=row.__getitem__)
                     for row, mask in zip(costs, live, strict=True))
    return [cheapest, *(tuple(solve(utilities, costs, float(budget)).choice) for budget in budgets)]


def on_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Whether no other point costs less and scores as much, or costs as much and scores more; of equal ones the first.

    Args:
        points: (cost, score).
    """
    order = sorted(range(len(points)), key=lambda k: (points[k][0], -points[k][1], k))
    found, best = [False] * len(points), -np.inf
    for k in order:
        if points[k][1] > best:
            found[k], best = True, points[k][1]
    return found
