"""Regularised evolution: the population is the last P evaluations, a child changes one op of the best of a sample.

Sources: Real et al., Regularized Evolution for Image Classifier Architecture Search (AAAI 2019); sizes and mutation
law of the released NAS-Bench-201 code (Dong and Yang, ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hwnas.search.base import PlannedStrategy, incumbent_law
from hwnas.search.distribution import Rows
from hwnas.search.evolution.mutation import edit_law, edited, random_choice
from hwnas.search.settings import whole
from hwnas.search.strategy import Choice

# The benchmark draws the node first, then an edge into it: edges 1_0, 2_0, 2_1, 3_0, 3_1, 3_2.
NASBENCH201_MUTATES = (1 / 3, 1 / 6, 1 / 6, 1 / 9, 1 / 9, 1 / 9)


class RegularisedEvolution(PlannedStrategy):
    """Ask: `population` uniform draws, then each time the best of `sample` members, drawn with replacement, mutated.

    The oldest member leaves whenever a child enters, however good it is. Architectures may repeat, as released.
    The sizes are those of NAS-Bench-201, a tenth and less of what the first paper took for 20,000 evaluations; they
    do not shrink further, so that the asks do not depend on `evaluations`: with 10 or fewer it is random search.

    Args:
        choices, evaluations, seed, ridge: as in PlannedStrategy.
        population: members, P.
        sample: members compared for one parent.
        mutates: relative weight of each choice to be the mutated one, None for equal weights. The benchmark's own law
            is `NASBENCH201_MUTATES`. The new op is uniform over the others.

    Raises:
        UsageError: a setting out of range.
    """

    name = "rea"

    def __init__(
        self,
        choices: Sequence[int],
        evaluations: int,
        seed: int = 0,
        *,
        ridge: float = 10.0,
        population: int = 10,
        sample: int = 3,
        mutates: Sequence[float] | None = None,
    ) -> None:
        super().__init__(choices, evaluations, seed, ridge=ridge)
        self._population, self._sample = whole("population", population, 1), whole("sample", sample, 1)
        self._edits = edit_law(self.choices, mutates)

    def _draw(self) -> Choice:
        r = self.history
        size = min(self._population, len(r.samples))
        if r.asked < self._population or not size:
            return random_choice(self.choices, self.rng)
        members = len(r.samples) - size + self.rng.integers(size, size=self._sample)
        parent = max(members.tolist(), key=r.scores.__getitem__)
        return edited(r.samples[parent], self.choices, self._edits, self.rng)

    def law(self) -> Rows:
        return incumbent_law(self.best, self.choices)

    def _options(self) -> dict[str, Any]:
        return {"population": self._population, "sample": self._sample, "mutates": self._edits.tolist()}
