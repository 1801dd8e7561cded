"""Bayesian optimisation: a Gaussian process on ops, expected improvement over mutants of the best and random draws.

Sources: the loop of White, Neiswanger and Savani, BANANAS (AAAI 2021), with a Gaussian process for its ensemble; the
kernel and the improvement are named in gaussian_process. Scores enter as normal scores of their ranks (ours): a few
broken architectures far below the rest would otherwise set the scale of everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hwnas.errors import UnknownName, UsageError
from hwnas.search.base import PlannedStrategy, incumbent_law
from hwnas.search.distribution import FloatArray, Rows
from hwnas.search.evolution.mutation import random_choice, unseen_choice
from hwnas.search.settings import whole
from hwnas.search.strategy import Choice
from hwnas.search.surrogates.gaussian_process import (
    LENGTHS,
    NOISES,
    SHARES,
    Distances,
    Setting,
    condition,
    fit,
    squared_distances,
)
from hwnas.search.surrogates.interaction_gp import expected_gain, quantiles
from hwnas.search.surrogates.paths import path_encoding
from hwnas.search.surrogates.prefixes import op_shares

IntArray = npt.NDArray[np.int64]

# Proposals of one ask: children of each of the best so far, by one edit or two, and uniform draws.
PARENTS, CHILDREN, DRAWS = 10, 20, 100
# New scores before the hyper-parameters are chosen again: this many, or this share of all.
REFIT, REFIT_SHARE = 5, 10
# Scores from which on the length scale moves one step of its grid at a time: keeps an ask at 400 below 30 ms.
SETTLED = 100


ENCODINGS = {"nasbench201-paths": path_encoding}


class GaussianProcessSearch(PlannedStrategy):
    """Ask: `initial` uniform draws, then the proposal with the greatest expected improvement.

    The improvement is over the best score; what is out counts as a median score meanwhile. Nothing is asked twice while
    something is left. The hyper-parameters are chosen again after every 5 scores, from 60 on after a tenth more.

    Args:
        choices, evaluations, seed, ridge: as in PlannedStrategy.
        initial: scores of uniform draws before the first prediction.
        encode: gives an architecture further features, a flat array of one length, or one of `ENCODINGS` by name
            (`nasbench201-paths`); how much they count is learnt. It must be the same when a search is resumed.

    Raises:
        UsageError: a setting out of range, or features that are not finite, flat and of one length.
        UnknownName: no encoding of that name.
    """

    name = "gp"

    def __init__(
        self,
        choices: Sequence[int],
        evaluations: int,
        seed: int = 0,
        *,
        ridge: float = 10.0,
        initial: int = 10,
        encode: Callable[[Choice], FloatArray] | str | None = None,
    ) -> None:
        super().__init__(choices, evaluations, seed, ridge=ridge)
        self._initial, self._encode = whole("initial", initial, 1), _encoding(encode)
        self._setting: Setting | None = None
        self._fitted = 0
        self._features: dict[Choice, FloatArray] = {}

    def _draw(self) -> Choice:
        seen = self.history.attempted
        with self.history.imagined() as told:
            proposals = self._proposals(seen) if told >= self._initial else []
            if proposals:
                return proposals[self._most_promising(proposals, told)]
        return unseen_choice(self.choices, seen, len(seen), self.rng) or random_choice(self.choices, self.rng)

    def _proposals(self, seen: set[Choice]) -> list[Choice]:
        """Different architectures not seen before, children of the best first."""
        order = np.argsort(-np.array(self.history.scores), kind="stable")
        best = list(dict.fromkeys(self.history.samples[j] for j in order))[:PARENTS]
        once = mutants(np.repeat(np.array(best), CHILDREN, axis=0), self.choices, self.rng)
        twice = mutants(once, self.choices, self.rng)
        children = np.where(self.rng.random(len(once))[:, None] < 0.5, once, twice)
        draws = self.rng.integers(self.choices, size=(DRAWS, len(self.choices)))
        drawn = map(tuple, np.concatenate([children, draws]).tolist())
        return [choice for choice in dict.fromkeys(drawn) if choice not in seen]

    def _most_promising(self, proposals: list[Choice], told: int) -> int:
        """The hyper-parameters are fitted to the `told` true scores, the posterior takes in what is imagined."""
        samples, y = self.history.samples, quantiles(self.history.scores)
        within = self._distances(samples)
        if self._setting is None or told >= self._fitted + max(REFIT, told // REFIT_SHARE):
            lengths = near(self._setting.length) if self._setting and told >= SETTLED else LENGTHS
            true = quantiles(self.history.scores[:told])
            self._setting, self._fitted = fit(within.first(told), true, lengths), told
        posterior = condition(within, y, self._setting)
        mean, sd = posterior.predict(self._distances(proposals))
        return int(np.argmax(expected_gain(mean, np.maximum(sd, 1e-12), y.max(keepdims=True))[0]))

    def _distances(self, queries: Sequence[Choice]) -> Distances:
        """Between the queries and the evaluated architectures; encoded features in units of the latter's spread."""
        samples, free = self.history.samples, sum(k > 1 for k in self.choices)
        ops = squared_distances(op_shares(queries, self.choices), op_shares(samples, self.choices))
        if self._encode is None:
            return Distances(ops / max(2 * free, 1), None)
        for sample in samples:
            if sample not in self._features:
                self._features[sample] = self._encode(sample)
        told = feature_table([self._features[sample] for sample in samples])
        asked = told if queries is samples else feature_table([self._encode(query) for query in queries])
        spread = 2 * float(told.var(axis=0).sum())
        return Distances(ops / max(2 * free, 1), squared_distances(asked, told) / (spread or 1.0))

    def law(self) -> Rows:
        return incumbent_law(self.best, self.choices)

    def _options(self) -> dict[str, Any]:
        return {"initial": self._initial, "encoded": int(self._encode is not None)}

    def _state(self) -> dict[str, Any]:
        setting = self._setting
        return {"setting": [setting.length, setting.share, setting.noise] if setting else [], "fitted": self._fitted}

    def _restore(self, state: Mapping[str, Any]) -> None:
        fitted, value = int(state["fitted"]), state["setting"]
        setting = Setting(*map(float, value)) if value else None
        if setting and not (setting.length in LENGTHS and setting.share in SHARES and setting.noise in NOISES):
            raise ValueError(f"{value} is no setting of the process")
        if not 0 <= fitted <= len(self.history.samples):
            raise ValueError(f"fitted to {fitted} of {len(self.history.samples)} evaluations")
        self._setting, self._fitted, self._features = setting, fitted, {}


def near(length: float) -> tuple[float, ...]:
    """The length scale of the grid with the one below and above it."""
    at = LENGTHS.index(length)
    return LENGTHS[max(at - 1, 0) : at + 2]


def _encoding(encode: Callable[[Choice], FloatArray] | str | None) -> Callable[[Choice], FloatArray] | None:
    if not isinstance(encode, str):
        return encode
    if encode not in ENCODINGS:
        raise UnknownName("encoding", encode, ENCODINGS)
    return ENCODINGS[encode]


def feature_table(rows: Sequence[FloatArray]) -> FloatArray:
    """What `encode` gave for n architectures, (n, F); UsageError if it is not finite, flat and of one length."""
    try:
        table = np.array(rows, dtype=np.float64)
    except (TypeError, ValueError):  # ragged, or no numbers
        table = np.empty(0)
    if table.ndim != 2 or not np.isfinite(table).all():
        raise UsageError("encode must give a flat array of finite numbers, of one length for all architectures")
    return table


def mutants(parents: IntArray, choices: Choice, rng: np.random.Generator) -> IntArray:
    """A child of each parent, (n, d): one choice that can vary set to another of its ops, all equally likely."""
    free = np.flatnonzero(np.array(choices) > 1)
    children = parents.copy()
    if not len(free):
        return children
    at, rows = rng.choice(free, size=len(parents)), np.arange(len(parents))
    sizes = np.array(choices)[at]
    children[rows, at] = (children[rows, at] + rng.integers(1, sizes)) % sizes
    return children
