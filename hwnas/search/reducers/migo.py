"""MIGO's pruning: the op of the least effect goes, in every choice that is as wide as the widest, until few are left.

MIGO does so while it searches, and nothing is left to do; the outcome of another strategy is pruned at its end.
Source: Zheng et al., MIGO-NAS (TPAMI 43(9), 2021); `keep` and `protect` are ours (ADR 0002).
"""

from __future__ import annotations

import numpy as np

from hwnas.errors import UsageError
from hwnas.search.cycle import Protected, protected_ops, weakest
from hwnas.search.roles import Mask, Reducer, SearchOutcome
from hwnas.space import Space


class MigoPruning(Reducer):
    """At most `keep` ops per choice are left, the protected ones among them, or these alone where they are more.

    Raises:
        UsageError: keep is below 1.
    """

    def __init__(self, keep: int, protect: Protected | None = None) -> None:
        if keep < 1:
            raise UsageError(f"a choice must keep at least 1 op, not {keep}")
        self.keep, self.protect = keep, protect

    def reduce(self, space: Space, outcome: SearchOutcome) -> Mask:
        law = outcome.distribution
        live = [np.array(mask) for mask in law.live]
        for i, mask in enumerate(live):
            protected, effects = protected_ops(self.protect, i), law.effects[i]
            while mask.sum() > self.keep and (op := weakest(effects, effects, mask, protected)) is not None:
                mask[op] = False
        return live
