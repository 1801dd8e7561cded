"""PC-DARTS's edges: a weight for every edge of a node, learnt beside those of the ops.

    symbol   meaning                                                               shape
    p_e      probabilities of the ops of edge e                                    (K,)
    beta     logits of the edges of a node; w their softmax                        (edges,)

An edge gives w_e sum_k p_ek o_k. What is derived are the two edges of a node where w_e times the best p_ek is largest
(Xu et al., PC-DARTS, ICLR 2020). On a part of the channels: `hwnas.search.evaluators.partial`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hwnas.nets.mixture import Weights
from hwnas.search.differentiable.cells import law_of, network_of, nodes_of, nones_of, two_strongest
from hwnas.search.differentiable.logits import positive_softmax
from hwnas.search.differentiable.relaxations import Softmax
from hwnas.search.distribution import Rows
from hwnas.search.strategy import Choice
from hwnas.space import Space


class EdgeNormalised(Softmax):
    """Every candidate with its probability, times the weight of its edge."""

    def __init__(self, space: Space) -> None:
        super().__init__(space.sizes)
        self._nodes, self._none, self._sizes = nodes_of(space), nones_of(space), space.sizes

    def begin(self, sizes: Sequence[int]) -> Rows:
        return [np.zeros(k) for k in sizes] + [np.zeros(len(edges)) for edges in self._nodes]

    def probabilities(self, rows: Rows) -> Rows:
        return law_of([positive_softmax(row) for row in rows[: len(self._sizes)]], self._none, self.derived(rows))

    def derived(self, rows: Rows) -> Choice:
        best = []
        for weights, none in zip(self._weights([torch.from_numpy(row) for row in rows]), self._none, strict=True):
            own = {k: float(w) for k, w in weights.items() if k != none}
            best.append(dict([max(own.items(), key=lambda item: item[1])]))
        return network_of(two_strongest(best, self._nodes), self._none)

    def weights(self, logits: Sequence[Tensor], rng: np.random.Generator, progress: float) -> list[Weights]:
        return [*self._weights(logits)]

    def _weights(self, rows: Sequence[Tensor]) -> list[dict[int, Tensor]]:
        found: list[dict[int, Tensor]] = [{} for _ in self._sizes]
        for edges, beta in zip(self._nodes, rows[len(self._sizes) :], strict=True):
            for i, w in zip(edges, torch.softmax(beta, 0).unbind(), strict=True):
                found[i] = dict(enumerate((w * torch.softmax(rows[i], 0)).float().unbind()))
        return found
