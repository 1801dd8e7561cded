"""How logits of ops become the weights of a mixture, one step at a time.

    symbol   meaning                                                    shape
    a_i      logits of choice i                                         (K_i,)
    p_i      probabilities, softmax(a_i)                                (K_i,)
    g_i      standard Gumbel noise; log p_i + g_i is largest at k       (K_i,)
             with probability p_ik, and its first two are a draw of
             two without replacement
    tau      temperature, falling from HOTTEST to COLDEST               scalar
    y_i      softmax((log p_i + g_i) / tau)                             (K_i,)
    q        softmax(a_ij, a_ik) of two candidates                      (2,)

    softmax  every candidate runs, with weight p_ik (Liu, Simonyan, Yang, DARTS, ICLR 2019)
    sampled  the candidate of the largest y_ik runs, with weight 1 going forward and y_ik going backward (Dong, Yang,
             Searching for a Robust Neural Architecture in Four GPU Hours, CVPR 2019: GDAS)
    paired   the first of two drawn candidates counts and the second runs beside it: weights 1 and 0 going forward, q
             going backward (Cai, Zhu, Han, ProxylessNAS, ICLR 2019, section 3.2; without their rescaling of the two
             logits, whose gradients here sum to 0)

One sampled candidate between two batch norms has no gradient to its weight: the norm behind it takes every factor out.
So `sampled` learns where maps are summed or put side by side, as in cells, and nothing in a chain; `paired` in both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from hwnas.nets.mixture import Mixture, Weights
from hwnas.search.differentiable.logits import positive_softmax
from hwnas.search.distribution import Rows
from hwnas.search.strategy import Choice
from hwnas.space import Space

HOTTEST, COLDEST = 10.0, 0.1  # as in the authors' code of GDAS


class Relaxation(ABC):
    """Makes a choice of ops something that has a gradient."""

    cost: float
    """What a step of the logits and one of the network's weights take together, in steps of one network."""
    samples: ClassVar[bool] = True
    """Whether a step of the network's weights runs one candidate a choice."""

    def begin(self, sizes: Sequence[int]) -> Rows:
        """The rows that are learnt, at first: logits a_i of every choice, and behind them what else there is."""
        return [np.zeros(k) for k in sizes]

    def probabilities(self, rows: Rows) -> Rows:
        """p_i of every choice, none of them 0."""
        return [positive_softmax(row) for row in rows]

    def derived(self, rows: Rows) -> Choice:
        """The network that the search would end with now."""
        return tuple(int(p.argmax()) for p in self.probabilities(rows))

    def mixture(self, space: Space, rows: Sequence[Tensor], rng: np.random.Generator, progress: float) -> Mixture:
        """What a step of the logits runs, with a gradient to them; arguments as of `weights`."""
        return Mixture.of_choices(space, self.weights(rows, rng, progress))

    def path(self, space: Space, rows: Sequence[Tensor], rng: np.random.Generator, progress: float) -> Choice | Mixture:
        """What a step of the network's weights runs."""
        found = self.trained(self.weights(rows, rng, progress))
        return Mixture.of_choices(space, found) if isinstance(found, list) else found

    @abstractmethod
    def weights(self, logits: Sequence[Tensor], rng: np.random.Generator, progress: float) -> list[Weights]:
        """Weights per choice, with a gradient to the logits.

        Args:
            logits: a_i.
            rng: of this step.
            progress: how much of the search is done, 0 to 1.
        """

    @abstractmethod
    def trained(self, weights: Sequence[Weights]) -> Choice | list[Weights]:
        """What a step of the network's weights runs: an architecture, or a mixture without a gradient to the logits."""


class Softmax(Relaxation):
    """Every candidate with its probability."""

    samples = False

    def __init__(self, sizes: Sequence[int]) -> None:
        self.cost = 2 * sum(sizes) / len(sizes)

    def weights(self, logits: Sequence[Tensor], rng: np.random.Generator, progress: float) -> list[Weights]:
        return [dict(enumerate(torch.softmax(row, 0).float().unbind())) for row in logits]

    def trained(self, weights: Sequence[Weights]) -> Choice | list[Weights]:
        return [{k: w.detach() for k, w in row.items() if isinstance(w, Tensor)} for row in weights]


class Sampled(Relaxation):
    """One candidate, drawn with its probability, and a gradient as if it had been a mixture."""

    cost = 2.0

    def weights(self, logits: Sequence[Tensor], rng: np.random.Generator, progress: float) -> list[Weights]:
        tau = HOTTEST + (COLDEST - HOTTEST) * progress
        found: list[Weights] = []
        for row in logits:
            noise = torch.from_numpy(rng.gumbel(size=len(row)))
            soft = torch.softmax((torch.log_softmax(row, 0) + noise) / tau, 0)
            drawn = int(soft.argmax())
            found.append({drawn: (1 - soft[drawn].detach() + soft[drawn]).float()})
        return found

    def trained(self, weights: Sequence[Weights]) -> Choice | list[Weights]:
        return tuple(next(iter(row)) for row in weights)


class Paired(Relaxation):
    """Two candidates, drawn with their probabilities: how a little of the second would change what the first gives."""

    cost = 3.0

    def weights(self, logits: Sequence[Tensor], rng: np.random.Generator, progress: float) -> list[Weights]:
        found: list[Weights] = []
        for row in logits:
            noise = torch.from_numpy(rng.gumbel(size=len(row)))
            first, second = (torch.log_softmax(row.detach(), 0) + noise).topk(2).indices.tolist()
            q = torch.softmax(row[[first, second]], 0)
            gates = (q - q.detach()).float()
            found.append({first: 1 + gates[0], second: gates[1]})
        return found

    def trained(self, weights: Sequence[Weights]) -> Choice | list[Weights]:
        return tuple(next(iter(row)) for row in weights)
