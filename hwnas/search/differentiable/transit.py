"""EnTranNAS: one cell of every kind is a mixture, all others run what would be derived from it now.

    symbol   meaning                                                                          shape
    a_e      logits of the ops of edge e                                                      (K,)
    p        probabilities: softmax over the ops of an edge, or (sparse) over all pairs of    (K,) or (P,)
             edge and op that lead to a node, `none` left out
    t_j      threshold of node j, before a sigmoid                                            scalar
    q, phat  q = relu(p - sigmoid(t_j) max p), phat = q / sum q                               (P,)

Source: Yang et al., Towards improving the consistency, efficiency, and flexibility of differentiable neural
architecture search, CVPR 2021 (no code was released). Theirs: engine and transit cells, so that memory and time are
nearly those of the derived network; `entrannas` keeps the two strongest edges of every node with their best op;
`entrannas_dst` the connections whose weight is not exactly 0, any number of them, by thresholds that are learnt. Ours:
the form of the thresholds, a sigmoid times the largest probability (the paper's own was not at hand); the engine is the
last cell of every kind, whose maps are smallest; transit cells sum what they run without weights; an edge runs one op
in them; ops of different edges share nothing, where the paper computes o(x) once for all edges from one node. What was
reproduced: benchmarks/cells.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hwnas.errors import UsageError
from hwnas.nets.mixture import Mixture, Weights
from hwnas.search.differentiable.cells import law_of, network_of, nodes_of, nones_of, two_strongest
from hwnas.search.differentiable.logits import positive_softmax
from hwnas.search.differentiable.relaxations import Softmax
from hwnas.search.distribution import Rows
from hwnas.search.strategy import Choice
from hwnas.space import Space

DENSE = -5.0  # thresholds at first: 1 / 150 of the largest


class Transit(Softmax):
    """A mixture in the last cell of every kind, and in the others what is derived.

    Args:
        space: whose cells are tied.
        sparse: whether thresholds say what is left, else the two strongest edges of a node are.

    Raises:
        UsageError: no choice of the space is made at several positions.
    """

    def __init__(self, space: Space, sparse: bool) -> None:
        super().__init__(space.sizes)
        tied = [[i for i, own in enumerate(space.choice_of) if own == choice] for choice in range(len(space.sizes))]
        if all(len(positions) == 1 for positions in tied):
            raise UsageError(f"the choices of space {space.name} are made once each, so no cell can stand for others: "
                             "take the searcher proxylessnas, or a space of cells")
        self._sparse, self._engine = sparse, {positions[-1] for positions in tied}
        self._nodes, self._none = nodes_of(space), nones_of(space)
        self._sizes = space.sizes
        whole, live = len(space.positions), len(self._engine)
        self.cost = 2 * (1 + live * (sum(space.sizes) / len(space.sizes) - 1) / whole)

    def begin(self, sizes: Sequence[int]) -> Rows:
        return [np.zeros(k) for k in sizes] + [np.array([DENSE]) for _ in self._nodes if self._sparse]

    def probabilities(self, rows: Rows) -> Rows:
        return law_of([positive_softmax(row) for row in rows[: len(self._sizes)]], self._none, self.derived(rows))

    def derived(self, rows: Rows) -> Choice:
        kept = self._kept([torch.from_numpy(row) for row in rows])
        return network_of(kept, self._none)

    def mixture(self, space: Space, rows: Sequence[Tensor], rng: np.random.Generator, progress: float) -> Mixture:
        dense: Sequence[Weights] = self._weights(rows)
        ones: Sequence[Weights] = [dict.fromkeys(own, 1.0) for own in self._kept(rows)]
        return Mixture([{0: 1.0} if choice is None else (dense if i in self._engine else ones)[choice]
                        for i, choice in enumerate(space.choice_of)])

    def path(self, space: Space, rows: Sequence[Tensor], rng: np.random.Generator, progress: float) -> Choice | Mixture:
        return self.mixture(space, [row.detach() for row in rows], rng, progress)

    def weights(self, logits: Sequence[Tensor], rng: np.random.Generator, progress: float) -> list[Weights]:
        return [*self._weights(logits)]

    def _weights(self, rows: Sequence[Tensor]) -> list[dict[int, Tensor | float]]:
        """Per choice the weights of its ops in an engine, those that are exactly 0 left out."""
        if not self._sparse:
            return [dict(enumerate(torch.softmax(row, 0).float().unbind())) for row in rows]
        found: list[dict[int, Tensor | float]] = [{} for _ in self._sizes]
        for node, edges in enumerate(self._nodes):
            pairs = [(i, k) for i in edges for k in range(self._sizes[i]) if k != self._none[i]]
            phat = thresholded(torch.stack([rows[i][k] for i, k in pairs]), rows[len(self._sizes) + node][0])
            for i in edges:
                found[i] = {k: phat[at].float() for at, (edge, k) in enumerate(pairs) if edge == i and phat[at] > 0}
        return found

    def _kept(self, rows: Sequence[Tensor]) -> list[dict[int, float]]:
        """Per choice the op that is derived, with its weight; nothing where the edge is left out."""
        with torch.no_grad():
            weights = [{k: float(w) for k, w in row.items() if k != self._none[i]}
                       for i, row in enumerate(self._weights(rows))]
        best = [dict([max(row.items(), key=lambda item: item[1])]) if row else {} for row in weights]
        return best if self._sparse else two_strongest(best, self._nodes)


def thresholded(logits: Tensor, t: Tensor) -> Tensor:
    """phat: probabilities of which those below a share of the largest are exactly 0; one at least is not."""
    p = torch.softmax(logits, 0)
    q = torch.relu(p - torch.sigmoid(t) * p.max())
    return q / q.sum()
