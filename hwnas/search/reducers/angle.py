"""ABS: ops whose weights training turns least go first, in stages.

    symbol      meaning                                                                    shape
    angle       of an architecture, see search/angles.py                                   scalar
    score       mean angle of architectures drawn fairly that hold an op                   per choice and op
    T           ops that go in all, dealt evenly to the stages                             scalar

Source: Hu et al., Angle-based search space shrinking, ECCV 2020. Theirs: the score, that the ops of least score of all
choices together go, that a choice keeps one, and that the base weights are renewed once (there after 50 dropped ops of
147, here after a third of T). Ours: sums in place of vectors, which are exact (search/angles.py); half of what a search
with this `keep` would prune goes here and the rest by effects, where the paper goes on until 1e6 architectures are
left; three stages; what is protected stays. What was reproduced: benchmarks/indicators.md.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from hwnas.errors import UsageError
from hwnas.search.cycle import Protected, cycle_effects, fair_cycle, protected_ops
from hwnas.search.reducers.migo import MigoPruning
from hwnas.search.roles import Evaluator, Mask, StagedReducer
from hwnas.space import Space

CYCLES = 200  # fair cycles of architectures whose angles are averaged
RENEWED = 1 / 3  # of the ops that go, after which the base is the weights of that time


class AngleShrinking(MigoPruning, StagedReducer):
    """The mask after every stage; at the end of a search nothing more is removed than MIGO would.

    Args:
        keep: how many ops of every choice the search leaves in the end.
        protect: per choice an op that is to stay, or several.

    Raises:
        UsageError: keep is below 1.
    """

    stages = 3

    def __init__(self, keep: int, protect: Protected | None = None) -> None:
        super().__init__(keep, protect)
        self._base: Any = None
        self._renewed = False

    def begin(self, evaluator: Evaluator) -> None:
        self._base = copy.deepcopy(_supernet(evaluator))

    def shrink(self, space: Space, live: Mask, stage: int, evaluator: Evaluator) -> Mask:
        from hwnas.search.angles import Angles

        angles = Angles.between(self._base, _supernet(evaluator))
        rng = np.random.default_rng(stage)
        drawn = [choice for _ in range(CYCLES) for choice in fair_cycle(live, rng)]
        rows = cycle_effects(drawn, [angles.of(choice) for choice in drawn], space.sizes)
        mask = [np.array(row) for row in live]
        total = self._in_all(space)
        gone = sum(space.sizes) - sum(int(row.sum()) for row in mask)
        due = round(total * (stage + 1) / self.stages) - gone
        order = sorted((rows[i][k], i, k) for i, row in enumerate(mask) for k in np.flatnonzero(row).tolist())
        for _, i, k in order:
            if due <= 0:
                break
            if mask[i].sum() > 1 and k not in protected_ops(self.protect, i):
                mask[i][k] = False
                due -= 1
        if not self._renewed and sum(space.sizes) - sum(int(row.sum()) for row in mask) >= RENEWED * total:
            self._base, self._renewed = copy.deepcopy(_supernet(evaluator)), True
        return mask

    def tensors(self) -> dict[str, Any]:
        return dict(self._base.state_dict())

    def state_dict(self) -> dict[str, Any]:
        return {"renewed": self._renewed}

    def load(self, state: Mapping[str, Any], tensors: Mapping[str, Any]) -> None:
        self._base.load_state_dict(dict(tensors))
        self._renewed = bool(state["renewed"])

    def _in_all(self, space: Space) -> int:
        return sum(max(0, k - self.keep) for k in space.sizes) // 2


def _supernet(evaluator: Evaluator) -> Any:
    found = getattr(evaluator, "supernet", None)
    if found is None:
        raise UsageError("angles are of shared weights, and this evaluator has none: take the evaluator shared")
    return found
