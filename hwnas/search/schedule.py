"""How training and evaluating alternate in a search with shared weights, and at which learning rate.

A search is a list of rounds. A round trains some steps and, after the warm-up, evaluates one asked architecture.

    fair   every step runs the next path of a fair cycle over the live ops, so all live ops get the same number of
           updates however short the stretch is; the learning rate follows one cosine over all steps. Ours, the default.
    path   the asked path alone is trained for one epoch, then tested (MIGO-NAS). Within a cycle every live op is
           trained once, so all of them must see one learning rate: the drop by 10, due every 50 (K / 8) (s / 3) epochs
           of a full run of s (K (K + 1) / 2 - 1), waits for the end of the cycle.

Glossary
    K    ops per choice (the largest)       s    cycles between two prunings      keep   ops left at the end
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hwnas.search.cycle import planned_evaluations

FLOOR = 1e-4
LAST_SHARE = 0.01  # of the peak learning rate, at the end of the cosine


@dataclass(frozen=True)
class Round:
    """Train `len(rates)` steps, then evaluate the asked architecture unless this is a warm-up.

    Args:
        number: 0-based over the whole search.
        evaluates: whether an architecture is asked for, trained on (`path`) or scored (both).
        rates: learning rate of every step.
    """

    number: int
    evaluates: bool
    rates: tuple[float, ...]


def fair_rounds(evaluations: int, warmup_steps: Sequence[int], steps: int, peak: float) -> list[Round]:
    """Rounds of a `fair` search.

    Args:
        evaluations: how many architectures are asked for.
        warmup_steps: steps of every warm-up round.
        steps: steps before every evaluation.
        peak: learning rate after a short ramp over the first 5 % of all steps.
    """
    lengths = [*warmup_steps, *[steps] * evaluations]
    total = sum(lengths)
    rounds, done = [], 0
    for number, length in enumerate(lengths):
        rates = tuple(_cosine((done + i) / total, peak) for i in range(length))
        rounds.append(Round(number, number >= len(warmup_steps), rates))
        done += length
    return rounds


def _cosine(progress: float, peak: float, ramp: float = 0.05) -> float:
    if progress < ramp:
        return peak * min(1.0, (progress + 1e-3) / ramp)
    wave = 0.5 * (1 + math.cos(math.pi * (progress - ramp) / (1 - ramp)))
    return peak * max(wave, LAST_SHARE)


def path_rounds(choices: Sequence[int], s: int, keep: int, steps: int, peak: float) -> list[Round]:
    """Rounds of a `path` search, `steps` (one epoch) each."""
    rounds = []
    for number, lr in enumerate(cycle_learning_rates(choices, s, keep, peak)):
        # The very first epoch starts from random weights: ramp up to the peak.
        rates = tuple(lr * (i + 1) / steps if number == 0 else lr for i in range(steps))
        rounds.append(Round(number, True, rates))
    return rounds


def cycle_learning_rates(choices: Sequence[int], s: int, keep: int, peak: float) -> list[float]:
    """Learning rate of every epoch of a `path` search; constant within a cycle."""
    largest = max(choices)
    share = planned_evaluations(choices, s, keep) / max(planned_evaluations(choices, s, 1), 1)
    every = 50 * (largest / 8) * (s / 3) * share
    rates: list[float] = []
    lr, drops = peak, 0
    for n in range(largest, keep, -1):
        for _ in range(s):
            if len(rates) >= (drops + 1) * every:
                lr, drops = max(lr / 10, FLOOR), drops + 1
            rates += [lr] * n
    return rates
