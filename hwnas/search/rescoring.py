"""Scores with the final shared weights, from which the effects are estimated (docs/adr/0005)."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace

import numpy as np

from hwnas.progress import Progress
from hwnas.search.config import SearchConfig
from hwnas.search.cycle import fair_paths
from hwnas.search.distribution import Distribution
from hwnas.search.effects import fit_effects
from hwnas.search.evaluators.shared import SupernetEvaluator
from hwnas.search.log import Evaluation, SearchLog


def rescored(learnt: Distribution, evaluator: SupernetEvaluator, log: SearchLog, config: SearchConfig, rounds: int,
             progress: Progress) -> Distribution:
    """Score fair samples of the live ops with the final weights and take the effects from these.

    While weights are trained, scores drift and early samples judge half-trained ops; a score without training costs
    a tenth of one with it. Each is a function of weights and architecture alone, so what is logged is not repeated.

    Args:
        config: `settle` samples; none leaves `learnt` as it is.
        rounds: of training, which come first in what `progress` is told.
    """
    rng = np.random.default_rng((evaluator.seed, 3))
    samples = list(itertools.islice(fair_paths(learnt.live, rng), config.settle))
    logged = log.of("settle")
    for number, choice in enumerate(samples):
        if number >= len(logged):
            began = time.monotonic()
            score = evaluator.score(choice)
            log.append(Evaluation("settle", number, choice, score, time.monotonic() - began))
        progress("search", rounds + number + 1, rounds + len(samples))
    if not samples:
        return learnt
    scores = [e.score for e in log.of("settle")]
    fit = fit_effects(samples, scores, [0] * len(samples), learnt.choices, config.ridge)
    effects, stderr = fit.centred(learnt.live)
    dead = [~mask for mask in learnt.live]  # were never sampled here: keep what the strategy knew of them
    return replace(
        learnt,
        effects=[np.where(d, old, new) for d, old, new in zip(dead, learnt.effects, effects, strict=True)],
        stderr=[np.where(d, old, new) for d, old, new in zip(dead, learnt.stderr, stderr, strict=True)],
    )
