"""How well a signal orders architectures whose truth is known.

    symbol     meaning                                                                      shape
    signal     what somebody says of some architectures; larger is better                  (n,)
    truth      what training each of them whole gave, percent                               (n,), and of all (K_1, ..)
    cost       of every architecture, e.g. FLOPs                                            as truth
    pair       an op at a choice; its signal and its truth are means over what holds it     (sum K_i,)

    tau        Kendall's tau-b of signal and truth
    near       the same over pairs of architectures whose costs lie within 10 % of one another: the order that a search
               within one budget needs
    of pairs   Kendall's tau-b of the signals and the truths of all pairs
    kept       how many of the 8 pairs of the best truth are among the 10 of the best signal (Hu et al., ABS, ECCV 2020,
               drop 20 of the 30 of NAS-Bench-201)
    regret     best truth within a budget minus that of DPNG's answer by additive effects of the signal, in percent
               points, the mean over `BUDGETS`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hwnas.bench.benchmark import FloatArray
from hwnas.errors import InputError
from hwnas.generate import solve
from hwnas.latency.metrics import kendall_tau
from hwnas.search.cycle import cycle_effects
from hwnas.search.effects import fit_effects

NEAR = 0.1
BEST, KEPT = 8, 10
BUDGETS = (0.25, 0.5, 0.75, 1.0)  # of the largest cost
RIDGE = 10.0

Cells = Sequence[tuple[int, ...]]


@dataclass(frozen=True)
class Ranking:
    """How a signal orders; the words are those of the top of the file.

    Args:
        near: nan where no two costs are near.
        regrets: of every budget.
    """

    tau: float
    near: float
    of_pairs: float
    kept: int
    regrets: tuple[float, ...]

    @property
    def regret(self) -> float:
        return float(np.mean(self.regrets))


def ranking(cells: Cells, signal: Sequence[float] | FloatArray, truths: FloatArray,
            costs: Sequence[Sequence[int]]) -> Ranking:
    """Judge a signal.

    Args:
        cells: architectures that it speaks of, each once.
        signal: of each; what is no finite number is the worst of all.
        truths: of every architecture, shape (K_1, ..., K_d).
        costs: per choice what its ops cost.

    Raises:
        InputError: another number of signals, or fewer than two finite ones.
    """
    said = np.asarray(signal, dtype=np.float64)
    if said.shape != (len(cells),) or np.isfinite(said).sum() < 2:
        raise InputError(f"a ranking needs a number for each of {len(cells)} architectures and two that are finite, "
                         f"not {said.shape} with {int(np.isfinite(said).sum())}")
    said = np.where(np.isfinite(said), said, said[np.isfinite(said)].min())
    table = np.asarray(cells, dtype=np.int64)
    truth = truths[tuple(table.T)]
    cost = sum(np.asarray(row, dtype=np.float64)[table[:, i]] for i, row in enumerate(costs))
    found, best = pair_means(table, said, truths.shape), _true_pairs(truths)
    order = np.argsort(-np.nan_to_num(found, nan=-np.inf), kind="stable")
    kept = len(set(order[:KEPT].tolist()) & set(np.argsort(-best, kind="stable")[:BEST].tolist()))
    known = np.isfinite(found)
    return Ranking(kendall_tau(said, truth), tau_near(said, truth, np.asarray(cost), NEAR),
                   kendall_tau(found[known], best[known]), kept, _regrets(cells, said, truths, costs))


def pair_means(cells: np.ndarray, values: FloatArray, sizes: Sequence[int]) -> FloatArray:
    """The mean value of the architectures that hold each op, choice by choice; nan where none does."""
    return np.concatenate(cycle_effects(cells, values, sizes, unseen=np.nan))


def tau_near(signal: FloatArray, truth: FloatArray, cost: FloatArray, share: float) -> float:
    """Kendall's tau-b over the pairs whose costs differ by at most `share` of the larger; nan where there is none."""
    upper = np.triu_indices(len(signal), 1)
    near = np.abs(cost[upper[0]] - cost[upper[1]]) <= share * np.maximum(cost[upper[0]], cost[upper[1]])
    a, b = (np.sign(v[upper[0]] - v[upper[1]])[near] for v in (signal, truth))
    scale = float(np.count_nonzero(a)) * float(np.count_nonzero(b))
    return float((a * b).sum() / scale**0.5) if scale else float("nan")


def _true_pairs(truths: FloatArray) -> FloatArray:
    others = [tuple(j for j in range(truths.ndim) if j != i) for i in range(truths.ndim)]
    return np.concatenate([truths.mean(axis=axes) for axes in others])


def _regrets(cells: Cells, said: FloatArray, truths: FloatArray, costs: Sequence[Sequence[int]]) -> tuple[float, ...]:
    """Of DPNG's answers within every budget, by the effects of the signal."""
    sizes = truths.shape
    fit = fit_effects(cells, said.tolist(), [0] * len(cells), sizes, RIDGE)
    whole = np.zeros(sizes)
    for i, row in enumerate(costs):
        whole = whole + np.asarray(row, dtype=np.float64).reshape([-1 if j == i else 1 for j in range(len(sizes))])
    least, regrets = int(whole.min()), []
    for share in BUDGETS:
        limit = max(least, int(share * whole.max()))
        answer = solve([np.array(row) for row in fit.rows()], [list(map(int, row)) for row in costs], limit)
        regrets.append(float(truths[whole <= limit].max() - truths[tuple(answer.choice)]))
    return tuple(regrets)
